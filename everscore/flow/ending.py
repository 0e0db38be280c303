"""When an event ends, how that is counted, and what is noted where it does not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from everscore.clock import times
from everscore.event.event import Done, Event
from everscore.event.item import Item, Source
from everscore.failures import EverscoreError, Failure, Permanent
from everscore.watch.summary import Summary


class NoPlaceAnswersError(EverscoreError):
    """Neither store nor retry queue nor dead letters took some events: the batch must come again."""


class NotStartedError(EverscoreError):
    """The app cannot be built, of its settings, files or packages: nothing that came was looked at."""


def is_final(event: Event) -> bool:
    """Whether a failed event is one for the dead letters."""
    return isinstance(event.failure, Permanent) and event.item.braked is None


def note(event: Event, stamp: str) -> None:
    """Write the event's failure into its item."""
    failure = event.failure
    if failure is None:
        return
    event.item.record(
        at=stamp,
        stage=failure.stage,
        reason=failure.reason,
        field=failure.field,
        exception=failure.detail,
        failure_class=failure.failure_class,
    )


def count(summary: Summary, events: Sequence[Event], failed: Sequence[Event]) -> None:
    """Add up where the events of a settled batch are."""
    for event in events:
        summary.clock_ahead += event.clock_ahead and event.done is not None
        if event.done is Done.STORED:
            summary.stored += 1
        elif event.done is Done.SUPERSEDED:
            summary.superseded += 1
        elif is_final(event) and not event.item.dead_letter:
            summary.bury(event.item)
        else:
            summary.queue(event.item)
            summary.braked += event.item.braked is not None
    summary.reasons.update(
        f"{event.item.stage}: {event.item.reason}" for event in failed if event.item.reason
    )


def foreign(data: bytes, message_id: str, inserted_at: str | None, failure: Failure) -> Event:
    """An event for a message that this release cannot read: its bytes, the message in place of a source.

    Args:
        data: the message.
        message_id: the queue's name for it; empty where unknown.
        inserted_at: when it was put into the queue: its name as a dead letter and its age go by that.
        failure: why it is none of ours.
    """
    name = message_id or hashlib.sha256(data).hexdigest()[:16]
    source = Source(hub="retry-queue", partition=name, sequence_number=0, enqueued_at=inserted_at)
    return Event(Item(kind="message", body=data, source=source, queued_at=inserted_at), failure=failure)


def queued_at(item: Item, otherwise: datetime) -> datetime:
    """When an item entered the queue; ``otherwise`` (now) where that is unknown or later."""
    if item.queued_at is None:
        return otherwise
    try:
        return min(times.parse(item.queued_at), otherwise)
    except ValueError:
        return otherwise


def age_of(item: Item, now: datetime) -> timedelta:
    """The time since an item entered the queue; none where that is not known, or not yet."""
    return now - queued_at(item, now)
