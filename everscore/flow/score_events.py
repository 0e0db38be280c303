"""The order of things for a batch from the hub: every event ends in the store or in another safe place.

Where each event is, should the process die on any line of this module: in the hub, since the host moves the
checkpoint only after the invocation has returned (or has failed without a retry policy, which is why
``score_events`` raises only under an endless one).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from everscore.clock import backoff, times
from everscore.clock.deadline import Deadline, within
from everscore.clock.holding import hold
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.failures import Overdue, Stage, Unexpected
from everscore.flow.brake import brake, in_doubt, tally_of, to_wait
from everscore.flow.ending import NoPlaceAnswersError, NotStartedError, count, is_final, note
from everscore.flow.limits import Limits, Patience
from everscore.flow.processing import Processed, Processing
from everscore.flow.progress import GivenBack
from everscore.flow.unread import all_queued, pass_on
from everscore.retry.placing import Delayed, Placing
from everscore.watch.alarm import Alarm
from everscore.watch.status import Status
from everscore.watch.summary import Summary
from everscore.watch.telemetry import Recorder
from everscore.watch.verdicts import Judge

logger = logging.getLogger(__name__)

# From this try on a batch is held to kill the worker: each event goes on alone, unread.
_UNREAD_FROM_TRY = 5
# How an exception says that it ends such a try: the next is to be unread as well.
_UNREAD = "unread events"


@dataclass(frozen=True, slots=True)
class RetryState:
    """What the host says of earlier tries of this batch.

    Attributes:
        count: tries before this one.
        endless: a retry policy without a bound is in force.
        previous: text of the exception of the try before, or empty.
    """

    count: int = 0
    endless: bool = False
    previous: str = ""


class ScoreEvents:
    """Scores a batch from the hub and accounts for each of its events."""

    def __init__(
        self,
        *,
        processing: Processing,
        placing: Placing,
        status: Status,
        judge: Judge,
        limits: Limits,
        patience: Patience,
        store_is_out: Callable[[], bool] = lambda: False,
        recorder: Recorder | None = None,
    ) -> None:
        self._processing = processing
        self._store_is_out = store_is_out
        self._placing = placing
        self._status = status
        self._judge = judge
        self._limits = limits
        self._patience = patience
        self._given_back = GivenBack()
        self._recorder = recorder or Recorder()
        self._alarm = Alarm(self._recorder)

    async def score_events(self, items: Sequence[Item], retry: RetryState) -> Summary:
        """Take a batch from the hub to its ends.

        Raises:
            NoPlaceAnswersError: no destination takes some of the events; the host's retry policy
                brings the batch again, with its checkpoint unmoved.
        """
        began = time.perf_counter()
        budget = Deadline.after(self._limits.time_budget)
        with within(budget):
            try:
                summary = await self._account_for(items, retry, budget)
            finally:
                await self._judge.write()
        self._status.scored(summary)
        self._recorder.batch(summary, time.perf_counter() - began)
        if summary.queued and self._store_is_out():
            await asyncio.sleep(min(self._limits.linger, budget.remaining))
        return summary

    async def _account_for(self, items: Sequence[Item], retry: RetryState, budget: Deadline) -> Summary:
        if not retry.endless:
            self._status.policy_missing()
        if retry.count + 1 >= _UNREAD_FROM_TRY and not _was_held(retry.previous):
            return await self._pass_on_unread(items, retry, budget)
        progress = self._given_back.take(items, again=retry.count > 0)
        summary = progress.summary

        async def settle(processed: Processed) -> None:
            await self._brake(processed.events, again=progress.end < progress.counted)
            progress.counted = max(progress.counted, processed.end)
            await self._settle(processed.events, summary, retry, budget)
            summary.received += len(processed.events)
            summary.request_units += processed.request_units
            progress.end = processed.end

        try:
            await self._processing.run(items, budget, settle, progress.end)
        except NoPlaceAnswersError:
            self._given_back.keep(items, progress)
            raise
        return summary

    async def _brake(self, events: Sequence[Event], *, again: bool) -> None:
        """Judge the configuration with these events, and have wait what it may be to blame for."""
        if self._patience.brake <= timedelta(0):
            return
        failed = in_doubt(events)
        batch = tally_of(events)
        verdict = await self._judge.weigh(batch, again=again, in_doubt=bool(failed))
        self._alarm.look_at(verdict)
        if not failed:
            return
        stamp = times.milliseconds_text(times.now())
        waiting = to_wait(events, batch, verdict)
        for event in waiting:
            brake(event.item, verdict.configuration, stamp)
        self._judge.sent_to_wait(len(waiting))

    async def _settle(
        self, events: Sequence[Event], summary: Summary, retry: RetryState, budget: Deadline
    ) -> None:
        """Place what is not stored; hold, or hand the batch back, while no place answers."""
        waiting = [event for event in events if not event.done]
        failed = list(waiting)
        async for attempt in hold(budget):
            if attempt:
                storable = [event for event in waiting if event.item.scores and not is_final(event)]
                await self._processing.store_again(storable, budget)
                waiting = [event for event in waiting if not event.done]
            waiting = await self._place(waiting, first=attempt == 0, together=retry.endless)
            if not waiting:
                break
            if retry.endless:
                raise self._no_place(waiting, retry)
            logger.critical(
                "No destination takes %d events and no endless retry policy is in force: holding the batch "
                "for at most %.0f more seconds.",
                len(waiting),
                budget.remaining,
            )
        else:
            raise self._no_place(waiting, retry)
        count(summary, events, failed)

    def _no_place(
        self, waiting: Sequence[Event], retry: RetryState, what: str = "events"
    ) -> NoPlaceAnswersError:
        sources = [event.item.source for event in waiting]
        numbers = [source.sequence_number for source in sources if source.sequence_number is not None]
        where = (
            f"partition {sources[0].partition}, sequence numbers {min(numbers)} to {max(numbers)}"
            if numbers
            else "?"
        )
        self._status.no_place(where)
        kept = "the hub keeps them and the batch comes again" if retry.endless else "THEY MAY BE LOST"
        error = NoPlaceAnswersError(f"no destination takes {len(waiting)} {what} of {where}; {kept}")
        logger.critical("%s", error)
        return error

    async def _place(self, events: Sequence[Event], *, first: bool, together: bool) -> list[Event]:
        """Send each event to the place of its failure's class; returns those that no place took.

        Args:
            events: that are not stored.
            first: this is the first time in this invocation.
            together: where one is not placed all come again.
        """
        now = times.now()
        stamp = times.milliseconds_text(now)
        by_item = {id(event.item): event for event in events}
        letters = [event for event in events if is_final(event)]
        for event in events:
            note(event, stamp)
        refused = await self._placing.dead_letter([event.item for event in letters])
        for item in refused:
            item.dead_letter = True
        refused_ids = {id(item) for item in refused}
        lettered = {id(event.item) for event in letters} - refused_ids
        luck = random.random()  # noqa: S311 - spreads load, guards nothing
        delayed: list[Delayed] = []
        for event in events:
            item = event.item
            if id(item) in lettered:
                continue
            if first:
                item.attempts += 1
                item.unexpected += isinstance(event.failure, Unexpected)
            item.queued_at = item.queued_at or stamp
            hint = event.failure.retry_after if event.failure else None
            # One draw for the batch: events of one delay share messages.
            delay = (
                backoff.look(timedelta(0), luck)
                if item.braked
                else backoff.delay(item.attempts, queued_at=now, now=now, hint=hint, luck=luck)
            )
            delayed.append(Delayed(item, delay, alone=isinstance(event.failure, Overdue)))
        unplaced = await self._placing.enqueue(delayed, together=together)
        return [by_item[id(one.item)] for one in unplaced]

    async def _pass_on_unread(self, items: Sequence[Item], retry: RetryState, budget: Deadline) -> Summary:
        """Put each event alone and unread into the retry queue, where only the guilty one goes on failing."""
        logger.error(
            "Try %d of a batch whose last try ended with %r: its %d events go unread into the retry queue.",
            retry.count + 1,
            retry.previous[:200],
            len(items),
        )
        stamp = times.milliseconds_text(times.now())
        for item in items:
            item.record(
                at=stamp,
                stage=Stage.RETRY,
                reason="batch kept failing unread",
                field=None,
                exception=retry.previous,
                failure_class=Unexpected.failure_class,
            )
            item.queued_at = stamp
            item.crashes = 1  # of one of them it is true
        left = await pass_on(
            self._placing, items, budget, alone=True, together=retry.endless, once=retry.endless
        )
        if left:
            raise self._no_place([Event(item) for item in left], retry, _UNREAD)
        return all_queued(items)


def _was_held(previous: str) -> bool:
    """Whether the try before ended by us: unread, without an app, or read, with no place to go."""
    if NotStartedError.__name__ in previous:
        return True
    return NoPlaceAnswersError.__name__ in previous and _UNREAD not in previous
