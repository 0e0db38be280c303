"""The manifest of a model: how a payload becomes the inputs of ``model.onnx``, and what its outputs mean.

A model is a folder with ``manifest.json``, ``model.onnx`` and perhaps ``features.py``. The manifest is
checked as a whole: every mistake is reported at once, unknown fields are refused (a misspelt field would
otherwise silently do nothing), and ``schemas/model.schema.json`` lets editors check it while one types.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from everscore.config.checked_json import listed, parse_json_model, refuse, repeated
from everscore.failures import ManifestError
from everscore.score.input_form import Input, Name, Part
from everscore.score.output_form import Kind, Outputs, mistakes_for

MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"

_SHA256 = r"^[0-9a-f]{64}$"

Sha256 = Annotated[str, Field(pattern=_SHA256)]


class Features(Part):
    """Own code between payload and model: ``features(columns) -> columns``, the same file as in training."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+\.py$")] = "features.py"
    sha256: Sha256
    columns: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="the names of the columns that the function returns"
    )


class Training(Part):
    """Where the model comes from, for people; nothing here changes a score."""

    data: Name
    rows: Annotated[int, Field(ge=0)]
    tested_on: str = Field(default="", alias="testedOn")
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)


class Parity(Part):
    """How near ONNX came to the trained model when the file was written."""

    rows: Annotated[int, Field(ge=0)]
    tolerance: FiniteFloat
    largest_difference: FiniteFloat = Field(alias="largestDifference")
    compared: Literal["library", "predictions", "nothing"] = Field(
        default="library",
        description="with what: the library that trained the model, a file of predictions, or nothing",
    )
    rounded_share: Annotated[FiniteFloat, Field(ge=0, le=1)] = Field(
        default=0.0,
        alias="roundedShare",
        description="the share of rows that agree only with what the library says of the inputs rounded to "
        "32-bit floats, since a value lies that near to a split",
    )


class Golden(Part):
    """The rows that are scored and compared whenever the model is loaded."""

    rows: Annotated[int, Field(ge=1)]
    sha256: Sha256 = Field(description="SHA-256 of golden.jsonl")


DEFAULT_TOLERANCE = 1e-5


class Manifest(Part):
    """A model's manifest, schemas 1 and 2."""

    schema_reference: str = Field(default="", alias="$schema", description="the JSON Schema of this file")
    schema_number: Literal[1, 2] = Field(alias="schema")
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
        mistakes += mistakes_for(self.kind, self.outputs)
        if self.schema_number == 1:
            mistakes += [f'{each} is of schema 2: set "schema": 2' for each in self._of_schema_2()]
        refuse(mistakes)
        return self

    def _of_schema_2(self) -> list[str]:
        """The fields, as a sentence names them, that schema 1 has not."""
        inputs = [
            f"'{field}' of the input '{each.name}'"
            for each in self.inputs
            for field, used in (("categories", each.categories), ("shape", each.shape))
            if used is not None
        ]
        outputs = [
            f"outputs.{field}"
            for field, used in (
                ("value as a list", not isinstance(self.outputs.value, str)),
                ("transform", self.outputs.transform),
                ("columns", self.outputs.columns),
            )
            if used
        ]
        kind = ["the kind 'clusterer'"] if self.kind is Kind.CLUSTERER else []
        parity = ["parity.compared"] if self.parity and self.parity.compared != "library" else []
        return [*inputs, *outputs, *kind, *parity]


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
        "title": "Manifest of a model, schemas 1 and 2",
        **{k: v for k, v in Manifest.model_json_schema(by_alias=True).items() if k != "title"},
    }
