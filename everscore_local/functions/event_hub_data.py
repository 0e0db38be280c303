"""Event Hubs messages as the real host hands them to the worker.

Sources: EventHubTriggerBindingStrategy.cs (names and shapes of the metadata) and
GrpcMessageConversionExtensions.cs (which .NET type becomes which kind). Times carry no zone: the real host
serialises a DateTime of unspecified kind. Building the JSON by hand is five times faster than dumping
dictionaries; only texts go through json.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .amqp_values import as_json
from .executor import Trigger

_quote = json.dumps

Field = tuple[str, str | None, Any]


class BindingFailedError(Exception):
    """The trigger data cannot be made of these events: a failed invocation that never reaches the worker."""


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One event of a partition.

    Attributes:
        body: None for an AMQP value or sequence, of which no trigger can make a parameter.
        enqueued_ms: milliseconds since the epoch.
    """

    body: bytes | None
    sequence_number: int
    offset: str
    enqueued_ms: int
    partition_key: str | None
    properties: dict[str, Any]
    system_properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PartitionIdentity:
    """Where events come from."""

    namespace: str
    hub: str
    consumer_group: str
    partition: str


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def time_text(milliseconds: int) -> str:
    """Return a time without zone as Json.NET writes it: no trailing zeros in the fraction."""
    second, fraction = divmod(milliseconds, 1000)
    return _second(second) + (f".{fraction:03d}".rstrip("0") if fraction else "")


def build_many(
    events: Sequence[ReceivedEvent],
    name: str,
    data_type: str,
    source: PartitionIdentity,
    *,
    checkpoints: bool = True,
) -> Trigger:
    """Return the trigger data of a batch, cardinality many; ``checkpoints``: one follows this invocation.

    Raises:
        BindingFailedError: a body that is no bytes; data type unset and a body that is not JSON.
    """
    times = [time_text(event.enqueued_ms) for event in events]
    metadata: list[Field] = [
        ("SystemPropertiesArray", "json", _array(_system(e, t) for e, t in zip(events, times, strict=True))),
        ("PropertiesArray", "json", _array(_properties(event) for event in events)),
        ("EnqueuedTimeUtcArray", "json", _array(f'"{text}"' for text in times)),
        ("SequenceNumberArray", "collection_sint64", [event.sequence_number for event in events]),
        ("OffsetArray", "collection_string", [event.offset for event in events if event.offset]),
        # As in the real host null entries are dropped: positions mean nothing here.
        ("PartitionKeyArray", "collection_string", [e.partition_key for e in events if e.partition_key]),
        ("PartitionContext", "json", _context(source, checkpoints=checkpoints)),
    ]
    return Trigger([(name, *_bodies(events, data_type))], metadata)


def build_one(
    event: ReceivedEvent, name: str, data_type: str, source: PartitionIdentity, *, checkpoints: bool = True
) -> Trigger:
    """Return the trigger data of a single event, cardinality one.

    Raises:
        BindingFailedError: a body that is no bytes.
    """
    text = time_text(event.enqueued_ms)
    metadata: list[Field] = [
        ("SystemProperties", "json", _system(event, text)),
        ("Properties", "json", _properties(event)),
        ("EnqueuedTimeUtc", "json", f'"{text}"'),
        ("SequenceNumber", "json", str(event.sequence_number)),
        ("Offset", "string", event.offset),
        ("PartitionContext", "json", _context(source, checkpoints=checkpoints)),
    ]
    if event.partition_key:
        metadata.append(("PartitionKey", "string", event.partition_key))
    if data_type == "BINARY":
        return Trigger([(name, "bytes", _bytes(event))], metadata)
    return Trigger([(name, "string", _utf8(event))], metadata)


def _bodies(events: Sequence[ReceivedEvent], data_type: str) -> tuple[str, Any]:
    if data_type == "BINARY":
        return "collection_bytes", [_bytes(event) for event in events]
    if data_type == "STRING":
        texts = [_utf8(event) for event in events]
        # Empty entries are dropped, as the worker does not ask for them; the library then fails the batch.
        return "collection_string", [text for text in texts if text]
    return "json", _array(_json(event) for event in events)


def _bytes(event: ReceivedEvent) -> bytes:
    if event.body is None:
        raise BindingFailedError(
            f"Exception binding parameter: the body of event {event.sequence_number} is an AMQP value or "
            f"sequence, not bytes"
        )
    return event.body


def _utf8(event: ReceivedEvent) -> str:
    return _bytes(event).decode("utf-8", "replace")


def _json(event: ReceivedEvent) -> str:
    try:
        return json.dumps(json.loads(_bytes(event)))
    except (ValueError, RecursionError) as error:  # nested by the thousand: Json.NET refuses that too
        raise BindingFailedError(
            f"Exception binding parameter: the body of event {event.sequence_number} is not JSON ({error}), "
            f"and the trigger sets no data_type"
        ) from error


def _array(items: Any) -> str:
    return "[" + ",".join(items) + "]"


def _system(event: ReceivedEvent, enqueued: str) -> str:
    key = _quote(event.partition_key) if event.partition_key is not None else "null"
    offset = _quote(event.offset)
    annotated = f',"x-opt-partition-key":{key}' if event.partition_key is not None else ""
    extra = ""
    if event.system_properties:
        extra = "," + _quote(as_json(event.system_properties))[1:-1]
    return (
        f'{{"x-opt-sequence-number":{event.sequence_number},"x-opt-offset":{offset},'
        f'"x-opt-enqueued-time":"{enqueued}+00:00"{annotated}{extra},'
        f'"SequenceNumber":{event.sequence_number},"Offset":{offset},"PartitionKey":{key},'
        f'"EnqueuedTimeUtc":"{enqueued}"}}'
    )


def _properties(event: ReceivedEvent) -> str:
    return _quote(as_json(event.properties)) if event.properties else "{}"


def _context(source: PartitionIdentity, *, checkpoints: bool) -> str:
    return _quote(
        {
            "FullyQualifiedNamespace": source.namespace,
            "EventHubName": source.hub,
            "ConsumerGroup": source.consumer_group,
            "PartitionId": source.partition,
            "IsCheckpointingAfterInvocation": checkpoints,
        }
    )
