"""What an event of this deployment is: stream.json, read once, and what follows from it for one payload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from everscore.clock import times
from everscore.config.checked_json import parse_json_model
from everscore.event import identity, storable
from everscore.event.item import Source
from everscore.event.order import CLOCK_AHEAD, believed_time
from everscore.event.pointer import Absent, Getter, compile_pointer
from everscore.event.stream_manifest import Buckets, EpochTime, PropertyId, StreamManifest
from everscore.failures import ManifestError, Permanent, Stage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": "seconds", "ms": "milliseconds"}
_EARLIEST = "0001-01-01T00:00:00.000000Z"


@dataclass(frozen=True, slots=True)
class Identity:
    """What names an event in the store, and when it happened.

    Attributes:
        pk: value of the partition key.
        id: of the document, within its partition key.
        key: the fields that both were made of, as the producer wrote them.
        time: ISO-8601, UTC, microseconds.
        clock_ahead: the event says a time that is not believed, and stands at the one of its enqueuing.
    """

    pk: str
    id: str
    key: dict[str, Any]
    time: str
    clock_ahead: bool = False


class Stream:
    """A checked stream.json, ready to be applied to payloads.

    Args:
        manifest: what stream.json says.
        clock_ahead: by how much an event's time may lie beyond its enqueued time.
    """

    def __init__(self, manifest: StreamManifest, clock_ahead: timedelta = CLOCK_AHEAD) -> None:
        self._clock_ahead = clock_ahead
        self.manifest = manifest
        self.models = manifest.used_models()
        self.unwrap = manifest.unwrap
        self._schema = manifest.schema_number
        id_rule = manifest.id
        self._id_getter = compile_pointer(id_rule) if isinstance(id_rule, str) else None
        key = manifest.partition_key
        self._time_is_day = isinstance(key, Buckets) and key.day == manifest.time

    def identify(
        self,
        payload: object,
        source: Source,
        properties: Mapping[str, Any] | None,
        body: bytes,
    ) -> Identity:
        """Find the identity and the time of one event.

        Args:
            payload: the parsed record.
            source: where it came from.
            properties: the application properties of its event.
            body: the record's exact bytes.

        Raises:
            Permanent: a field is missing, null, empty or of the wrong kind; it is named.
        """
        key: dict[str, Any] = {}
        # One field is often both, and reading a time is much of the work of an identity.
        time = self._time(payload, source) if self._time_is_day else None
        pk = self._pk(payload, key, time)
        doc_id = self._id(payload, source, properties, body, key=key)
        time = time or self._time(payload, source)
        believed = self._believed(time, source)
        return Identity(pk, doc_id, key, believed, clock_ahead=believed != time)

    def _believed(self, time: str, source: Source) -> str:
        if source.enqueued_at:
            return believed_time(time, source, self._clock_ahead) or time
        # Enqueued no later than now. The earliest time stands in for the unknown one, as where stream.json
        # maps no time: the present would be another with each delivery, and so overwrite what is newer.
        is_ahead = time > times.microseconds_text(times.now() + self._clock_ahead)
        return _EARLIEST if is_ahead else time

    def _id(
        self,
        payload: object,
        source: Source,
        properties: Mapping[str, Any] | None,
        body: bytes,
        *,
        key: dict[str, Any],
    ) -> str:
        rule = self.manifest.id
        if rule is None:
            return identity.source_id(source, body, self._schema)
        if self._id_getter is not None:
            value = _key_value(self._id_getter(payload), str(rule), "id")
            key["id"] = value
            return identity.encode_id(value, self._schema)
        name = rule.property if isinstance(rule, PropertyId) else str(rule)
        value = _key_value((properties or {}).get(name, Absent.MISSING), f"property {name}", "id")
        # As a document holds it: unlike a payload, a property may be a long integer that nobody looks for.
        key["id"], _ = storable.spell_long_integers(storable.clean(value)[0])
        return identity.encode_id(value, self._schema)

    @cached_property
    def _pk_getters(self) -> list[tuple[str, Getter]]:
        rule = self.manifest.partition_key
        pointers = rule if isinstance(rule, list) else [rule.of, rule.day]
        return [(pointer, compile_pointer(pointer)) for pointer in pointers]

    def _pk(self, payload: object, key: dict[str, Any], time: str | None) -> str:
        values = [_key_value(get(payload), pointer, "partition key") for pointer, get in self._pk_getters]
        key["pk"] = values
        rule = self.manifest.partition_key
        if isinstance(rule, Buckets):
            day = time[:10] if time else _read_time(values[1], rule.day, times.utc_day)
            return f"{day}|{identity.bucket(values[0], rule.buckets, self._schema)}"
        pk = "|".join(identity.encode(value, self._schema) for value in values)
        if len(pk) > identity.PK_LIMIT:
            fields = ", ".join(pointer for pointer, _ in self._pk_getters)
            raise Permanent(
                Stage.VALIDATE,
                "partition key too long",
                f"it has {len(pk)} bytes once encoded, and the store takes {identity.PK_LIMIT}",
                field=fields,
            )
        return pk

    @cached_property
    def _time_rule(self) -> tuple[str, Getter, Callable[[object, str], str]] | None:
        rule = self.manifest.time
        if rule is None:
            return None
        if isinstance(rule, EpochTime):
            unit = timedelta(**{_UNITS[rule.unit]: 1})
            return rule.pointer, compile_pointer(rule.pointer), partial(_read_number, unit=unit)
        return rule, compile_pointer(rule), _read_time

    def _time(self, payload: object, source: Source) -> str:
        if self._time_rule is None:
            return self._enqueued(source)
        pointer, get, read = self._time_rule
        return read(get(payload), pointer)

    def _enqueued(self, source: Source) -> str:
        """The time of enqueuing, as an event's time; where it is not known, the earliest that there is.

        From schema 2 on it is cut off at the second: a version out of an archive, which has no milliseconds,
        would otherwise be older than another of the same second.
        """
        enqueued = source.enqueued_at if self._schema == 1 else f"{source.enqueued_second}Z"
        try:
            return times.normalise(enqueued or "")
        except ValueError:
            return _EARLIEST


def _key_value(value: object, field: str, what: str) -> str | int | float:
    # bool is an int to Python, and no name of anything
    if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
        return value
    if value is Absent.MISSING:
        raise Permanent(
            Stage.VALIDATE,
            f"{what} missing",
            "the event has no such field: the producer must send it, or stream.json name another",
            field=field,
        )
    if value is None:
        raise Permanent(Stage.VALIDATE, f"{what} is null", "a text or a number is needed", field=field)
    if value == "":
        raise Permanent(Stage.VALIDATE, f"{what} is empty", "a text or a number is needed", field=field)
    found = "a field inside of what is no object" if value is Absent.BLOCKED else _kind(value)
    raise Permanent(
        Stage.VALIDATE,
        f"{what} of the wrong type",
        f"found {found}; a text or a number is needed",
        field=field,
    )


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", str: "a text", type(None): "null"}
    return names.get(type(value), "a number")


def _read_time(value: object, field: str, read: Callable[[str], str] = times.normalise) -> str:
    if isinstance(value, str):
        try:
            return read(value)
        except ValueError as error:
            raise Permanent(Stage.VALIDATE, "time not readable", str(error), field=field) from error
    if value is Absent.MISSING or value is None:
        raise Permanent(Stage.VALIDATE, "time missing", "an RFC 3339 time is needed", field=field)
    found = "a field inside of what is no object" if value is Absent.BLOCKED else _kind(value)
    raise Permanent(
        Stage.VALIDATE,
        "time of the wrong type",
        f"found {found}; an RFC 3339 time is needed (for a number, say its unit in stream.json)",
        field=field,
    )


def _read_number(value: object, field: str, *, unit: timedelta) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return times.microseconds_text(_EPOCH + value * unit)
        except (OverflowError, ValueError) as error:
            detail = "the number lies outside of the years 1 to 9999: is the unit in stream.json right?"
            raise Permanent(Stage.VALIDATE, "time not readable", detail, field=field) from error
    if value is Absent.MISSING or value is None:
        raise Permanent(Stage.VALIDATE, "time missing", "a number is needed", field=field)
    raise Permanent(Stage.VALIDATE, "time of the wrong type", "a number is needed", field=field)


def load_stream(path: Path, clock_ahead: timedelta = CLOCK_AHEAD) -> Stream:
    """Read and check stream.json.

    Args:
        path: of the file.
        clock_ahead: see `Stream`.

    Raises:
        ManifestError: it is missing or wrong; every mistake is listed.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"{path.name} cannot be read ({error.strerror}); it says what an event of this deployment is."
        ) from error
    return Stream(parse_json_model(StreamManifest, text, where=path.name), clock_ahead)
