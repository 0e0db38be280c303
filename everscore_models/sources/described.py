"""What the sources of boosted models say alike: kinds, outputs, answers, versions."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np

from everscore.score.columns import Array
from everscore.score.input_form import InputType
from everscore.score.output_form import Kind
from everscore_models.candidate import Answer, Choices
from everscore_models.errors import ExportError

PROBABILITIES = "probabilities"
PREDICTION = "prediction"


def kind_of(classes: int) -> Kind:
    """The kind of a model of so many classes; 0: it predicts a number."""
    if not classes:
        return Kind.REGRESSOR
    return Kind.CLASSIFIER if classes == 2 else Kind.MULTICLASS


def outputs_of(
    kind: Kind, classes: Sequence[int | str], choices: Choices, library: str, columns: Sequence[str] = ()
) -> dict[str, Any]:
    """The manifest's ``outputs`` for a graph with one output.

    Args:
        kind: what the model predicts.
        classes: in the order of the columns.
        choices: what the person says of labels.
        library: for the sentences.
        columns: the names of the numbers, where the model predicts several.

    Raises:
        ExportError: the labels, or the positive one, do not go with the classes.
    """
    if kind is Kind.REGRESSOR:
        if choices.labels or choices.positive:
            raise ExportError(
                f"This {library} model predicts a number: it has no labels and no positive one."
            )
        return {"value": PREDICTION, "columns": list(columns)} if columns else {"value": PREDICTION}
    labels = list(choices.labels) or [str(each) for each in classes]
    if len(labels) != len(classes):
        raise ExportError(
            f"This {library} model has {len(classes)} classes, and {len(labels)} labels were given "
            f"({', '.join(labels)}): give one for each, in the order of the classes "
            f"({', '.join(str(each) for each in classes)})."
        )
    outputs: dict[str, Any] = {"value": PROBABILITIES, "classes": list(classes), "labels": labels}
    positive = choices.positive or (labels[1] if kind is Kind.CLASSIFIER else None)
    if positive is not None:
        if positive not in labels:
            raise ExportError(f"'{positive}' is none of the model's labels: {', '.join(labels)}.")
        outputs["positive"] = positive
    return outputs


def type_of(categories: Sequence[Any]) -> InputType:
    """The JSON type of a column's categories."""
    if all(isinstance(each, str) for each in categories):
        return InputType.TEXT
    if all(isinstance(each, bool) for each in categories):
        return InputType.BOOLEAN
    return InputType.INTEGER if all(isinstance(each, int) for each in categories) else InputType.NUMBER


def answers(kind: Kind, labels: Sequence[str], numbers: Array) -> list[Answer]:
    """Answers from what a library predicts.

    Args:
        kind: what the model predicts.
        labels: of the classes, in their order.
        numbers: float64 [rows, columns]; of two classes also the second's probability alone.
    """
    if kind is Kind.REGRESSOR:
        return [Answer(tuple(row), None) for row in numbers.tolist()]
    if numbers.shape[1] == 1:
        numbers = np.concatenate([1.0 - numbers, numbers], axis=1)
    best = numbers.argmax(axis=1).tolist()
    return [Answer(tuple(row), labels[at]) for row, at in zip(numbers.tolist(), best, strict=True)]


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return find_spec(package) is not None


def versions(*packages: str) -> dict[str, str]:
    """The versions of these packages, as far as they are installed."""
    found: dict[str, str] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
