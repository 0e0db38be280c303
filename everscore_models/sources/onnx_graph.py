"""Any ONNX file: what it takes and gives as far as its graph says, and what a person says of the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto

from everscore.score.output_form import Kind
from everscore_models.candidate import Candidate, Choices
from everscore_models.errors import ExportError
from everscore_models.graph.classes import Classes, classes_of
from everscore_models.graph.cutting import cut
from everscore_models.graph.given import Given, outputs_of
from everscore_models.graph.locale import ascii_faults, locale_faults
from everscore_models.graph.maps import without_maps
from everscore_models.graph.meaning import Meaning, computed_meaning, nearest_of
from everscore_models.graph.reading import read_graph
from everscore_models.graph.taken import columns_of
from everscore_models.graph.trial import Trial
from everscore_models.graph.weights import serialized
from everscore_models.graph.widths import fix_widths
from everscore_models.sources import mlnet

HALF_TOLERANCE = 5e-3
"""Of a graph that computes in float16, which has 11 bits: two programs that sum in another order differ "
"so."""

_NO_CLASSES = (Meaning.UNSAID, Meaning.PREDICTION)
_LIBRARIES = {
    "pytorch": "PyTorch",
    "skl2onnx": "scikit-learn",
    "tf2onnx": "TensorFlow",
    "keras": "Keras",
    "CatBoost": "CatBoost",
    "ML.NET": "ML.NET",
}


def read(path: Path, choices: Choices) -> Candidate:
    """A model out of an ONNX file.

    Args:
        path: of the file; weights in a second one must stand beside it.
        choices: `outputs`, `labels`, `positive` and `transform` are used.

    Raises:
        ExportError: the file is not whole, onnxruntime does not load it, no event could fill its inputs, or
            it leaves open what its numbers are; the sentence says what to do.
    """
    model, notes = read_graph(path)
    if mlnet.is_mlnet(model) and not choices.outputs:
        made = mlnet.candidate(model, choices)
    else:
        made = candidate(model, choices)
    return _with_notes(made, notes)


