"""Measures, once a minute, what waits: in the hub, in the retry queue and in the poison queue."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Iterable

from everscore.clock import times
from everscore.failures import describe
from everscore.ports import (
    Blobs,
    Checkpoints,
    HubRanges,
    PartitionRange,
    QueueDepth,
    QueuedMessage,
    RetryBacklog,
)
from everscore.retry.envelope import NewerEnvelopeError, UnreadableEnvelopeError, decode_envelope
from everscore.watch.furthest import advance, read_marks, write_marks
from everscore.watch.telemetry import Recorder

logger = logging.getLogger(__name__)


class Backlog:
    """Reads and records; what cannot be read is logged, and is missing from the metrics."""

    def __init__(
        self,
        *,
        hub: HubRanges,
        checkpoints: Checkpoints,
        retry: RetryBacklog,
        poison: QueueDepth,
        blobs: Blobs,
        recorder: Recorder,
    ) -> None:
        self._hub = hub
        self._checkpoints = checkpoints
        self._retry = retry
        self._poison = poison
        self._blobs = blobs
        self._recorder = recorder

    async def measure(self, seconds: float) -> None:
        """Measure everything at once. Nothing is raised.

        Args:
            seconds: after which a part that has not answered is given up.
        """
        await asyncio.gather(
            _try("the lag of the partitions", self._partitions(), seconds),
            _try("the retry queue", self._retry_queue(), seconds),
            _try("the poison queue", self._poison_queue(), seconds),
        )

    async def _partitions(self) -> None:
        ranges, passed, before = await asyncio.gather(
            self._hub.partitions(), self._checkpoints.read(), read_marks(self._blobs)
        )
        marks = advance(before, ranges, passed)
        for partition, held in ranges.items():
            checkpoint = passed.get(partition)
            number = -1 if checkpoint is None else checkpoint
            mark = marks.get(partition)
            waiting, share = lag(held, max(number, mark.number if mark else -1))
            self._recorder.partition(partition, lag=waiting, share=share, checkpoint=number)
        if marks != before:
            await write_marks(self._blobs, marks)

    async def _retry_queue(self) -> None:
        depth, head = await asyncio.gather(self._retry.depth(), self._retry.peek())
        self._recorder.retry_queue(depth, oldest_age(head))

    async def _poison_queue(self) -> None:
        self._recorder.poison_queue(await self._poison.depth())


def lag(held: PartitionRange, passed: int | None) -> tuple[int, float]:
    """Events that a partition holds beyond the last one passed, and their share of all that it holds."""
    if held.is_empty:
        return 0, 0.0
    waiting = events_beyond(passed, held.first, held.last)
    return waiting, waiting / (held.last - held.first + 1)


def events_beyond(checkpoint: int | None, first: int, last: int) -> int:
    """How many of the events first to last a host has not passed; retention may have taken its next one."""
    passed = first - 1 if checkpoint is None else max(checkpoint, first - 1)
    return max(0, last - passed)


def oldest_age(messages: Iterable[QueuedMessage]) -> float:
    """Seconds since the oldest event of some messages entered the queue; 0 without a message.

    A message is sent anew for each try, so that its own age says little: the events in it know better. Where
    they cannot be read, it has to do.
    """
    now = times.now()
    oldest = now
    for message in messages:
        for text in _queued_at(message):
            try:
                oldest = min(oldest, times.parse(text))
            except ValueError:
                continue
    return (now - oldest).total_seconds()


def _queued_at(message: QueuedMessage) -> list[str]:
    try:
        items = decode_envelope(base64.b64decode(message.text, validate=True)).items
    except (binascii.Error, ValueError, NewerEnvelopeError, UnreadableEnvelopeError):
        return [message.inserted_at]
    return [item.queued_at or message.inserted_at for item in items]


async def _try(what: str, reading: Awaitable[None], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await reading
    except TimeoutError:
        logger.warning("No metrics of %s: no answer within %g seconds", what, seconds)
    except Exception as error:  # noqa: BLE001 - a measurement less, and nothing else depends on it
        logger.warning("No metrics of %s: %s", what, describe(error))
