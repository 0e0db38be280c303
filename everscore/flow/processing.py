"""Decode, validate, score, store: what scoring and retrying have in common.

A batch that fits into the budget of memory is taken to its ends whole, another one slice by slice: what is
unpacked of a slice is gone before the next one is unpacked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from everscore.clock.deadline import Deadline
from everscore.clock.holding import LAST_TRY
from everscore.decode.decoder import Decoder, Reading
from everscore.decode.memory import Memory, Share
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.event.scores import Scores
from everscore.failures import Failure, Stage, Transient, unexpected
from everscore.score.loading import ModelSource
from everscore.score.model import Model
from everscore.store.writer import Writer
from everscore.watch.telemetry import Recorder

# Seconds for which a batch waits for memory, however little is left of its invocation's time.
_LEAST_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class Processed:
    """One slice of a batch.

    Attributes:
        events: each ``done`` or with a ``failure``.
        request_units: that their writes cost.
        last: nothing of the batch comes after it.
    """

    events: list[Event]
    request_units: float
    last: bool


type Settle = Callable[[Processed], Awaitable[None]]


class Processing:
    """Takes items as far as they go; what stops one never stops its neighbours."""

    def __init__(
        self,
        *,
        decoder: Decoder,
        memory: Memory,
        models: ModelSource,
        writer: Writer,
        recorder: Recorder | None = None,
    ) -> None:
        self._decoder = decoder
        self._memory = memory
        self._models = models
        self._writer = writer
        self._recorder = recorder or Recorder()

    async def run(self, items: Sequence[Item], budget: Deadline, settle: Settle) -> None:
        """Process a batch.

        Stages that an item has behind it are kept: identity that was found, scores that were finite.
        Decoding runs again, since the payload does not travel.

        Args:
            items: of the batch.
            budget: of the invocation; storing takes half of what is left of it at most. What no slice has
                begun with while there is still time to put it elsewhere fails, and may be tried later.
            settle: accounts for the events of a slice; the next slice begins when it has returned.
        """
        reading = self._decoder.read(items)
        # Requests end with the budget: what is left at its very end could not be put anywhere.
        begin_until = budget.earlier(min(LAST_TRY, budget.remaining / 2))
        tried = False
        while reading.left:
            if tried and begin_until.passed:
                return await self._leave(reading, settle)
            try:
                async with asyncio.timeout(max(begin_until.remaining, _LEAST_WAIT)):
                    share = await self._memory.share(reading.need)
            except TimeoutError:
                return await self._leave(reading, settle)
            try:
                tried = await self._run_slice(reading, share, budget, settle) or tried
            finally:
                share.close()
        return None

    async def _leave(self, reading: Reading, settle: Settle) -> None:
        """Account for what there was no time for."""
        detail = "the invocation's time was used up before this body was read to its end"
        late = Transient(Stage.DECODE, "not reached in time", detail)
        await settle(Processed([Event(item, failure=late) for item in reading.left], 0.0, last=True))

    async def _run_slice(self, reading: Reading, share: Share, budget: Deadline, settle: Settle) -> bool:
        """Take as much as the share allows to its ends; returns whether that was anything.

        The last slice is settled even where it is empty (an own decoder may give fewer records when it is
        asked again): whoever settles has more to account for than these events.
        """
        began = time.perf_counter()
        events = await self._decoder.decode_slice(reading, share)
        share.shrink()
        if not events and reading.left:
            return False
        self._recorder.decoded(time.perf_counter() - began)
        await self._score([event for event in events if not event.failure and not event.item.scores])
        ready = [event for event in events if not event.failure]
        charge = await self._store(ready, budget) if ready else 0.0
        await settle(Processed(events, charge, last=not reading.left))
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

    async def _score(self, events: Sequence[Event]) -> None:
        if not events:
            return
        try:
            model = await self._models.get()
        except Failure as failure:
            for event in events:
                event.failure = failure
            return
        # A worker thread once a batch, so that scoring never stalls the loop that all invocations share.
        began = time.perf_counter()
        results = await asyncio.to_thread(_score_all, model, [event.payload for event in events])
        self._recorder.scored(time.perf_counter() - began)
        for event, result in zip(events, results, strict=True):
            if isinstance(result, Failure):
                event.failure = result
            else:
                event.item.scores = {model.name: result}


def _score_all(model: Model, payloads: list[object]) -> list[Scores | Failure]:
    try:
        results = model.score(payloads)
        if len(results) != len(payloads):
            raise ValueError(f"the model gave {len(results)} results for {len(payloads)} events")  # noqa: TRY301
    except Failure as failure:  # of the call as a whole: the model knows no guilty event
        return [failure] * len(payloads)
    except Exception as error:  # noqa: BLE001 - bisected to the guilty event: its neighbours go on
        if len(payloads) == 1:
            return [unexpected(Stage.SCORE, error)]
        half = len(payloads) // 2
        return _score_all(model, payloads[:half]) + _score_all(model, payloads[half:])
    return results
