"""What stream.json may say: its form, which is checked as a whole and committed as a JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from everscore.config.checked_json import refuse, repeated
from everscore.event.pointer import compile_pointer


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class PropertyId(_Part):
    """The id stands in an application property of the event."""

    property: str = Field(min_length=1, description="Name of the application property.")


class Buckets(_Part):
    """A partition key for keys with many values: a day and a hashed bucket, such as ``2026-11-25|17``."""

    of: str = Field(description="JSON Pointer to the field that is hashed; it never changes for one id.")
    buckets: int = Field(ge=1, le=100_000, description="How many buckets a day.")
    day: str = Field(
        description="JSON Pointer to a date or a time (RFC 3339); its day in UTC never changes for one id."
    )


class EpochTime(_Part):
    """The time is a number since 1970-01-01 UTC."""

    pointer: str = Field(description="JSON Pointer to the number.")
    unit: Literal["s", "ms"] = Field(description="Seconds or milliseconds.")


ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class UsedModel(_Part):
    """A model that scores the events."""

    name: ModelName = Field(description="The folder below models/ of the model.")
    required: bool = Field(
        True,
        description="Whether an event that this model cannot score is kept from being stored; without it "
        'the document has {"error": …} in place of this model\'s scores.',
    )


class StreamManifest(_Part):
    """What an event is, for this deployment; apart from the model, which may change without it."""

    schema_uri: str | None = Field(None, alias="$schema", description="Address of this schema, for editors.")
    schema_number: Literal[1, 2] = Field(
        alias="schema",
        description="Version of this format; it also says how identities are made of numbers and places.",
    )
    unwrap: Literal["object", "array", "records"] = Field(
        description="object: the body is one event. array: it is a list of events. "
        'records: it is {"records": [event, …]}.'
    )
    id: str | PropertyId | None = Field(
        None,
        description="JSON Pointer, or an application property; without it, the place in the hub is the id.",
    )
    partition_key: list[str] | Buckets = Field(
        alias="partitionKey",
        description="JSON Pointers to fields that never change for one id, or hashed buckets.",
    )
    time: str | EpochTime | None = Field(
        None,
        description="JSON Pointer to the event's time (RFC 3339); without it, the enqueued time counts.",
    )
    model: ModelName | None = Field(None, description="The folder below models/ of the one model.")
    models: Annotated[list[ModelName | UsedModel], Field(min_length=1)] | None = Field(
        None,
        description="The models, where there are several; each scores every event (schema 2).",
        validate_default=True,
    )

    @field_validator("id", "time")
    @classmethod
    def _check_pointer(cls, value: Any) -> Any:
        if isinstance(value, str):
            compile_pointer(value)
        elif isinstance(value, EpochTime):
            compile_pointer(value.pointer)
        return value

    @field_validator("partition_key")
    @classmethod
    def _check_pointers(cls, value: list[str] | Buckets) -> list[str] | Buckets:
        pointers = value if isinstance(value, list) else [value.of, value.day]
        if not pointers:
            raise ValueError("must name at least one field")
        for pointer in pointers:
            compile_pointer(pointer)
        return value

    @field_validator("models")
    @classmethod
    def _check_models(
        cls, value: list[str | UsedModel] | None, info: ValidationInfo
    ) -> list[str | UsedModel] | None:
        if "model" not in info.data:
            return value  # which is wrong, and said to be
        if value is None:
            if info.data["model"] is None:
                raise ValueError(
                    "name the model that scores these events: one as 'model', several as 'models'"
                )
            return value
        mistakes = []
        if info.data["model"] is not None:
            mistakes.append("there is both 'model' and 'models': keep one of them")
        used = _used(value)
        mistakes += repeated("models", [each.name for each in used])
        if info.data.get("schema_number") == 1:
            mistakes.append('models is of schema 2: set "schema": 2')
        if not any(each.required for each in used):
            mistakes.append("models: none of them is required; an event needs a score to be stored")
        refuse(mistakes)
        return value

    def used_models(self) -> tuple[UsedModel, ...]:
        """The models that score each event, in order."""
        return _used(self.models if self.models is not None else [self.model or ""])

    @model_validator(mode="after")
    def _check_property(self) -> StreamManifest:
        if isinstance(self.id, PropertyId) and self.unwrap != "object":
            raise ValueError(
                "id: a property belongs to the whole body, so all its records would have one id; with unwrap "
                f"'{self.unwrap}' it must be a JSON Pointer into each record"
            )
        return self


def _used(named: list[str | UsedModel] | list[str]) -> tuple[UsedModel, ...]:
    return tuple(each if isinstance(each, UsedModel) else UsedModel(name=each) for each in named)


def stream_schema() -> dict[str, Any]:
    """The JSON Schema of stream.json, as committed in ``schemas/stream.schema.json``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What an event is, schemas 1 and 2",
        **{
            name: part
            for name, part in StreamManifest.model_json_schema(by_alias=True).items()
            if name != "title"
        },
    }
