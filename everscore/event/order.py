"""Which of two versions of one id is the newer: the one rule, for storing and for whatever foretells it.

A redrive and a replay go through storing; what deletes settled dead letters asks the same function.
"""

from __future__ import annotations

from typing import NamedTuple

from everscore.event.item import Source

# Fields that must be equal for two sources to be the same event of the same hub.
_SAME = ("namespace", "hub", "partition", "sequence_number", "enqueued_at", "index")


class Version(NamedTuple):
    """What the order of versions turns on.

    Attributes:
        time: of the event; ISO-8601, UTC, microseconds.
        source: where it came from.
    """

    time: str | None
    source: Source


type Order = tuple[str, str, tuple[int, int | str], int, int]


def order(version: Version) -> Order:
    """Where a version of an id stands among the others; a later one is greater.

    Event time, then enqueued time, then partition, sequence number and index.
    """
    source = version.source
    partition = source.partition or ""
    place = (0, int(partition)) if partition.isascii() and partition.isdigit() else (1, partition)
    number = -1 if source.sequence_number is None else source.sequence_number
    return (version.time or "", source.enqueued_at or "", place, number, source.index)


def is_repeat(one: Source, other: Source) -> bool:
    """Whether two sources are one event of one hub, delivered again."""
    return one.sequence_number is not None and all(
        getattr(one, name) == getattr(other, name) for name in _SAME
    )


def supersedes(one: Version, other: Version) -> bool:
    """Whether a version takes the place of another: it is later in order, and not the same event again.

    Where neither of two versions supersedes the other, the one that is stored stays.
    """
    return order(one) > order(other) and not is_repeat(one.source, other.source)
