"""Dead letters sent back, and events of the hub sent through once more: both by way of the retry queue."""

from __future__ import annotations

from enum import StrEnum

from everscore.clock import times
from everscore.event.item import Item
from everscore.ports import HubEvent
from everscore.retry.dead_letter import DeadLetter


class From(StrEnum):
    """The stage that a redrive begins with."""

    FAILED = "failed"
    DECODE = "decode"


def redriven(letter: DeadLetter, name: str, start: From) -> Item:
    """The item of a dead letter, ready for the retry queue.

    Its age starts again, its counts are cleared, its history stays. What finished stages made is kept, so
    that a new model or rule never doubles a document, unless everything is asked for anew.

    Args:
        letter: as it was read.
        name: of its blob, which is removed once the event has a new end.
        start: ``FAILED``: the failed stage and all after it; ``DECODE``: everything.
    """
    item = letter.item
    item.letter = name
    item.queued_at = times.milliseconds_text(times.now())
    item.attempts = item.unexpected = item.crashes = 0
    item.braked, item.dead_letter = None, False
    item.blob = item.blob_size = None
    if start is From.DECODE:
        item.id = item.pk = item.time = item.scores = item.unscored = None
    return item


def replayed(event: HubEvent) -> Item:
    """An event of the hub as an item for the retry queue: stored already, it will be found superseded."""
    return Item(
        body=event.body,
        properties=event.properties or None,
        source=event.source,
        queued_at=times.milliseconds_text(times.now()),
    )
