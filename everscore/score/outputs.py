"""From the outputs of an ONNX session to `Scores` in plain Python types.

Converters write classes in two ways: as a tensor with a column for each class, or (skl2onnx's ZipMap) as
one map for each row. Both are read by the class's name, never by a position that somebody remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from everscore.event.scores import Scores
from everscore.failures import Configuration, Failure, ManifestError, Permanent, Stage
from everscore.score.columns import Array
from everscore.score.manifest import Kind, Manifest
from everscore.score.tensors import NodeArg

_NUMBERS = frozenset({"tensor(float)", "tensor(double)", "tensor(int64)", "tensor(int32)"})
_MAPS = frozenset({"seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))"})
_LABELS: Mapping[str, type] = {"tensor(int64)": int, "tensor(int32)": int, "tensor(string)": str}


class OutputReader:
    """Reads the outputs that a manifest names."""

    def __init__(self, manifest: Manifest, outputs: Sequence[NodeArg], sha256: str, where: str) -> None:
        """Checks the manifest against a session's outputs.

        Raises:
            ManifestError: they disagree; one sentence each, beginning with `where`.
        """
        self._version = manifest.version
        self._sha256 = sha256
        self._kind = manifest.kind
        self._value = manifest.outputs.value
        self._label = manifest.outputs.label
        self._label_of = manifest.outputs.label_of()
        self._classes = list(self._label_of)
        self._labels = list(self._label_of.values())
        positive = manifest.outputs.positive
        self._positive = None if positive is None else self._labels.index(positive)
        self.names = [self._value] if self._label is None else [self._value, self._label]
        mistakes = self._mistakes({each.name: each for each in outputs})
        if mistakes:
            raise ManifestError("\n".join(f"{where}: {each}." for each in mistakes))

    @property
    def _by_class(self) -> bool:
        return self._kind in (Kind.CLASSIFIER, Kind.MULTICLASS)

    def _mistakes(self, offered: Mapping[str, NodeArg]) -> list[str]:
        mistakes = [
            f"model.onnx has no output '{name}', only {', '.join(offered)}"
            for name in self.names
            if name not in offered
        ]
        value = offered.get(self._value)
        if value is not None:
            if value.type in _MAPS and self._by_class:
                wanted: type = int if "int64" in value.type else str
                mistakes += self._classes_of_other_type(value, wanted)
            elif value.type not in _NUMBERS:
                mistakes.append(
                    f"the output '{value.name}' of model.onnx is a {value.type}: no value of a {self._kind}"
                )
            width = len(self._classes) if self._by_class else 1
            columns = value.shape[1] if len(value.shape) == 2 else None
            if value.type in _NUMBERS and isinstance(columns, int) and columns != width:
                mistakes.append(
                    f"the output '{value.name}' of model.onnx has {columns} columns, "
                    f"and the manifest makes it {width}"
                )
        label = offered.get(self._label) if self._label else None
        if label is not None:
            if label.type in _LABELS:
                mistakes += self._classes_of_other_type(label, _LABELS[label.type])
            else:
                mistakes.append(
                    f"the output '{label.name}' of model.onnx is a {label.type}, which is no label"
                )
        return mistakes

    def _classes_of_other_type(self, output: NodeArg, wanted: type) -> list[str]:
        if all(isinstance(each, wanted) for each in self._classes):
            return []
        return [f"outputs.classes are {self._classes}, but '{output.name}' of model.onnx is a {output.type}"]

    def read(self, raw: Mapping[str, object], rows: int) -> list[Scores | Failure]:
        """One result a row. A score that is not finite is the failure of its own row.

        Raises:
            Configuration: the file's outputs have another form or other classes than the manifest says.
        """
        matrix = self._matrix(raw[self._value], rows)
        finite = np.isfinite(matrix).all(axis=1).tolist()
        labels = self._row_labels(raw, matrix, rows)
        table: list[list[float]] = matrix.tolist()
        results: list[Scores | Failure] = []
        for row, numbers in enumerate(table):
            if not finite[row]:
                results.append(
                    Permanent(
                        Stage.SCORE,
                        "score not finite",
                        "The model answers with NaN or infinity for this event.",
                        field=self._value,
                    )
                )
                continue
            label = labels[row]
            if isinstance(label, Failure):
                results.append(label)
                continue
            values: dict[str, float] = {}
            value = numbers[0]
            if self._by_class:
                values = dict(zip(self._labels, numbers, strict=True))
                value = max(numbers) if self._positive is None else numbers[self._positive]
            results.append(Scores(self._version, self._sha256, label, value, values))
        return results

    def _matrix(self, output: object, rows: int) -> Array:
        """The value output as float64, a column for each class (or one)."""
        if isinstance(output, list):
            if len(output) != rows:
                raise self._disagree(f"the output '{self._value}' has {len(output)} maps for {rows} rows")
            try:
                return np.array([[each[key] for key in self._classes] for each in output], np.float64)
            except KeyError as error:
                raise self._disagree(f"the output has no class {error}") from error
        try:
            matrix = np.asarray(output, np.float64)
        except (TypeError, ValueError) as error:
            raise self._disagree(f"the output '{self._value}' holds no numbers ({error})") from error
        width = len(self._classes) if self._by_class else 1
        if matrix.size != rows * width:
            raise self._disagree(
                f"the output '{self._value}' has the shape {list(matrix.shape)} for {rows} rows"
            )
        return matrix.reshape(rows, width)

    def _row_labels(
        self, raw: Mapping[str, object], matrix: Array, rows: int
    ) -> Sequence[str | Failure | None]:
        if self._label is None:
            if not self._by_class:
                return [None] * rows
            # A row with NaN is refused anyway, whatever label this gives it.
            return [self._labels[column] for column in matrix.argmax(axis=1).tolist()]
        found = np.asarray(raw[self._label]).reshape(-1).tolist()
        if len(found) != rows:
            raise self._disagree(f"the output '{self._label}' has {len(found)} labels for {rows} rows")
        return [
            self._label_of[each]
            if each in self._label_of
            else self._disagree(f"outputs.classes lacks the class {each!r} of an answer")
            for each in found
        ]

    def _disagree(self, what: str) -> Configuration:
        return Configuration(
            Stage.SCORE,
            "model and manifest disagree",
            f"{what[0].upper()}{what[1:]}: correct 'outputs' in the model's manifest.json.",
            field=self._value,
        )
