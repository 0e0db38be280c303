"""Proposes a stream.json for a model's events: where id, partition key and time stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from everscore.clock import times
from everscore.event.pointer import Absent, compile_pointer
from everscore.event.stream_manifest import StreamManifest
from everscore_models.errors import ExportError
from everscore_models.trained import Payload

_IDS = ("id", "eventid", "event_id", "uuid", "guid", "key")
_TIMES = ("time", "timestamp", "eventtime", "event_time", "ts", "date", "datetime", "occurredat")


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamChoices:
    """Where an event's id, partition key and time stand, as JSON Pointers; None: look for them."""

    id: str | None = None
    key: Sequence[str] = ()
    time: str | None = None


def found_in(event: Payload, choices: StreamChoices) -> StreamChoices:
    """What was chosen, and of the rest what the names of an event's fields tell."""
    time = choices.time
    if time is None and (at := _named(event, _TIMES)) and _is_time(_value(event, at)):
        time = at
    return StreamChoices(id=choices.id or _named(event, _IDS), key=choices.key, time=time)


def propose_stream(
    model: str, events: Sequence[Payload], choices: StreamChoices
) -> tuple[dict[str, Any], list[str]]:
    """A stream.json, and what is to be known of the fields that it names.

    Raises:
        ExportError: there is no field to be the id, or one that was named stands in no event.
    """
    first = events[0]
    found = found_in(first, choices)
    id_at, time_at = found.id, found.time
    if id_at is None:
        raise ExportError(
            f"No field of the events is named like an id ({', '.join(first)}): say which is (--id /FIELD)."
        )
    key_at = list(choices.key) or [id_at]
    for pointer in (id_at, *key_at, *([time_at] if time_at else [])):
        if all(_value(each, pointer) is None for each in events):
            raise ExportError(f"No event has a field at {pointer}, which stream.json is to name.")
    document: dict[str, Any] = {
        "$schema": "../../everscore/schemas/stream.schema.json",
        "schema": 2,
        "unwrap": "object",
        "id": id_at,
        "partitionKey": key_at,
    }
    if time_at:
        document["time"] = time_at
    document["model"] = model
    StreamManifest.model_validate(document)
    return document, _warnings(events, id_at, key_at, time_at)


def _warnings(events: Sequence[Payload], id_at: str, key_at: Sequence[str], time_at: str | None) -> list[str]:
    found = []
    for pointer in dict.fromkeys((id_at, *key_at, *([time_at] if time_at else []))):
        blank = sum(_value(each, pointer) in (None, "") for each in events)
        if blank:
            found.append(
                f"{pointer} is missing or empty in {blank:,} of {len(events):,} events, which would be dead "
                "letters."
            )
    if not time_at:
        found.append("No field is the event's time: the moment at which the hub took the event counts.")
    elif any(not _is_time(each) for each in (_value(each, time_at) for each in events) if each is not None):
        found.append(f"{time_at} is no time by RFC 3339 in some events, which would be dead letters.")
    pairs = Counter(
        (str(_value(each, id_at)), *(str(_value(each, key)) for key in key_at))
        for each in events
        if _value(each, id_at) not in (None, "")
    )
    repeated = sum(count - 1 for count in pairs.values())
    if repeated:
        found.append(
            f"{repeated:,} of {len(events):,} events repeat the id and key of another: of each id only the "
            "newest would be kept."
        )
    return found


def _named(event: Payload, names: Sequence[str]) -> str | None:
    by_name = {str(name).casefold(): str(name) for name in event}
    for each in names:
        if each in by_name:
            return "/" + by_name[each].replace("~", "~0").replace("/", "~1")
    return None


def _value(event: Payload, pointer: str) -> Any:
    try:
        value = compile_pointer(pointer)(event)
    except ValueError as error:
        raise ExportError(f"stream.json cannot name it: {error}.") from error
    return None if isinstance(value, Absent) else value


def _is_time(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        times.parse(value)
    except ValueError:
        return False
    return True
