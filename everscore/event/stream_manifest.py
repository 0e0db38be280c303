"""What stream.json may say: its form, which is checked as a whole and committed as a JSON Schema."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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
    model: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="The folder below models/ of the model."
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

    @model_validator(mode="after")
    def _check_property(self) -> StreamManifest:
        if isinstance(self.id, PropertyId) and self.unwrap != "object":
            raise ValueError(
                "id: a property belongs to the whole body, so all its records would have one id; with unwrap "
                f"'{self.unwrap}' it must be a JSON Pointer into each record"
            )
        return self


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
