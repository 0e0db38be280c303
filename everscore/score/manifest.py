"""The manifest of a model: how a payload becomes the inputs of ``model.onnx``, and what its outputs mean.

A model is a folder with ``manifest.json``, ``model.onnx`` and perhaps ``features.py``. The manifest is
checked as a whole: every mistake is reported at once, unknown fields are refused (a misspelt field would
otherwise silently do nothing), and ``schemas/model.schema.json`` lets editors check it while one types.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from everscore.config.checked_json import listed, parse_json_model, refuse, repeated
from everscore.event.pointer import parse_pointer
from everscore.failures import ManifestError

MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"

_LARGEST = sys.float_info.max
_SHA256 = r"^[0-9a-f]{64}$"


class Kind(StrEnum):
    """What the model predicts, and so what ``outputs.value`` holds."""

    CLASSIFIER = "classifier"
    MULTICLASS = "multiclass"
    REGRESSOR = "regressor"
    ANOMALY = "anomaly"


class InputType(StrEnum):
    """The JSON type that an input must have in the payload."""

    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"


def _checked_pointer(text: str) -> str:
    parse_pointer(text)
    return text


def _one_scalar(value: object, check: ValidatorFunctionWrapHandler) -> object:
    # Without this, pydantic reports one mistake for each member of the union.
    try:
        return check(value)
    except ValidationError:
        raise ValueError(f"must be a number, a text or a boolean, found {value!r}") from None


Pointer = Annotated[str, AfterValidator(_checked_pointer)]
Scalar = Annotated[bool | int | FiniteFloat | str, WrapValidator(_one_scalar)]
ClassName = Annotated[int | str, WrapValidator(_one_scalar)]
Sha256 = Annotated[str, Field(pattern=_SHA256)]
Name = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Default(_Part):
    """The value that stands in for a missing one."""

    value: Scalar


class Input(_Part):
    """One input: where it stands in the payload, its type, and what happens when it is missing or null."""

    name: Name = Field(description="the column's name in training")
    pointer: Pointer = Field(description="JSON Pointer (RFC 6901) into the payload")
    type: InputType
    missing: Annotated[
        Annotated[Literal["nan", "reject"], Tag("@rule")] | Annotated[Default, Tag("@value")],
        Discriminator(lambda found: "@value" if isinstance(found, dict | Default) else "@rule"),
    ] = Field(
        default="reject",
        description="missing or null: 'nan' gives the model a NaN, 'reject' refuses the event, "
        '{"value": …} stands in for it',
    )

    @model_validator(mode="after")
    def _missing_fits_type(self) -> Self:
        if self.missing == "nan" and self.type is InputType.TEXT:
            raise ValueError(
                f"the input '{self.name}' is text, which has no NaN: set 'missing' to 'reject' or "
                'to a value such as {"value": ""}'
            )
        if isinstance(self.missing, Default) and not _fits(self.missing.value, self.type):
            raise ValueError(
                f"the input '{self.name}' is of type {self.type}, which {self.missing.value!r} (its value "
                "when missing) is not"
            )
        return self


def _fits(value: object, kind: InputType) -> bool:
    match kind:
        case InputType.TEXT:
            return isinstance(value, str)
        case InputType.BOOLEAN:
            return isinstance(value, bool)
        case InputType.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        case InputType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


class Features(_Part):
    """Own code between payload and model: ``features(columns) -> columns``, the same file as in training."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+\.py$")] = "features.py"
    sha256: Sha256
    columns: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="the names of the columns that the function returns"
    )


class Outputs(_Part):
    """Which ONNX outputs to read, and what they mean."""

    value: Name = Field(
        description="the ONNX output with the probabilities, the prediction or the anomaly score"
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
        description="the label whose probability is the value; multi-class without it: the largest",
    )

    def label_of(self) -> dict[int | str, str]:
        """Label by class, in column order."""
        labels = self.labels or tuple(str(each) for each in self.classes)
        return dict(zip(self.classes, labels, strict=True))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        mistakes = [
            *repeated("outputs.classes", self.classes),
            *repeated("outputs.labels", self.labels),
        ]
        if self.labels and len(self.labels) != len(self.classes):
            mistakes.append(
                f"outputs.labels has {len(self.labels)} labels for {len(self.classes)} classes: "
                "give one label a class, in the same order"
            )
        elif self.positive is not None and self.positive not in self.label_of().values():
            known = ", ".join(self.label_of().values()) or "none"
            mistakes.append(f"outputs.positive is '{self.positive}', which is none of the labels ({known})")
        refuse(mistakes)
        return self


class Training(_Part):
    """Where the model comes from, for people; nothing here changes a score."""

    data: Name
    rows: Annotated[int, Field(ge=0)]
    tested_on: str = Field(default="", alias="testedOn")
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)