def candidate(model: ModelProto, choices: Choices) -> Candidate:
    """A model out of a graph; see `read`."""
    model, mapped = without_maps(model)
    given = outputs_of(model, choices.outputs)
    small = cut(model, [*given.values, *([] if given.label is None else [given.label])])
    for fault in locale_faults(small):
        raise ExportError(fault)
    fix_widths(small)
    content = serialized(small)
    trial = Trial(content)
    columns, tensors = columns_of(small, trial, given.values)
    numbers = _Numbers(small, given, trial, choices, mapped)
    kind, outputs, notes = numbers.described()
    if given.left:
        notes.append(
            f"The outputs {_quoted(given.left)} are not read: name them with --outputs to have them."
        )
    if any(isinstance(each.shape[0], int) for each in trial.inputs):
        notes.append(
            f"The file takes {trial.rows()} row(s) a call, so that batches are cut: exported with a free "
            "first dimension it is faster."
        )
    notes += ascii_faults(small)
    half = _computes_in_half(small)
    if half:
        notes.append(f"The graph computes in float16: scores count as equal up to {HALF_TOLERANCE}.")
    tools = {model.producer_name: model.producer_version or "unknown"} if model.producer_name else {}
    return Candidate(
        content=content,
        kind=kind,
        columns=columns,
        outputs=outputs,
        tensors=tensors,
        library=_LIBRARIES.get(model.producer_name, model.producer_name or "the library"),
        tolerance=HALF_TOLERANCE if half else 1e-5,
        tools=tools,
        notes=notes,
    )


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What the numbers of the chosen outputs are."""

    model: ModelProto
    given: Given
    trial: Trial
    choices: Choices
    mapped: Mapping[str, Classes]
    """By output, the classes of what were maps of them."""

    def described(self) -> tuple[Kind, dict[str, Any], list[str]]:
        """The kind of the model, the manifest's outputs, and notes.

        Raises:
            ExportError: it is open, or what the person says of them does not fit.
        """
        widths = self._widths()
        given = self.given
        first = widths[0] if len(widths) == 1 else 0
        if given.label is not None and nearest_of(self.model, given.label, given.values[0]):
            return self._clusters(first)
        if self._is_detector(first):
            return self._detector()
        transform, notes = self._transform(first)
        if len(given.values) == 1 and self._by_class(first, transform):
            return self._by_classes(first, transform, notes)
        return self._predictions(widths, notes)

    def _widths(self) -> list[int]:
        """Numbers a row of each output of values: as the graph answers, else as it declares; 0: unknown."""
        found = self.trial.run(self.trial.zeros())
        widths = []
        for name in self.given.values:
            if found is not None:
                widths.append(np.size(found[name]) // self.trial.rows())
                continue
            shape = next(each.shape for each in self.trial.outputs if each.name == name)
            known = all(isinstance(each, int) for each in shape[1:])
            widths.append(int(np.prod([int(each or 0) for each in shape[1:]])) if known else 0)
        return widths

    def _by_class(self, width: int, transform: str | None) -> bool:
        said = self.given.label is not None or self.choices.labels or self.choices.positive or transform
        if said or self.given.values[0] in self.mapped:
            return True
        meaning = self.given.meaning
        return meaning is Meaning.SHARES or (meaning is Meaning.CHANCES and width == 1)

    def _transform(self, width: int) -> tuple[str | None, list[str]]:
        meaning, name = self.given.meaning, self.given.values[0]
        wanted = self.choices.transform
        if wanted == "softmax" and width == 1:
            raise ExportError(
                f"The output '{name}' is one number a row, of which a softmax is always 1: say --transform "
                "sigmoid."
            )
        if wanted is not None and computed_meaning(self.model, name) in (Meaning.SHARES, Meaning.CHANCES):
            raise ExportError(
                f"The graph makes probabilities of the output '{name}' itself: leave --transform {wanted} "
                "out."
            )
        if wanted is not None:
            return wanted, []
        if meaning is Meaning.MARGINS:
            raise ExportError(
                f"The output '{name}' holds margins, which are no probabilities: calibrate the classifier "
                "(CalibratedClassifierCV) and export it again, or say --transform softmax or sigmoid for "
                "numbers that keep the order, but are no shares."
            )
        if meaning is not Meaning.LOGITS:
            return None, []
        fitting = "sigmoid" if width == 1 else "softmax"
        note = (
            f"The output '{name}' holds logits: the manifest makes probabilities of them by {fitting}. Say "
            "--transform where training used another function."
        )
        return fitting, [note]

    def _clusters(self, width: int) -> tuple[Kind, dict[str, Any], list[str]]:
        classes = tuple(range(width))
        outputs = {"value": self.given.values[0], "label": self.given.label} | self._labelled(classes)
        return Kind.CLUSTERER, outputs, [f"The file numbers its clusters from 0 to {width - 1}."]

    def _is_detector(self, width: int) -> bool:
        """A label of -1 and 1 and one score, as skl2onnx writes isolation forests and their like."""
        given = self.given
        if given.label is None or width != 1 or given.meaning not in _NO_CLASSES:
            return False
        scored = "score" in given.values[0].lower() and self.choices.transform is None
        return scored and classes_of(self.model, given.label) in (None, (-1, 1))

    def _detector(self) -> tuple[Kind, dict[str, Any], list[str]]:
        labels = list(self.choices.labels) or ["anomaly", "normal"]
        outputs = {"value": self.given.values[0], "label": self.given.label, "classes": [-1, 1]}
        notes = ["The label is taken for that of an anomaly detector: -1 for an anomaly, 1 for the rest."]
        return Kind.ANOMALY, {**outputs, "labels": labels}, notes

    def _by_classes(
        self, width: int, transform: str | None, notes: list[str]
    ) -> tuple[Kind, dict[str, Any], list[str]]:
        given, name = self.given, self.given.values[0]
        label, classes = self._classes(width)
        count = len(classes)
        if width not in (0, count) and not (width == 1 and count == 2):
            raise ExportError(
                f"The output '{name}' has {width} numbers a row, and there are {count} classes "
                f"({', '.join(str(each) for each in classes)}): name other --outputs or --labels."
            )
        outputs: dict[str, Any] = {"value": name}
        if label is not None:
            outputs["label"] = label
        outputs |= self._labelled(classes)
        labels = outputs.get("labels", [str(each) for each in classes])
        if self.choices.positive is not None and self.choices.positive not in labels:
            raise ExportError(
                f"The positive class '{self.choices.positive}' is none of {', '.join(labels)}: say "
                "--positive with one of these, or --labels."
            )
        positive = self.choices.positive or (labels[1] if count == 2 else None)
        if positive is not None:
            outputs["positive"] = positive
        if count == 2 and self.choices.positive is None:
            notes.append(f"The value is the probability of '{positive}': say --positive for the other class.")
        if transform is not None:
            outputs["transform"] = transform
        elif given.meaning in _NO_CLASSES:
            notes.append(
                f"Nothing in the file says whether the output '{name}' holds probabilities or logits: it is "
                "read as probabilities, which its numbers on the events must bear out. Where they are "
                "logits, say --transform softmax or sigmoid."
            )
        return Kind.CLASSIFIER if count == 2 else Kind.MULTICLASS, outputs, notes

    def _classes(self, width: int) -> tuple[str | None, Classes]:
        """The label's output, where its classes are those of the numbers; and the classes."""
        label, name = self.given.label, self.given.values[0]
        of_label = None if label is None else classes_of(self.model, label)
        classes = self.mapped.get(name) or of_label or classes_of(self.model, name)
        if label is None:
            return None, classes or self._counted(width)
        kind = next(each.type for each in self.trial.outputs if each.name == label)
        if kind == "tensor(bool)":
            return label, (0, 1)
        if classes is None:
            classes = self._counted(width)
        fits = all(isinstance(each, str) == (kind == "tensor(string)") for each in classes)
        return (label if fits else None), classes

    def _counted(self, width: int) -> Classes:
        count = width or len(self.choices.labels)
        if not count:
            raise ExportError(
                f"How many classes the output '{self.given.values[0]}' has stands nowhere in the file: say "
                "--labels, or export it with a fixed number of columns."
            )
        return tuple(range(max(count, 2)))

    def _labelled(self, classes: Classes) -> dict[str, Any]:
        if not self.choices.labels:
            return {"classes": list(classes)}
        if len(self.choices.labels) != len(classes):
            raise ExportError(
                f"There are {len(classes)} classes ({', '.join(str(each) for each in classes)}), and "
                f"{len(self.choices.labels)} --labels: give one for each, in this order."
            )
        return {"classes": list(classes), "labels": list(self.choices.labels)}

    def _predictions(self, widths: Sequence[int], notes: list[str]) -> tuple[Kind, dict[str, Any], list[str]]:
        values, labels = self.given.values, list(self.choices.labels)
        if 0 in widths:
            raise ExportError(
                f"How many numbers the output {_quoted(values)} has a row stands nowhere in the file: export "
                "it with a fixed number of columns."
            )
        outputs: dict[str, Any] = {"value": values[0] if len(values) == 1 else list(values)}
        if sum(widths) > 1:
            names = [
                name if width == 1 else f"{name}_{number}"
                for name, width in zip(values, widths, strict=True)
                for number in range(width)
            ]
            outputs["columns"] = labels if len(labels) == len(names) else names
            if len(values) == 1 and self.given.meaning is not Meaning.PREDICTION:
                notes = [*notes, self._about_several(outputs["columns"])]
        elif self.given.meaning is Meaning.UNSAID:
            note = (
                f"The output '{values[0]}' is taken for a prediction of a number: say --transform sigmoid "
                "where it is the logit of two classes."
            )
            notes = [*notes, note]
        return Kind.REGRESSOR, outputs, notes

    def _about_several(self, names: Sequence[str]) -> str:
        if self.given.meaning is Meaning.CHANCES:
            return (
                f"Each number of the output '{self.given.values[0]}' is a probability of its own "
                f"({', '.join(names)}): documents hold all of them, and no label."
            )
        return (
            f"Nothing in the file says that the numbers {', '.join(names)} are classes, so that they are "
            "taken for several predictions: say --transform softmax where they are the logits of classes, or "
            "--labels where they are probabilities of them."
        )


def _computes_in_half(model: ModelProto) -> bool:
    graph = model.graph
    typed = [each.type.tensor_type.elem_type for each in (*graph.input, *graph.output)]
    return TensorProto.FLOAT16 in (*typed, *(each.data_type for each in graph.initializer))


def _with_notes(made: Candidate, notes: Sequence[str]) -> Candidate:
    return replace(made, notes=[*notes, *made.notes]) if notes else made


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
