"""Which of two versions of one id is the newer: the one rule, for storing and for whatever foretells it.

A redrive and a replay go through storing; what deletes settled dead letters asks the same function.
"""

from __future__ import annotations

from typing import NamedTuple

from everscore.event.item import Source


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
    """Whether two sources are one event of one hub, delivered again; never where a place is not known."""
    return (
        one.place is not None
        and one.place == other.place
        and one.index == other.index
        and (one.namespace or "").lower() == (other.namespace or "").lower()
    )


def supersedes(one: Version, other: Version) -> bool:
    """Whether a version takes the place of another: it is later in order, and not the same event again.

    Where neither of two versions supersedes the other, the one that is stored stays.
    """
    return order(one) > order(other) and not is_repeat(one.source, other.source)
