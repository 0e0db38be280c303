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
from everscore.score.manifest import Manifest
from everscore.score.output_form import Kind
from everscore.score.tensors import NodeArg

_NUMBERS = frozenset(
    f"tensor({each})" for each in ("float", "double", "float16", "int64", "int32", "uint64", "uint32")
)
_MAPS = frozenset({"seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))"})
_LABELS: Mapping[str, type] = {
    # ML.NET writes a key as uint32 and the label of two classes as a boolean, which Python counts as 0 and 1.
    **{f"tensor({each})": int for each in ("int64", "int32", "int16", "int8", "bool")},
    **{f"tensor({each})": int for each in ("uint64", "uint32", "uint16", "uint8")},
    "tensor(string)": str,
}


class OutputReader:
    """Reads the outputs that a manifest names."""

    def __init__(self, manifest: Manifest, outputs: Sequence[NodeArg], sha256: str, where: str) -> None:
        """Checks the manifest against a session's outputs.

        Raises:
            ManifestError: they disagree; one sentence each, beginning with `where`.
        """
        described = manifest.outputs
        self._version = manifest.version
        self._sha256 = sha256
        self._kind = manifest.kind
        self._value = described.value_outputs()
        self._label = described.label
        self._label_of = described.label_of()
        self._classes = list(self._label_of)
        self._labels = list(self._label_of.values())
        self._transform = described.transform
        self._positive = None if described.positive is None else self._labels.index(described.positive)
        self._names = (
            self._labels if self._by_class or self._kind is Kind.CLUSTERER else list(described.columns)
        )
        self._main = described.columns.index(described.main) if described.main else 0
        self._width = len(self._names) or 1
        self.names = [*self._value, *([] if self._label is None else [self._label])]
        mistakes = self._mistakes({each.name: each for each in outputs})
        if mistakes:
            raise ManifestError("\n".join(f"{where}: {each}." for each in mistakes))

    @property
    def _by_class(self) -> bool:
        return self._kind in (Kind.CLASSIFIER, Kind.MULTICLASS)

    @property
    def _one_for_two(self) -> bool:
        """Whether one column may hold the probability of one of two classes, and so that of the other."""
        one = self._by_class and self._width == 2 and self._positive is not None
        return one and self._transform != "softmax"  # which is 1 of any one number

    def _mistakes(self, offered: Mapping[str, NodeArg]) -> list[str]:
        mistakes = [
            f"model.onnx has no output '{name}', only {', '.join(offered)}"
            for name in self.names
            if name not in offered
        ]
        found = [offered[name] for name in self._value if name in offered]
        for value in found:
            if value.type in _MAPS and self._by_class and not self._transform:
                wanted: type = int if "int64" in value.type else str
                mistakes += self._classes_of_other_type(value, wanted)
            elif value.type not in _NUMBERS:
                mistakes.append(
                    f"the output '{value.name}' of model.onnx is a {value.type}: no value of a {self._kind}"
                )
        widths = [each.shape[1] if len(each.shape) == 2 else None for each in found if each.type in _NUMBERS]
        known = [each for each in widths if isinstance(each, int)]
        allowed = {self._width, 1} if self._one_for_two else {self._width}
        if known and len(known) == len(self._value) and sum(known) not in allowed:
            names = ", ".join(f"'{name}'" for name in self._value)
            mistakes.append(
                f"the output {names} of model.onnx has {sum(known)} columns, "
                f"and the manifest makes it {self._width}"
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
        matrix = self._probabilities(self._matrix(raw, rows))
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
                        field=self._value[0],
                    )
                )
                continue
            label = labels[row]
            if isinstance(label, Failure):
                results.append(label)
                continue
            values = dict(zip(self._names, numbers, strict=True)) if self._names else {}
            results.append(Scores(self._version, self._sha256, label, self._value_of(numbers), values))
        return results

    def _value_of(self, numbers: list[float]) -> float:
        if self._kind is Kind.CLUSTERER:
            return min(numbers)
        if self._by_class:
            return max(numbers) if self._positive is None else numbers[self._positive]
        return numbers[self._main]

    def _matrix(self, raw: Mapping[str, object], rows: int) -> Array:
        """The value outputs as float64, a column for each number that the file gives of a row."""
        parts = [self._part(name, raw[name], rows) for name in self._value]
        matrix = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        if matrix.shape[1] != self._width and not (matrix.shape[1] == 1 and self._one_for_two):
            raise self._disagree(
                f"the output '{self._value[0]}' has {matrix.shape[1]} numbers a row instead of {self._width}"
            )
        return matrix

    def _part(self, name: str, output: object, rows: int) -> Array:
        if isinstance(output, list):
            if len(output) != rows:
                raise self._disagree(f"the output '{name}' has {len(output)} maps for {rows} rows")
            try:
                return np.array([[each[key] for key in self._classes] for each in output], np.float64)
            except KeyError as error:
                raise self._disagree(f"the output has no class {error}") from error
        try:
            numbers = np.asarray(output, np.float64)
        except (TypeError, ValueError) as error:
            raise self._disagree(f"the output '{name}' holds no numbers ({error})") from error
        if not rows or numbers.size % rows or not numbers.size:
            raise self._disagree(f"the output '{name}' has the shape {list(numbers.shape)} for {rows} rows")
        return numbers.reshape(rows, -1)

    def _probabilities(self, matrix: Array) -> Array:
        """Logits made probabilities, and one column for two classes made two."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self._transform == "sigmoid":
                matrix = 1.0 / (1.0 + np.exp(-matrix))
            elif self._transform == "softmax":
                powers = np.exp(matrix - matrix.max(axis=1, keepdims=True))
                matrix = powers / powers.sum(axis=1, keepdims=True)
            if self._one_for_two and matrix.shape[1] == 1:
                pair = [1.0 - matrix, matrix] if self._positive == 1 else [matrix, 1.0 - matrix]
                matrix = np.concatenate(pair, axis=1)
        return matrix

    def _row_labels(
        self, raw: Mapping[str, object], matrix: Array, rows: int
    ) -> Sequence[str | Failure | None]:
        if self._label is None:
            if not self._labels:
                return [None] * rows
            # A row with NaN is refused anyway, whatever label this gives it.
            best = matrix.argmin(axis=1) if self._kind is Kind.CLUSTERER else matrix.argmax(axis=1)
            return [self._labels[column] for column in best.tolist()]
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
            field=self._value[0],
        )