class Parity(_Part):
    """How near ONNX came to the trained pipeline when the file was written."""

    rows: Annotated[int, Field(ge=0)]
    tolerance: FiniteFloat
    largest_difference: FiniteFloat = Field(alias="largestDifference")


class Golden(_Part):
    """The rows that are scored and compared whenever the model is loaded."""

    rows: Annotated[int, Field(ge=1)]
    sha256: Sha256 = Field(description="SHA-256 of golden.jsonl")


DEFAULT_TOLERANCE = 1e-5


class Manifest(_Part):
    """A model's manifest, schema 1."""

    schema_reference: str = Field(default="", alias="$schema", description="the JSON Schema of this file")
    schema_number: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
    version: Name
    description: str = ""
    kind: Kind
    sha256: Sha256 = Field(description="SHA-256 of model.onnx")
    inputs: Annotated[tuple[Input, ...], Field(min_length=1)]
    features: Features | None = None
    tensors: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="ONNX input: the columns that it takes, in order; a column that is not named here "
        "goes to the ONNX input of its own name",
    )
    outputs: Outputs
    training: Training | None = None
    parity: Parity | None = None
    golden: Golden | None = Field(
        default=None, description="golden.jsonl; without it no score is compared when the model is loaded"
    )
    tools: dict[str, str] = Field(default_factory=dict)

    def columns(self) -> tuple[str, ...]:
        """The columns that reach the ONNX inputs."""
        return self.features.columns if self.features else tuple(each.name for each in self.inputs)

    def tolerance(self) -> float:
        """How far a score may be from that of the training library."""
        return self.parity.tolerance if self.parity else DEFAULT_TOLERANCE

    def columns_by_tensor(self) -> dict[str, tuple[str, ...]]:
        """The columns of each ONNX input, the unnamed ones under their own names."""
        used = {column for columns in self.tensors.values() for column in columns}
        return {**self.tensors, **{column: (column,) for column in self.columns() if column not in used}}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        columns = self.columns()
        used = [column for each in self.tensors.values() for column in each]
        mistakes = [
            *repeated("the names of inputs", [each.name for each in self.inputs]),
            *repeated("features.columns", self.features.columns if self.features else ()),
            *repeated("the columns of tensors", used),
            *(
                f"tensors.{tensor} names the column '{column}', but the columns are {listed(columns)}"
                for tensor, each in self.tensors.items()
                for column in each
                if column not in columns
            ),
            *(
                f"the column '{column}' and tensors.{column} both feed the ONNX input '{column}': name "
                "the column in tensors too"
                for column in columns
                if column in self.tensors and column not in used
            ),
        ]
        outputs, kind = self.outputs, self.kind
        if kind is Kind.CLASSIFIER:
            if len(outputs.classes) != 2:
                mistakes.append(
                    "a classifier has 2 outputs.classes, "
                    f"found {len(outputs.classes)}: for more, kind is 'multiclass'"
                )
            if outputs.positive is None:
                mistakes.append(
                    "a classifier needs outputs.positive: the label whose probability is the value"
                )
        if kind is Kind.MULTICLASS and len(outputs.classes) < 2:
            mistakes.append("a multi-class model needs outputs.classes, in the order of its columns")
        if kind is Kind.REGRESSOR and (outputs.label or outputs.classes or outputs.positive):
            mistakes.append("a regressor has no classes: remove outputs.label, classes, labels and positive")
        if kind is Kind.ANOMALY:
            if outputs.label is None or not outputs.classes:
                mistakes.append(
                    "an anomaly detector needs outputs.label and outputs.classes, such as [-1, 1]"
                )
            if outputs.positive is not None:
                mistakes.append("an anomaly detector has one score for all classes: remove outputs.positive")
        refuse(mistakes)
        return self


def load_manifest(folder: Path) -> Manifest:
    """Reads and checks ``manifest.json`` of a model's folder.

    Raises:
        ManifestError: the file is missing, no JSON, or has mistakes; the message has one sentence for each.
    """
    path = folder / MANIFEST_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"{path}: cannot be read ({error.strerror}): a model's folder holds {MANIFEST_FILE} "
            f"and {MODEL_FILE}."
        ) from error
    return parse_manifest(raw, where=str(path))


def parse_manifest(raw: bytes, *, where: str = MANIFEST_FILE) -> Manifest:
    """Checks the bytes of a manifest.

    Raises:
        ManifestError: see `load_manifest`; `where` begins each sentence.
    """
    return parse_json_model(Manifest, raw, where=where)


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of a manifest, as committed in ``schemas/model.schema.json``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Manifest of a model, schema 1",
        **{k: v for k, v in Manifest.model_json_schema(by_alias=True).items() if k != "title"},
    }
