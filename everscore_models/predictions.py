"""A file of predictions: the library's own answers, made where it is installed, one row an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from everscore.score.output_form import Kind, Outputs
from everscore_models.candidate import Answer
from everscore_models.errors import ExportError

_NUMBERS = ("values", "probabilities", "score", "scores", "prediction", "predictions", "value", "y")
_POSITIVE = ("probability", "p", "value", "score", "values", "probabilities", "prediction")
_LABEL = ("label", "predictedlabel", "predicted_label", "class", "cluster", "prediction")


def answers_of(rows: Sequence[Any], events: int, kind: Kind, outputs: Outputs) -> list[Answer]:
    """The answers that stand in the rows of such a file.

    A row holds a field for each class, cluster or prediction, under its name; or a list or an object of them
    as ``values``, ``score`` or ``probabilities``; of two classes also the positive one's ``probability``
    alone. The label stands in ``label`` or ``PredictedLabel``; without one it is that of the best number.

    Args:
        rows: of the file.
        events: how many events there are.
        kind: what the model predicts.
        outputs: the manifest's.

    Raises:
        ExportError: there are more or fewer rows than events, a field is missing, or a class is unknown.
    """
    if len(rows) != events:
        raise ExportError(
            f"There are {len(rows):,} predictions for {events:,} events: give one for each event, in the "
            "same order."
        )
    reader = _Reader(kind, outputs)
    found = [reader.read(number, row) for number, row in enumerate(rows, start=1)]
    if outputs.transform == "softmax":
        found = _shares(found)
    return _from_zero(found, outputs) if kind is Kind.CLUSTERER else found


class _Reader:
    def __init__(self, kind: Kind, outputs: Outputs) -> None:
        self.kind = kind
        self.outputs = outputs
        self.by_class = {_comparable(each): label for each, label in outputs.label_of().items()}
        self.labels = list(outputs.label_of().values())
        self.names: list[str] = list(outputs.columns) if kind is Kind.REGRESSOR else self.labels
        if kind is Kind.ANOMALY:
            self.names = []

    def read(self, number: int, row: Any) -> Answer:
        if not isinstance(row, Mapping):
            row = {"value": row}
        fields = {str(name).lower(): value for name, value in row.items()}
        numbers = self._numbers(number, row, fields)
        return Answer(tuple(numbers), self._label(number, fields, numbers))

    def _numbers(self, number: int, row: Mapping[Any, Any], fields: Mapping[str, Any]) -> list[float]:
        named = {str(name): value for name, value in row.items()}
        by_name = [*self.names], [str(each) for each in self.outputs.classes]
        for names in by_name:
            if names and all(name in named for name in names):
                return [_number(number, name, named[name]) for name in names]
        if self.kind is Kind.CLASSIFIER:
            one = self._of_positive(number, fields)
            if one is not None:
                return one
        for name in _NUMBERS:
            value = fields.get(name)
            if isinstance(value, Mapping):
                return self._numbers(number, value, {})
            if isinstance(value, list) and len(value) == max(1, len(self.names)):
                return [_number(number, name, each) for each in value]
            if value is not None and len(self.names) <= 1 and not isinstance(value, list):
                return [_number(number, name, value)]
        if self.kind is Kind.REGRESSOR and len(named) == 1 and len(self.names) <= 1:
            ((name, value),) = named.items()
            return [_number(number, name, value)]
        wanted = f"the fields {', '.join(self.names)}" if self.names else "a field 'value'"
        raise ExportError(
            f"The predictions' row {number} has no numbers of the model: expected {wanted}, found "
            f"{', '.join(named) or 'nothing'}."
        )

    def _of_positive(self, number: int, fields: Mapping[str, Any]) -> list[float] | None:
        positive = self.outputs.positive or self.labels[-1]
        for name in (positive.lower(), *_POSITIVE):
            if name not in fields:
                continue
            value = fields[name]
            if isinstance(value, list) and len(value) == 1:
                (value,) = value
            if value in (None, "NaN", "nan") or (
                isinstance(value, int | float) and not isinstance(value, bool)
            ):
                chance = self._chance(_number(number, name, value))
                other = 1.0 - chance
                return [chance, other] if self.labels[0] == positive else [other, chance]
        return None

    def _chance(self, number: float) -> float:
        """A number of the positive class alone; of a model of logits the library's may be one."""
        if self.outputs.transform != "sigmoid" or 0 <= number <= 1:
            return number
        return float(1 / (1 + np.exp(-number)))

    def _label(self, number: int, fields: Mapping[str, Any], numbers: Sequence[float]) -> str | None:
        if self.kind is Kind.REGRESSOR:
            return None
        for name in _LABEL:
            if name not in fields or (name == "prediction" and self.kind is not Kind.MULTICLASS):
                continue
            value = fields[name]
            if value in (None, "") and value not in self.labels:
                return None  # as for a row that the library has no score of
            named = next((each for each in (value, _comparable(value)) if each in self.labels), None)
            if named is not None:
                return str(named)
            known = self.by_class.get(_comparable(value))
            if known is not None:
                return known
            if self.kind is Kind.CLUSTERER:
                return str(value)  # perhaps counted from 1
            raise ExportError(
                f"The predictions' row {number} has the class {value!r}, which is none of the model's: "
                f"{', '.join(self.labels)}. Say --labels where documents name the classes otherwise."
            )
        if self.kind is Kind.ANOMALY:
            return self.labels[0 if numbers[0] < 0 else 1]
        if not np.isfinite(numbers).all():
            return None
        best = min(numbers) if self.kind is Kind.CLUSTERER else max(numbers)
        return self.labels[list(numbers).index(best)]


def _shares(found: Sequence[Answer]) -> list[Answer]:
    """Probabilities, where the library gives the logits of which the manifest makes some."""
    numbers = np.array([each.values for each in found], np.float64)
    known = numbers[np.isfinite(numbers).all(axis=1)]
    if len(known) and (known >= 0).all() and np.allclose(known.sum(axis=1), 1, atol=1e-3):
        return list(found)
    powers = np.exp(numbers - numbers.max(axis=1, keepdims=True))
    shares = (powers / powers.sum(axis=1, keepdims=True)).tolist()
    return [Answer(tuple(row), each.label) for row, each in zip(shares, found, strict=True)]


def _from_zero(found: Sequence[Answer], outputs: Outputs) -> list[Answer]:
    """The answers of a library that numbers its clusters from 1, as ML.NET does."""
    if not all(np.isfinite(each.values).all() for each in found):
        return list(found)
    labels = list(outputs.label_of().values())
    nearest = [labels[each.values.index(min(each.values))] for each in found]
    by_number = {str(number): label for number, label in enumerate(labels, start=1)}
    said = {str(each.label) for each in found}
    counted = [by_number.get(str(each.label)) for each in found]
    if said <= set(labels) and counted != nearest:
        return list(found)
    strange = sorted(said - by_number.keys())
    if strange:
        raise ExportError(
            f"The predictions name the cluster '{strange[0]}', which is none of the model's: "
            f"{', '.join(labels)}."
        )
    return [Answer(each.values, by_number[str(each.label)]) for each in found]


def _comparable(value: Any) -> Any:
    """A class as the manifest or a table has it: true and 1.0 are 1, a number is its text."""
    if isinstance(value, str):
        return {"true": "1", "false": "0"}.get(value.lower(), value)
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _number(row: int, name: str, value: Any) -> float:
    if value is None:
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ExportError(
            f"The predictions' row {row} has {value!r} as '{name}', which is no number."
        ) from None
