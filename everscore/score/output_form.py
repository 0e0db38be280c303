"""What a manifest says of the outputs: which ONNX outputs are read, and what their numbers mean."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from everscore.config.checked_json import refuse, repeated
from everscore.score.input_form import ClassName, Name, Part


class Kind(StrEnum):
    """What the model predicts, and so what ``outputs.value`` holds."""

    CLASSIFIER = "classifier"
    MULTICLASS = "multiclass"
    REGRESSOR = "regressor"
    ANOMALY = "anomaly"
    CLUSTERER = "clusterer"


class Outputs(Part):
    """Which ONNX outputs to read, and what they mean."""

    value: Name | Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="the ONNX output with the probabilities, the prediction, the anomaly score or the "
        "distances; of a regressor also several outputs, whose columns are taken one after the other "
        "(schema 2)"
    )
    label: Name | None = Field(
        default=None,
        description="the ONNX output with the predicted class; without it the class of the largest value",
    )
    classes: tuple[ClassName, ...] = Field(
        default=(), description="the classes as the ONNX file has them, in the order of its columns"
    )
    labels: tuple[Name, ...] = Field(
        default=(), description="the classes as documents name them, in the same order; default: their text"
    )
    positive: Name | None = Field(
        default=None,
        description="the label whose probability is the value; multi-class without it: the largest. Where "
        "the file has one column for two classes, it is this label's probability",
    )
    transform: Literal["softmax", "sigmoid"] | None = Field(
        default=None,
        description="the file gives logits, which this makes probabilities of (schema 2)",
    )
    columns: tuple[Name, ...] = Field(
        default=(),
        description="a regressor of several numbers: their names, in the order of its columns (schema 2)",
    )
    main: Name | None = Field(
        default=None,
        description="the one of these columns that is the value; default: the first (schema 2)",
    )

    def value_outputs(self) -> tuple[str, ...]:
        """The ONNX outputs that hold the numbers."""
        return (self.value,) if isinstance(self.value, str) else self.value

    def label_of(self) -> dict[int | str, str]:
        """Label by class, in column order."""
        labels = self.labels or tuple(str(each) for each in self.classes)
        return dict(zip(self.classes, labels, strict=True))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        mistakes = [
            *repeated("outputs.classes", self.classes),
            *repeated("outputs.labels", self.labels),
            *repeated("outputs.columns", self.columns),
        ]
        if self.labels and len(self.labels) != len(self.classes):
            mistakes.append(
                f"outputs.labels has {len(self.labels)} labels for {len(self.classes)} classes: "
                "give one label a class, in the same order"
            )
        elif self.positive is not None and self.positive not in self.label_of().values():
            known = ", ".join(self.label_of().values()) or "none"
            mistakes.append(f"outputs.positive is '{self.positive}', which is none of the labels ({known})")
        if self.main is not None and self.main not in self.columns:
            known = ", ".join(self.columns) or "none"
            mistakes.append(f"outputs.main is '{self.main}', which is none of outputs.columns ({known})")
        refuse(mistakes)
        return self


def mistakes_for(kind: Kind, outputs: Outputs) -> list[str]:
    """What of the outputs does not go with what the model predicts, one sentence each."""
    mistakes: list[str] = []
    by_class = kind in (Kind.CLASSIFIER, Kind.MULTICLASS)
    if kind is Kind.CLASSIFIER:
        if len(outputs.classes) != 2:
            mistakes.append(
                "a classifier has 2 outputs.classes, "
                f"found {len(outputs.classes)}: for more, kind is 'multiclass'"
            )
        if outputs.positive is None:
            mistakes.append("a classifier needs outputs.positive: the label whose probability is the value")
    if kind is Kind.MULTICLASS and len(outputs.classes) < 2:
        mistakes.append("a multi-class model needs outputs.classes, in the order of its columns")
    if kind is Kind.REGRESSOR and (outputs.label or outputs.classes or outputs.positive):
        mistakes.append("a regressor has no classes: remove outputs.label, classes, labels and positive")
    if kind is Kind.ANOMALY:
        if outputs.label is None or not outputs.classes:
            mistakes.append("an anomaly detector needs outputs.label and outputs.classes, such as [-1, 1]")
        if outputs.positive is not None:
            mistakes.append("an anomaly detector has one score for all classes: remove outputs.positive")
    if kind is Kind.CLUSTERER:
        if not outputs.classes:
            mistakes.append("a clusterer needs outputs.classes: its clusters, in the order of their columns")
        if outputs.positive is not None:
            mistakes.append("a clusterer's value is the distance to the nearest: remove outputs.positive")
    if outputs.transform and not by_class:
        mistakes.append(f"outputs.transform is for probabilities of classes: a {kind} has none")
    if kind is not Kind.REGRESSOR and (outputs.columns or not isinstance(outputs.value, str)):
        mistakes.append("only a regressor has several outputs.columns, or more than one output of values")
    if kind is Kind.REGRESSOR and not isinstance(outputs.value, str) and not outputs.columns:
        mistakes.append("outputs.value names several outputs: outputs.columns must name their numbers")
    return mistakes
