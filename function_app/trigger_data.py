"""From what the Functions worker hands over to the pipeline's items. Any metadata may be missing."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import azure.functions as func
from msgspec import structs

from everscore.clock import times
from everscore.event.item import Item, Source
from everscore.failures import describe
from everscore.flow.score_events import RetryState

logger = logging.getLogger(__name__)

_ENDLESS = -1
_TRACE_PROPERTIES = ("traceparent", "Diagnostic-Id")


def items_of(events: Sequence[func.EventHubEvent], hub: str, traceparent: str | None) -> list[Item]:
    """One item an event. Nothing that is wrong with the metadata keeps an event from having one.

    A raise here would come before the batch is anywhere but in the hub, and come again with each try of it.

    Args:
        events: of one invocation, all of one partition.
        hub: name of the hub, used where the metadata has none.
        traceparent: of the invocation, for events that carry none.
    """
    if not events:
        return []
    metadata = _metadata_of(events[0])  # one object, shared by all events of the batch
    partition = _mapping(metadata.get("PartitionContext"))
    properties = _aligned(metadata.get("PropertiesArray"), len(events))
    system = _aligned(metadata.get("SystemPropertiesArray"), len(events))
    whole = Source(
        namespace=_text(partition.get("FullyQualifiedNamespace")),
        hub=_text(partition.get("EventHubName")) or hub,
        partition=_text(partition.get("PartitionId")),
    )
    return [
        _item_of(event, own, of_system, whole, traceparent)
        for event, own, of_system in zip(events, properties, system, strict=True)
    ]


def _metadata_of(event: func.EventHubEvent) -> Mapping[str, Any]:
    try:
        return _mapping(event.metadata)
    except Exception as error:  # noqa: BLE001 - the library parses it only now, and all of it or nothing
        logger.warning(
            "The metadata of a batch cannot be read (%s): its events go on without properties, and under "
            "names made of their content where stream.json maps no id.",
            describe(error),
        )
        return {}


def _item_of(
    event: func.EventHubEvent,
    properties: dict[str, Any],
    system: dict[str, Any],
    whole: Source,
    traceparent: str | None,
) -> Item:
    body = event.get_body() or b""
    try:
        source = structs.replace(
            whole,
            sequence_number=_number(system.get("SequenceNumber"), event.sequence_number),
            offset=_text(system.get("Offset")),
            enqueued_at=_time(system.get("EnqueuedTimeUtc")),
        )
    except Exception as error:  # noqa: BLE001 - this one event's own: its neighbours have their places
        logger.warning("The place of an event in its partition cannot be read: %s", describe(error))
        source = whole
    return Item(
        body=body,
        properties=properties or None,
        source=source,
        traceparent=_trace(properties, traceparent),
    )


def retry_state_of(context: func.Context) -> RetryState:
    """What the host says of earlier tries; without a policy its default counts: no try, no endless bound."""
    retry = context.retry_context
    exception = getattr(retry, "rpc_exception", None) or getattr(retry, "exception", None)
    text = getattr(exception, "message", None) or (str(exception) if exception else "")
    return RetryState(
        count=int(retry.retry_count or 0), endless=retry.max_retry_count == _ENDLESS, previous=text
    )


def inserted_at(message: func.QueueMessage) -> str | None:
    """When a message was put into its queue, ISO-8601 in UTC; None where the host does not say."""
    moment = message.insertion_time
    return times.milliseconds_text(moment) if moment else None


def _aligned(value: object, length: int) -> list[dict[str, Any]]:
    """A list of objects, one an event; empty objects where the host gave none that fit."""
    if not isinstance(value, list) or len(value) != length:
        return [{} for _ in range(length)]
    return [_mapping(each) for each in value]


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and value != "" else None


def _number(value: object, otherwise: object) -> int | None:
    for each in (value, otherwise):
        if isinstance(each, int) and not isinstance(each, bool) and -(2**63) <= each < 2**63:
            return each
    return None


def _time(value: object) -> str | None:
    """UTC with milliseconds, as all sources are written."""
    if not isinstance(value, str):
        return None
    try:
        return times.normalise_enqueued(value)
    except ValueError:
        return None


def _trace(properties: Mapping[str, Any], otherwise: str | None) -> str | None:
    for name in _TRACE_PROPERTIES:
        value = properties.get(name)
        if isinstance(value, str) and value:
            return value
    return otherwise or None
