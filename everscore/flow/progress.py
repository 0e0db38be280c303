"""How far a batch came that was given back: what has its place already is not put there once more."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from everscore.decode.decoder import START, Position
from everscore.event.item import Item, Place
from everscore.watch.summary import Summary

# Batches; more than a process has partitions.
_MOST = 256
_END = Position(sys.maxsize, 0)


@dataclass(slots=True)
class Progress:
    """What of a batch is settled.

    Attributes:
        end: everything before this has its place.
        counted: everything before this has been counted towards the verdict on the configuration.
        summary: where what is settled is.
    """

    end: Position = START
    counted: Position = START
    summary: Summary = field(default_factory=Summary)


class GivenBack:
    """The progress of the batches that the host is to bring again, in this process.

    Only that: where the process dies, or another takes the partition over, a batch begins anew, which
    identity makes harmless.
    """

    def __init__(self) -> None:
        self._batches: OrderedDict[tuple[Place, Place, int], Progress] = OrderedDict()

    def take(self, items: Sequence[Item], *, again: bool) -> Progress:
        """How far a batch came before.

        Args:
            items: of the batch.
            again: the host says that it has tried this batch before.
        """
        key = _key_of(items)
        found = self._batches.pop(key, None) if key else None
        if not again:
            return Progress()
        # Of one that another process had, or this one before it died, nobody knows how far it was counted.
        return found or Progress(counted=_END)

    def keep(self, items: Sequence[Item], progress: Progress) -> None:
        """Remember how far a batch has come that is given back now; nothing of one whose place is unknown."""
        key = _key_of(items)
        if key is None:
            return
        self._batches[key] = progress
        while len(self._batches) > _MOST:
            self._batches.popitem(last=False)


def _key_of(items: Sequence[Item]) -> tuple[Place, Place, int] | None:
    """What tells a batch from every other: it lies in one partition, without gaps."""
    if not items:
        return None
    first, last = items[0].source.place, items[-1].source.place
    return (first, last, len(items)) if first and last else None
