"""Scores by all models of a stream: one call of each for a slice of a batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial

from everscore.clock.deadline import Deadline
from everscore.clock.threads import NotBegunError, StillRunningError, Threads
from everscore.event.event import Event
from everscore.event.scores import Scores
from everscore.failures import Failure, Overdue, Stage, Transient, Unexpected, unexpected
from everscore.score.model import Model
from everscore.score.used_models import ModelInUse, naming, reason_of
from everscore.watch.telemetry import Recorder

# Calls of models at a time; each may have threads of its own besides.
_THREADS = 6
# Of those that are not required: one that hangs must not take the threads of those that are.
_THREADS_OF_OTHERS = 2

LATE = Transient(
    Stage.DECODE,
    "not reached in time",
    "the invocation's time was used up before this body was read to its end",
)


def overdue(stage: Stage, *, alone: bool) -> Failure:
    """The failure of what has taken all of the time: of several events nobody knows whose fault it is."""
    reason, detail = "took too long", f"{stage} did not end within the invocation's time"
    return Unexpected(stage, reason, detail) if alone else Overdue(stage, reason, detail)


class Scoring:
    """Scores events with each model; what one model or event brings about stops no other.

    Args:
        models: in the order in which they score; at least one is required.
        recorder: takes the measurements.
    """

    def __init__(self, models: Sequence[ModelInUse], recorder: Recorder) -> None:
        self._required = [each for each in models if each.required]
        self._others = [each for each in models if not each.required]
        self._several = len(models) > 1
        self._recorder = recorder
        # Not the loop's own threads, which look up names, among others: a slow model must not stop those.
        self._threads = Threads(_THREADS, "score")
        self._other_threads = Threads(_THREADS_OF_OTHERS, "score-other") if self._others else self._threads
        self._loading: set[asyncio.Task[Model]] = set()

    async def score(self, events: Sequence[Event], until: Deadline, *, alone: bool) -> None:
        """Give each event scores, or the failure of a required model.

        Args:
            events: decoded, without a failure.
            until: when the invocation's time for this is over.
            alone: one event that takes too long had most of an invocation to itself.
        """
        if not events:
            return
        spent: list[float] = []
        found: list[dict[str, Scores]] = [{} for _ in events]
        left = list(zip(events, found, strict=True))
        for each in self._required:
            if not left:
                break
            await self._score_required(each, left, until, spent, alone=alone)
            left = [(event, scores) for event, scores in left if event.failure is None]
        lacking: list[dict[str, str]] = [{} for _ in left]
        for each in self._others:
            if left:
                await self._score_other(each, left, lacking, until, spent)
        for (event, scores), missing in zip(left, lacking, strict=True):
            event.item.scores = scores
            event.item.unscored = missing or None
        if spent:
            self._recorder.scored(sum(spent))

    async def _score_required(
        self,
        model: ModelInUse,
        left: Sequence[tuple[Event, dict[str, Scores]]],
        until: Deadline,
        spent: list[float],
        *,
        alone: bool,
    ) -> None:
        events = [event for event, _ in left]
        try:
            results = await self._results(model, events, until, self._threads, spent)
        except NotBegunError:
            return _fail(events, LATE)
        except StillRunningError:
            return _fail(events, overdue(Stage.SCORE, alone=alone and len(events) == 1))
        except Failure as failure:
            return _fail(events, failure)
        for (event, scores), result in zip(left, results, strict=True):
            if isinstance(result, Failure):
                event.failure = naming(model.name, result) if self._several else result
            else:
                scores[model.name] = result
        return None

    async def _score_other(
        self,
        model: ModelInUse,
        left: Sequence[tuple[Event, dict[str, Scores]]],
        lacking: Sequence[dict[str, str]],
        until: Deadline,
        spent: list[float],
    ) -> None:
        """A model that is not required: whatever happens to it concerns no event."""
        events = [event for event, _ in left]
        results: Sequence[Scores | Failure]
        try:
            # The other half is for what comes after.
            results = await self._results(model, events, until.share(0.5), self._other_threads, spent)
        except (NotBegunError, StillRunningError):
            results = [overdue(Stage.SCORE, alone=False)] * len(events)
        except Failure as failure:
            results = [failure] * len(events)
        for (_, scores), missing, result in zip(left, lacking, results, strict=True):
            if isinstance(result, Failure):
                missing[model.name] = reason_of(result)
            else:
                scores[model.name] = result
        self._recorder.unscored(model.name, [missing.get(model.name) for missing in lacking])

    async def _results(
        self,
        model: ModelInUse,
        events: Sequence[Event],
        until: Deadline,
        threads: Threads,
        spent: list[float],
    ) -> list[Scores | Failure]:
        loaded = await self._load(model, until)
        began = time.perf_counter()
        payloads = [event.payload for event in events]
        # A thread once a batch, so that scoring never stalls the loop that all invocations share.
        results = await threads.run(partial(_score_all, loaded, payloads, until.share(0.5)), until)
        spent.append(time.perf_counter() - began)
        return results

    async def _load(self, model: ModelInUse, until: Deadline) -> Model:
        """The model. One that is still being loaded at the deadline goes on loading, for later batches.

        Raises:
            Failure: there is none now.
        """
        loading = asyncio.create_task(model.source.get())
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
            return [overdue(Stage.SCORE, alone=False)] * len(payloads)
        half = len(payloads) // 2
        return _score_all(model, payloads[:half], until) + _score_all(model, payloads[half:], until)
    return results
