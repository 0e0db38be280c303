"""Decode, validate, score, store: what scoring and retrying have in common.

A batch that fits into the budget of memory is taken to its ends whole, another one slice by slice: what is
unpacked of a slice is gone before the next one is unpacked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass

from everscore.clock.deadline import Deadline
from everscore.clock.holding import LAST_TRY
from everscore.clock.threads import NotBegunError, StillRunningError
from everscore.decode.decoder import START, Decoder, Position, Reading
from everscore.decode.memory import Memory, Share
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.failures import Failure, Stage
from everscore.flow.scoring import LATE, Scoring, overdue
from everscore.score.used_models import ModelInUse
from everscore.store.writer import Writer
from everscore.watch.telemetry import Recorder

# Seconds for which a batch waits for memory, however little is left of its invocation's time.
_LEAST_WAIT = 1.0
# Seconds for which a slice is decoded and scored, likewise.
_LEAST_RUN = 5.0


@dataclass(frozen=True, slots=True)
class Processed:
    """One slice of a batch.

    Attributes:
        events: each ``done`` or with a ``failure``.
        request_units: that their writes cost.
        last: nothing of the batch comes after it.
        end: where the next one begins.
    """

    events: list[Event]
    request_units: float
    last: bool
    end: Position = START


type Settle = Callable[[Processed], Awaitable[None]]


class Processing:
    """Takes items as far as they go; what stops one never stops its neighbours."""

    def __init__(
        self,
        *,
        decoder: Decoder,
        memory: Memory,
        models: Sequence[ModelInUse],
        writer: Writer,
        recorder: Recorder | None = None,
    ) -> None:
        self._decoder = decoder
        self._memory = memory
        self._writer = writer
        self._recorder = recorder or Recorder()
        self._scoring = Scoring(models, self._recorder)

    async def run(
        self, items: Sequence[Item], budget: Deadline, settle: Settle, begin: Position = START
    ) -> None:
        """Process a batch.

        Stages that an item has behind it are kept: identity that was found, scores that were finite.
        Decoding runs again, since the payload does not travel.

        Args:
            items: of the batch.
            budget: of the invocation; storing takes half of what is left of it at most. What is not decoded
                and scored while there is still time to put it elsewhere fails, and may be tried later.
            settle: accounts for the events of a slice; the next slice begins when it has returned.
            begin: what comes before this is left out.
        """
        reading = self._decoder.read(items, begin)
        # Requests end with the budget: what is left at its very end could not be put anywhere.
        begin_until = budget.earlier(min(LAST_TRY, budget.remaining / 2))
        most = begin_until.remaining
        tried = False
        while reading.left:
            if tried and begin_until.passed:
                return await self._leave(reading.left, LATE, settle)
            try:
                async with asyncio.timeout(max(begin_until.remaining, _LEAST_WAIT)):
                    share = await self._memory.share(reading.need)
            except TimeoutError:
                return await self._leave(reading.left, LATE, settle)
            until = Deadline.after(max(begin_until.remaining, _LEAST_RUN))
            # Whose fault it is that the time is used up shows only where one item had most of it to itself.
            alone = len(items) == 1 and until.remaining >= most / 2
            # A thread that is left to itself may write into its items at any time.
            left = [copy(item) for item in reading.left]
            try:
                tried = await self._run_slice(reading, share, until, budget, settle, alone=alone) or tried
            except NotBegunError:
                return await self._leave(left, LATE, settle)
            except StillRunningError:
                return await self._leave(left, overdue(Stage.DECODE, alone=alone), settle)
            finally:
                share.close()
        return None

    async def _leave(self, items: Sequence[Item], failure: Failure, settle: Settle) -> None:
        """Account for what there was no time for."""
        await settle(Processed([Event(item, failure=failure) for item in items], 0.0, last=True))

    async def _run_slice(
        self,
        reading: Reading,
        share: Share,
        until: Deadline,
        budget: Deadline,
        settle: Settle,
        *,
        alone: bool,
    ) -> bool:
        """Take as much as the share allows to its ends; returns whether that was anything.

        The last slice is settled even where it is empty (an own decoder may give fewer records when it is
        asked again): whoever settles has more to account for than these events.
        """
        began = time.perf_counter()
        events = await self._decoder.decode_slice(reading, share, until)
        share.shrink()
        if not events and reading.left:
            return False
        self._recorder.decoded(time.perf_counter() - began)
        await self._scoring.score(
            [event for event in events if not event.failure and not event.item.scores], until, alone=alone
        )
        ready = [event for event in events if not event.failure]
        charge = await self._store(ready, budget) if ready else 0.0
        await settle(Processed(events, charge, last=not reading.left, end=reading.position))
        return True

    async def store_again(self, events: Sequence[Event], budget: Deadline) -> float:
        """Store events that failed there before; for holding a batch that no place takes."""
        for event in events:
            event.failure = None
        return await self._store(events, budget)

    async def _store(self, events: Sequence[Event], budget: Deadline) -> float:
        began = time.perf_counter()
        # The other half is for what takes the events that are not stored.
        charge = await self._writer.store(events, budget.share(0.5))
        self._recorder.stored(events, time.perf_counter() - began, charge)
        return charge
