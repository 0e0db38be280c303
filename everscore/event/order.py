"""Which of two versions of one id is the newer: the one rule, for storing and for whatever foretells it.

A redrive and a replay go through storing; what deletes settled dead letters asks the same function.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from everscore.clock import times
from everscore.event.item import Source

# By how much an event's time may lie beyond its enqueued time (CLOCK_AHEAD_HOURS).
CLOCK_AHEAD = timedelta(hours=24)


class Version(NamedTuple):
    """What the order of versions turns on.

    Attributes:
        time: of the event; ISO-8601, UTC, microseconds.
        source: where it came from.
    """

    time: str | None
    source: Source


# Python reads no number of more than 4,300 digits.
_DIGITS = 18

type Order = tuple[str, str, tuple[int, int | str], int, int]


def believed_time(time: str | None, source: Source, clock_ahead: timedelta) -> str | None:
    """The time of an event, or the second of its enqueuing where that lies too far before it.

    One event that is dated years ahead would otherwise supersede every later version of its id, in silence.

    Args:
        time: of the event; ISO-8601, UTC, microseconds.
        source: where it came from; where its enqueued time is not known the event's time stands.
        clock_ahead: by how much a producer's clock may be ahead of the hub's.
    """
    enqueued = source.enqueued_second
    # Nearly every event is older than its enqueuing, and texts order as times do.
    if not time or not enqueued or time[: len(enqueued)] <= enqueued:
        return time
    try:
        is_ahead = times.parse(time) - times.parse(f"{enqueued}Z") > clock_ahead
        return times.normalise(f"{enqueued}Z") if is_ahead else time
    except ValueError:  # of a document or a message that somebody else wrote
        return time


def order(version: Version, clock_ahead: timedelta = CLOCK_AHEAD) -> Order:
    """Where a version of an id stands among the others; a later one is greater.

    Event time (see `believed_time`), then the second of enqueuing, then partition, sequence number and index.
    Within a partition the sequence number says the same as milliseconds, which not all sources have.
    """
    source = version.source
    partition = source.partition or ""
    # As a number where it is one; no hub has a partition of so many digits that a number would be refused.
    is_number = partition.isascii() and partition.isdigit() and len(partition) <= _DIGITS
    place = (0, int(partition)) if is_number else (1, partition)
    number = -1 if source.sequence_number is None else source.sequence_number
    time = believed_time(version.time, source, clock_ahead)
    return (time or "", source.enqueued_second or "", place, number, source.index)


def is_repeat(one: Source, other: Source) -> bool:
    """Whether two sources are one event of one hub, delivered again; never where a place is not known."""
    return (
        one.place is not None
        and one.place == other.place
        and one.index == other.index
        and (one.namespace or "").lower() == (other.namespace or "").lower()
    )


def supersedes(one: Version, other: Version, clock_ahead: timedelta = CLOCK_AHEAD) -> bool:
    """Whether a version takes the place of another: it is later in order, and not the same event again.

    Where neither of two versions supersedes the other, the one that is stored stays.
    """
    return order(one, clock_ahead) > order(other, clock_ahead) and not is_repeat(one.source, other.source)
