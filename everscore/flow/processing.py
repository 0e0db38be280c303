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
from functools import partial

from everscore.clock.deadline import Deadline
from everscore.clock.holding import LAST_TRY
from everscore.clock.threads import NotBegunError, StillRunningError, Threads
from everscore.decode.decoder import START, Decoder, Position, Reading
from everscore.decode.memory import Memory, Share
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.event.scores import Scores
from everscore.failures import Failure, Overdue, Stage, Transient, Unexpected, unexpected
from everscore.score.loading import ModelSource
from everscore.score.model import Model
from everscore.store.writer import Writer
from everscore.watch.telemetry import Recorder

# Seconds for which a batch waits for memory, however little is left of its invocation's time.
_LEAST_WAIT = 1.0
# Seconds for which a slice is decoded and scored, likewise.
_LEAST_RUN = 5.0
# Calls of the model at a time; each may have threads of its own besides.
_SCORING_THREADS = 6


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
        models: ModelSource,
        writer: Writer,
        recorder: Recorder | None = None,
    ) -> None:
        self._decoder = decoder
        self._memory = memory
        self._models = models
        self._writer = writer
        self._recorder = recorder or Recorder()
        # Not the loop's own threads, which look up names, among others: a slow model must not stop those.
        self._threads = Threads(_SCORING_THREADS, "score")
        self._loading: set[asyncio.Task[Model]] = set()

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
                return await self._leave(reading.left, _LATE, settle)
            try:
                async with asyncio.timeout(max(begin_until.remaining, _LEAST_WAIT)):
                    share = await self._memory.share(reading.need)
            except TimeoutError:
                return await self._leave(reading.left, _LATE, settle)
            until = Deadline.after(max(begin_until.remaining, _LEAST_RUN))
            # Whose fault it is that the time is used up shows only where one item had most of it to itself.
            alone = len(items) == 1 and until.remaining >= most / 2
            # A thread that is left to itself may write into its items at any time.
            left = [copy(item) for item in reading.left]
            try:
                tried = await self._run_slice(reading, share, until, budget, settle, alone=alone) or tried
            except NotBegunError:
                return await self._leave(left, _LATE, settle)
            except StillRunningError:
                return await self._leave(left, _overdue(Stage.DECODE, alone=alone), settle)
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
        await self._score(
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

    async def _score(self, events: Sequence[Event], until: Deadline, *, alone: bool) -> None:
        if not events:
            return None
        try:
            model = await self._model(until)
            began = time.perf_counter()
            # A thread once a batch, so that scoring never stalls the loop that all invocations share.
            payloads = [event.payload for event in events]
            results = await self._threads.run(partial(_score_all, model, payloads, until.share(0.5)), until)
        except NotBegunError:
            return _fail(events, _LATE)
        except StillRunningError:
            return _fail(events, _overdue(Stage.SCORE, alone=alone and len(events) == 1))
        except Failure as failure:
            return _fail(events, failure)
        self._recorder.scored(time.perf_counter() - began)
        for event, result in zip(events, results, strict=True):
            if isinstance(result, Failure):
                event.failure = result
            else:
                event.item.scores = {model.name: result}
        return None

    async def _model(self, until: Deadline) -> Model:
        """The model. One that is still being loaded at the deadline goes on loading, for later batches.

        Raises:
            Failure: there is none now.
        """
        loading = asyncio.create_task(self._models.get())
        self._loading.add(loading)
        loading.add_done_callback(self._loaded)
        await asyncio.wait([loading], timeout=until.remaining)
        if not loading.done():
            raise Transient(Stage.SCORE, "model not loaded in time", "it is still being loaded")
        return loading.result()

    def _loaded(self, loading: asyncio.Task[Model]) -> None:
        self._loading.discard(loading)
        if not loading.cancelled():
            loading.exception()  # perhaps nobody waits for it any longer


_LATE = Transient(
    Stage.DECODE,
    "not reached in time",
    "the invocation's time was used up before this body was read to its end",
)


def _overdue(stage: Stage, *, alone: bool) -> Failure:
    """The failure of what has taken all of the time: of several events nobody knows whose fault it is."""
    reason, detail = "took too long", f"{stage} did not end within the invocation's time"
    return Unexpected(stage, reason, detail) if alone else Overdue(stage, reason, detail)


def _fail(events: Sequence[Event], failure: Failure) -> None:
    for event in events:
        event.failure = failure


def _score_all(model: Model, payloads: list[object], until: Deadline) -> list[Scores | Failure]:
    try:
        results = model.score(payloads, until)
        if len(results) != len(payloads):
            raise ValueError(f"the model gave {len(results)} results for {len(payloads)} events")  # noqa: TRY301
    except Failure as failure:  # of the call as a whole: the model knows no guilty event
        return [failure] * len(payloads)
    except Exception as error:  # noqa: BLE001 - bisected to the guilty event: its neighbours go on
        if len(payloads) == 1:
            return [unexpected(Stage.SCORE, error)]
        if until.passed:
            return [_overdue(Stage.SCORE, alone=False)] * len(payloads)
        half = len(payloads) // 2
        return _score_all(model, payloads[:half], until) + _score_all(model, payloads[half:], until)
    return results
