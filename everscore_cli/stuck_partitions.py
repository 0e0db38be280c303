"""Finds partitions whose checkpoint does not move while events wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from everscore.adapters.checkpoints import Position
from everscore.adapters.hub import HubReader
from everscore.adapters.hub_answers import PartitionState
from everscore.clock import times
from everscore.config.settings import Settings
from everscore_cli.clients.destinations import hub_reader
from everscore_cli.observe import HubEnd, Partition


@dataclass(frozen=True, slots=True)
class StuckPartition:
    """How a partition stands still.

    Attributes:
        first: sequence number of the event that waits longest.
        seconds: for which that event has waited and the checkpoint has not moved.
    """

    first: int
    seconds: float


async def stuck_partitions(
    settings: Settings,
    partitions: Sequence[Partition],
    ends: Mapping[str, HubEnd],
    positions: Mapping[str, Position],
    *,
    furthest: Mapping[str, int],
    threshold: float,
) -> dict[str, StuckPartition]:
    """Partitions that have stood still for at least ``threshold`` seconds, by id.

    A checkpoint also stands still where nothing comes in, so the time counts since the first event that waits
    came in, beyond the furthest that the partition was passed: what lies behind a checkpoint that went back
    does not wait. The hub is asked for that event only where the checkpoint is old enough.

    Args:
        settings: lead to the hub.
        partitions: with their lag.
        ends: the range of each.
        positions: the checkpoints; a partition may have none.
        furthest: the highest checkpoint that was seen of a partition; those without any are missing.
        threshold: in seconds.

    Raises:
        Failure: the hub cannot be read.
    """
    now = times.now()
    candidates = [
        one
        for one in partitions
        if one.lag and (one.id not in positions or _seconds(positions[one.id].moved, now) >= threshold)
    ]
    if not candidates:
        return {}
    async with hub_reader(settings) as hub:
        waiting = await asyncio.gather(
            *(
                _first_waiting(hub, one.id, furthest.get(one.id), ends[one.id], positions.get(one.id))
                for one in candidates
            )
        )
    return {
        one.id: StuckPartition(first, _seconds(since, now))
        for one, (first, since) in zip(candidates, waiting, strict=True)
        if since is not None and _seconds(since, now) >= threshold
    }


async def _first_waiting(
    hub: HubReader, partition: str, passed: int | None, end: HubEnd, position: Position | None
) -> tuple[int, datetime | None]:
    """The first event that was not passed, and since when all stands still; None where it is gone."""
    begin, last = end.begin or 0, end.last or 0
    first = begin if passed is None else max(begin, passed + 1)
    state = PartitionState(begin, last, is_empty=False, last_enqueued_at=times.now())
    async with aclosing(hub.read(partition, first, first, state=state)) as pages:
        async for page in pages:
            for event in page:
                if event.source.enqueued_at is not None:
                    came = times.parse(event.source.enqueued_at)
                    return first, came if position is None else max(came, position.moved)
    return first, None


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
