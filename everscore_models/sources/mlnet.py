"""ONNX files as ML.NET's ConvertToOnnx writes them, unchanged.

Every column of the training data is an input and an output there, the label and unused columns too. The
scores are found by the names that ML.NET's trainers give them, the classes in the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, helper

from everscore.score.output_form import Kind
from everscore_models.candidate import Candidate, Choices
from everscore_models.errors import ExportError
from everscore_models.graph.classes import Classes, classes_of
from everscore_models.graph.cutting import cut
from everscore_models.graph.meaning import Meaning, meaning_of, nearest_of
from everscore_models.graph.reading import read_graph
from everscore_models.graph.taken import columns_of
from everscore_models.graph.tracing import Tracer, attributes
from everscore_models.graph.trial import Trial
from everscore_models.graph.weights import serialized

PRODUCER = "ML.NET"
SCORE, PROBABILITY, LABEL = "Score.output", "Probability.output", "PredictedLabel.output"

EXPONENT_TOLERANCE = 5e-4
"""Of a prediction that is a power of e (FastTreeTweedie), whose exponent both sides round to 32 bits."""


def is_mlnet(model: ModelProto) -> bool:
    """Whether ML.NET wrote a model."""
    return bool(model.producer_name == PRODUCER)


def read(path: Path, choices: Choices) -> Candidate:
    """A model out of a file of ML.NET.

    Raises:
        ExportError: the file is not whole, or holds no scores of a trainer; the sentence says what to do.
    """
    model, notes = read_graph(path)
    if not is_mlnet(model):
        raise ExportError(f"{path} was not written by ML.NET but by '{model.producer_name}'.")
    made = candidate(model, choices)
    return replace(made, notes=[*notes, *made.notes])


def candidate(model: ModelProto, choices: Choices) -> Candidate:
    """A model out of a graph of ML.NET; see `read`."""
    kind, outputs, notes = _described(model, choices)
    used = [outputs["value"], *([outputs["label"]] if "label" in outputs else [])]
    small = cut(_without_binarizers(model), used)
    # ML.NET declares the columns of a one-hot encoder flat, which they are not yet: onnxruntime warns of it.
    small.graph.ClearField("value_info")
    content = serialized(small)
    columns, tensors = columns_of(small, Trial(content), [outputs["value"]])
    power = Tracer(small).origin(outputs["value"])[1]
    rough = power is not None and power.op_type == "Exp"
    left = [
        each.name for each in model.graph.input if each.name not in {each.name for each in small.graph.input}
    ]
    if left:
        notes.append(f"Not asked of events, since no score needs them: {', '.join(left)}.")
    return Candidate(
        content=content,
        kind=kind,
        columns=columns,
        outputs=outputs,
        tensors=tensors,
        library=PRODUCER,
        tolerance=EXPONENT_TOLERANCE if rough else 1e-5,
        tools={PRODUCER: model.producer_version or "unknown"},
        notes=notes,
    )


def _described(model: ModelProto, choices: Choices) -> tuple[Kind, dict[str, Any], list[str]]:
    """The kind, the manifest's outputs, and notes: by which of the trainers' outputs there are."""
    offered = {each.name: each.type.tensor_type for each in model.graph.output}
    if SCORE not in offered:
        raise ExportError(
            f"The file has no output '{SCORE}', which every trainer of ML.NET writes: convert the whole "
            "model with its trainer, or name the --outputs."
        )
    if PROBABILITY in offered:
        if choices.transform is not None:
            raise ExportError(
                f"The output '{PROBABILITY}' holds probabilities already: leave --transform out."
            )
        return _two_classes(offered, PROBABILITY, choices, [])
    if LABEL not in offered:
        return Kind.REGRESSOR, {"value": SCORE}, []
    if offered[LABEL].elem_type == TensorProto.BOOL:
        return _margin(offered, choices)
    width = offered[SCORE].shape.dim[1].dim_value
    if nearest_of(model, LABEL, SCORE):
        return _clusters(width, choices)
    return _several_classes(model, width, choices)


def _two_classes(
    offered: Any, value: str, choices: Choices, notes: list[str]
) -> tuple[Kind, dict[str, Any], list[str]]:
    """One column with the probability of True; the label is ML.NET's own, which goes by the score's sign."""
    outputs: dict[str, Any] = {"value": value}
    if LABEL in offered:
        outputs["label"] = LABEL
    labels = _labels(choices, ("False", "True"))
    positive = choices.positive or labels[1]
    if positive != labels[1]:
        raise ExportError(
            f"ML.NET gives the probability of '{labels[1]}' alone, so that this is the positive class: leave "
            f"--positive out, and read that of '{positive}' from the scores' values."
        )
    outputs |= {"classes": [0, 1], "labels": labels, "positive": positive}
    return Kind.CLASSIFIER, outputs, notes


def _margin(offered: Any, choices: Choices) -> tuple[Kind, dict[str, Any], list[str]]:
    """A trainer without a calibrator: how far a row is from the border, in no unit."""
    if choices.transform == "sigmoid":
        note = (
            "The trainer is not calibrated: the sigmoid of its score keeps ML.NET's labels and the order of "
            "the rows, but 0.8 does not mean 80 of 100."
        )
        kind, outputs, notes = _two_classes(offered, SCORE, choices, [note])
        return kind, {**outputs, "transform": "sigmoid"}, notes
    if choices.transform is not None or choices.labels or choices.positive:
        raise ExportError(
            f"The file has two classes and no '{PROBABILITY}': its trainer (such as FastForest or "
            "AveragedPerceptron) is not calibrated. Append a calibrator in ML.NET "
            "(mlContext.BinaryClassification.Calibrators.Platt), or say --transform sigmoid for numbers that "
            "keep the order and the labels, but are no shares."
        )
    note = (
        "The trainer is not calibrated, so that there is no probability: the value is its score, above 0 for "
        "True, and documents have no label. With a calibrator in ML.NET "
        "(mlContext.BinaryClassification.Calibrators.Platt), or with --transform sigmoid, they have both."
    )
    return Kind.REGRESSOR, {"value": SCORE}, [note]


def _clusters(width: int, choices: Choices) -> tuple[Kind, dict[str, Any], list[str]]:
    labels = _labels(choices, tuple(str(number) for number in range(1, width + 1)))
    note = (
        "The file numbers its clusters from 0, ML.NET from 1: documents have ML.NET's numbers, 1 to "
        f"{width}. The numbers of a row are its squared distances."
    )
    outputs = {"value": SCORE, "classes": list(range(width)), "labels": labels}
    return Kind.CLUSTERER, outputs, [note] if not choices.labels else []


def _several_classes(
    model: ModelProto, width: int, choices: Choices
) -> tuple[Kind, dict[str, Any], list[str]]:
    """The label is that of the largest score, so that it is cut off with all that it needs."""
    classes = _class_names(model, width)
    labels = _labels(choices, tuple(str(each) for each in classes))
    outputs: dict[str, Any] = {"value": SCORE, "classes": list(classes), "labels": labels}
    if choices.positive is not None:
        if choices.positive not in labels:
            raise ExportError(f"The positive class '{choices.positive}' is none of {', '.join(labels)}.")
        outputs["positive"] = choices.positive
    elif width == 2:
        outputs["positive"] = labels[1]
    notes = []
    if choices.transform is not None:
        outputs["transform"] = choices.transform
    elif meaning_of(model, SCORE) not in (Meaning.SHARES, Meaning.CHANCES):
        notes.append(
            "Nothing in the graph says that its scores are probabilities; where its trainer is one of "
            "margins, say --transform softmax."
        )
    return Kind.CLASSIFIER if width == 2 else Kind.MULTICLASS, outputs, notes


def _class_names(model: ModelProto, width: int) -> Classes:
    """The classes in the order of the scores: by what decodes the label, else by the names of slots."""
    found = classes_of(model, LABEL)
    if found is not None and len(found) == width:
        return found
    for node in model.graph.node:
        if node.op_type == "LabelEncoder" and "mlnet.Score.SlotNames" in node.input:
            names = [str(each) for each in attributes(node).get("keys_strings", ())]
            if len(names) == width:
                return tuple(names)
    return tuple(range(1, width + 1))  # keys without values: ML.NET counts them from 1


def _labels(choices: Choices, classes: Sequence[str]) -> list[str]:
    if not choices.labels:
        return list(classes)
    if len(choices.labels) != len(classes):
        raise ExportError(
            f"There are {len(classes)} classes ({', '.join(classes)}), and {len(choices.labels)} --labels: "
            "give one for each, in this order."
        )
    return list(choices.labels)


def _without_binarizers(model: ModelProto) -> ModelProto:
    """The same labels of two classes by a comparison: a Binarizer raises at NaN, for the whole batch.

    So one row with a NaN costs itself alone: its score is none.
    """
    made = ModelProto()
    made.CopyFrom(model)
    nodes: list[NodeProto] = []
    for node in made.graph.node:
        if node.op_type != "Binarizer":
            nodes.append(node)
            continue
        border = f"{node.output[0]}.border"
        threshold = float(attributes(node).get("threshold", 0.0))
        made.graph.initializer.append(helper.make_tensor(border, TensorProto.FLOAT, [], [threshold]))
        above = f"{node.output[0]}.above"
        nodes.append(helper.make_node("Greater", [node.input[0], border], [above]))
        nodes.append(helper.make_node("Cast", [above], list(node.output), to=TensorProto.FLOAT))
    made.graph.ClearField("node")
    made.graph.node.extend(nodes)
    return made
