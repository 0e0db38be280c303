"""What a hub answers, in the pipeline's terms: states of partitions, events, refusals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpMessageBodyType
from azure.eventhub.exceptions import EventHubError

from everscore.adapters.amqp_values import as_json
from everscore.adapters.classification import classify_hub
from everscore.adapters.credentials import is_without_token
from everscore.clock import times
from everscore.event.item import Source
from everscore.failures import Failure, Stage, Transient
from everscore.ports import HubEvent
from everscore.quoting import quote

_STATUS = re.compile(r"Status code: (\d{3})\b")


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What a partition holds.

    Attributes:
        first, last: sequence numbers; last is -1 where nothing was ever sent.
        is_empty: whether retention has taken everything, or nothing was sent.
        last_enqueued_at: when the last event came in.
    """

    first: int
    last: int
    is_empty: bool
    last_enqueued_at: datetime


def state_of(properties: Mapping[str, Any]) -> PartitionState:
    """The state of a partition, from what `get_partition_properties` gives."""
    return PartitionState(
        first=properties["beginning_sequence_number"],
        last=properties["last_enqueued_sequence_number"],
        is_empty=properties["is_empty"],
        last_enqueued_at=properties["last_enqueued_time_utc"],
    )


def event_of(namespace: str, hub: str, partition: str, event: EventData) -> HubEvent:
    """The event with its place.

    Args:
        namespace: where it was read, as the host names it in a trigger's metadata.
        hub: its name.
        partition: its id.
        event: as the SDK gives it.
    """
    enqueued = event.enqueued_time
    return HubEvent(
        body=_body(event),
        properties=as_json(event.properties or {}),
        source=Source(
            namespace=namespace,
            hub=hub,
            partition=partition,
            sequence_number=event.sequence_number,
            offset=event.offset,
            enqueued_at=times.milliseconds_text(enqueued) if enqueued else None,
        ),
    )


def failure_of(hub: str, error: BaseException) -> Failure:
    """The failure that an exception stands for which ended a question or a reading.

    Args:
        hub: its name, for the sentence.
        error: of the SDK, or of the system below it.
    """
    if is_without_token(error):
        return Transient(Stage.RETRY, "no token", quote(str(error)))
    detail = f"{hub}: {type(error).__name__}: {quote(str(error))}"
    return classify_hub(*_refusal(error), detail)


def _refusal(error: BaseException) -> tuple[str | None, int | None]:
    """What the hub refuses with: the AMQP condition without its domain, and the status of its answer.

    Tokens and questions are answered with a status like HTTP's, of which the SDK keeps but the text.
    """
    if not isinstance(error, EventHubError):
        return None, None
    found = _STATUS.search(str(error))
    return error.error, int(found[1]) if found else None


def _body(event: EventData) -> bytes:
    if event.body_type is AmqpMessageBodyType.DATA:
        return b"".join(cast("Iterable[bytes]", event.body))
    return event.body_as_str().encode()
