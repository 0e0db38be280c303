"""Takes up what waits in the retry queue, until it is stored, superseded or a dead letter.

Where each event is, should the process die on any line of this module: in the message, which the host deletes
only after the invocation has returned. The next try is sent before that; identity makes a repeat harmless.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from everscore.clock import backoff, times
from everscore.clock.deadline import Deadline, within
from everscore.decode.decoder import START
from everscore.decode.memory import Memory
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.failures import Permanent, Stage, Transient
from everscore.flow.bodies import Bodies, BodyReader
from everscore.flow.brake import Brake
from everscore.flow.ending import NoPlaceAnswersError, age_of, foreign
from everscore.flow.limits import Limits, Patience
from everscore.flow.processing import Processed, Processing
from everscore.flow.settling import Settling
from everscore.flow.unread import all_queued, pass_on, send_back
from everscore.ports import Blobs, RetryQueue
from everscore.retry.claim_checks import ClaimChecks
from everscore.retry.envelope import NewerEnvelopeError, UnreadableEnvelopeError, decode_envelope
from everscore.retry.packing import claimed_size
from everscore.retry.placing import Placing
from everscore.retry.suspects import NotTriedError, Suspects
from everscore.watch.status import Status
from everscore.watch.summary import Summary
from everscore.watch.telemetry import Recorder

logger = logging.getLogger(__name__)

# Dequeue counts climb by crashes alone, since an invocation holds before it raises: crashes of any event.
SUSPECT_FROM_DEQUEUE = 3
# Why a message waits that a newer release has written.
_NEWER = "newer schema"
CRASHES = "crashes the worker"


@dataclass(frozen=True, slots=True)
class Whole:
    """A message and what was read of it."""

    message: bytes
    items: Sequence[Item]

    def without(self, settled: Sequence[Item]) -> list[Item]:
        """All other items as they came, whatever was made of them since."""
        gone = {id(item) for item in settled}
        fresh = decode_envelope(self.message).items
        return [again for again, item in zip(fresh, self.items, strict=True) if id(item) not in gone]


class RetryEvents:
    """Handles one message of the retry queue."""

    def __init__(
        self,
        *,
        processing: Processing,
        placing: Placing,
        queue: RetryQueue,
        blobs: Blobs,
        claim_checks: ClaimChecks,
        memory: Memory,
        status: Status,
        brake: Brake,
        limits: Limits,
        patience: Patience,
        store_refuses: Callable[[], bool] = lambda: False,
        recorder: Recorder | None = None,
    ) -> None:
        self._processing = processing
        self._placing = placing
        self._queue = queue
        self._reader = BodyReader(claim_checks, memory)
        self._settling = Settling(placing=placing, blobs=blobs, brake=brake, patience=patience, status=status)
        self._status = status
        self._brake = brake
        self._limits = limits
        self._patience = patience
        self._store_refuses = store_refuses
        self._suspects = Suspects(blobs)
        self._recorder = recorder or Recorder()

    async def retry_events(
        self, message: bytes, *, dequeue_count: int, message_id: str, inserted_at: str | None = None
    ) -> Summary:
        """Take a message to its end; returning means that it may be deleted.

        Args:
            message: its bytes, base64 undone.
            dequeue_count: times that it was received, this one included.
            message_id: the queue's name for it.
            inserted_at: when it was put into the queue, ISO-8601 in UTC; None where that is not known.

        Raises:
            NoPlaceAnswersError: no place took what failed, within the time budget; the message stays.
        """
        began = time.perf_counter()
        budget = Deadline.after(self._limits.time_budget)
        with within(budget):
            try:
                items = decode_envelope(message).items
            except UnreadableEnvelopeError as error:
                failure = Permanent(Stage.RETRY, "retry message unreadable", str(error))
                summary = await self._settling.settle_as_they_are(
                    [foreign(message, message_id, inserted_at, failure)], budget
                )
            except NewerEnvelopeError as error:
                # From now on in an envelope of this release, which knows its age.
                newer = Transient(Stage.RETRY, _NEWER, str(error))
                wrapped = foreign(message, message_id, inserted_at, newer)
                summary = Summary()
                await self._settling.settle([wrapped], [], [], summary, budget)
            else:
                summary = await self._account_for(message, items, dequeue_count, budget)
        self._status.scored(summary)
        self._recorder.batch(summary, time.perf_counter() - began)
        return summary

    async def _account_for(
        self, message: bytes, items: list[Item], dequeue_count: int, budget: Deadline
    ) -> Summary:
        waiting = await self._brake.waiting(items)
        if len(waiting) == len(items):
            return await self._put_back(message, waiting, budget)
        if dequeue_count >= SUSPECT_FROM_DEQUEUE and len(items) > 1:
            return await self._split(items, budget)
        claimed = sum(map(claimed_size, items))
        if len(items) > 1 and claimed > (self._placing.claimed_limit or claimed):
            # It points at more than may be read for one message.
            return await self._send_unread(items, budget, alone=False)
        if self._store_refuses() and self._may_wait(items):
            return await self._wait_unread(message, items, budget)
        is_suspect = dequeue_count >= SUSPECT_FROM_DEQUEUE or items[0].crashes > 0
        # A dead letter that waits for the blobs is not tried any more, and needs no mark in them.
        if len(items) == 1 and is_suspect and not items[0].dead_letter:
            return await self._try_suspect(items[0], budget)
        still = {id(item) for item in waiting}
        tried = [item for item in items if id(item) not in still]
        return await self._try(tried, budget, waiting, Whole(message, items))

    async def _put_back(self, message: bytes, waiting: Sequence[Item], budget: Deadline) -> Summary:
        """Look at a message of which all events wait for another verdict, and leave it as it is."""
        luck = random.random()  # noqa: S311 - spreads load, guards nothing
        await send_back(
            self._queue, message, min(self._brake.look_again(item, luck) for item in waiting), budget
        )
        summary = all_queued(waiting)
        summary.braked = len(waiting)
        return summary

    def _may_wait(self, items: Sequence[Item]) -> bool:
        """Whether nothing is to be done for any of the items while the store is out of reach."""
        now = times.now()
        return all(not item.dead_letter and age_of(item, now) < self._patience.give_up for item in items)

    async def _wait_unread(self, message: bytes, items: Sequence[Item], budget: Deadline) -> Summary:
        """Send a message back as it is: whatever were made of its items could not be stored now."""
        now = times.now()
        # The youngest decides, so that no event waits longer than its own age says.
        delay = backoff.while_out(min(age_of(item, now) for item in items))
        await send_back(self._queue, message, delay, budget)
        return all_queued(items)

    async def _try_suspect(self, item: Item, budget: Deadline) -> Summary:
        """Try an item that may be the one that kills the worker; a dead letter once it is known to be.

        One that cannot be tried now goes on in another message: left in this one it would be received again
        and again, and so often are only those that kill the worker.
        """
        crashes = max(item.crashes, 1)
        try:
            # Half of the time at most for its turn and its mark.
            async with self._suspects.trial(item, budget.share(0.5), budget) as guilty:
                # The rest is for taking the mark away, which else would count as a death.
                most = budget.share(0.9)
                with within(most):
                    if guilty:
                        crashed = await self._crashed(item, most)
                        if isinstance(crashed.failure, Permanent) and crashed.failure.reason == CRASHES:
                            await self._brake.holds(crashed.item)  # a model can kill the worker, too
                        return await self._settling.settle_as_they_are([crashed], most)
                    item.crashes = 0  # if it lives through this, it was another
                    return await self._try([item], most)
        except NotTriedError as error:
            logger.warning("A suspect waits, untried: %s", error)
            item.crashes = crashes
            return await self._send_unread([item], budget, alone=True)

    async def _try(
        self, items: list[Item], budget: Deadline, waiting: Sequence[Item] = (), whole: Whole | None = None
    ) -> Summary:
        """Try items.

        Args:
            items: to be tried.
            budget: of the invocation.
            waiting: others of their message, which go on waiting.
            whole: their message, unless it is of one item.
        """
        async with self._reader.read(items, budget) as bodies:
            return await self._try_read(bodies, budget, waiting, whole)

    async def _try_read(
        self, bodies: Bodies, budget: Deadline, waiting: Sequence[Item], whole: Whole | None
    ) -> Summary:
        redeemed, items = bodies.redeemed, bodies.items
        for item in items:
            self._brake.let_go(item)
        pending = [item for item in items if item.dead_letter]
        closed, opened = await self._open_messages(
            [item for item in items if item.kind == "message" and not item.dead_letter], budget
        )
        unread = bodies.unread + closed + _of_newer_kinds(items)
        summary = Summary(received=len(opened))
        for item in opened:
            summary.queue(item)
        end = START

        async def settle(processed: Processed) -> None:
            nonlocal end
            # What was not tried goes with the last of what was: what fails together stays together.
            others = (unread, pending) if processed.last else ([], [])
            rest = waiting if processed.last else ()
            tried = [*processed.events, *others[0]]
            await self._settling.settle(tried, others[1], redeemed, summary, budget, waiting=rest)
            summary.request_units += processed.request_units
            end = processed.end

        ready = [item for item in items if not item.dead_letter and item.kind == "event"]
        try:
            if ready:
                await self._processing.run(ready, budget, settle)
            else:
                await self._settling.settle(unread, pending, redeemed, summary, budget, waiting=waiting)
        except NoPlaceAnswersError:
            settled = [bodies.asked[id(item)] for item in (*ready[: end.item], *opened)]
            if whole is None or not settled:
                raise
            await self._send_rest(whole.without(settled), summary, budget)
        return summary

    async def _send_rest(self, rest: Sequence[Item], summary: Summary, budget: Deadline) -> None:
        """Send on as they came those items of a message that nothing takes otherwise.

        With the message the others would come again, and their next tries would be sent with each try.

        Raises:
            NoPlaceAnswersError: the queue does not take them either; the message stays.
        """
        logger.warning("%d events of a retry message go on as they came, without the others.", len(rest))
        left = await pass_on(self._placing, rest, budget, alone=False)
        if left:
            raise NoPlaceAnswersError(f"no destination takes {len(left)} events of a retry message; it stays")
        summary.received += len(rest)
        for item in rest:
            summary.queue(item)

    async def _open_messages(self, items: Sequence[Item], budget: Deadline) -> tuple[list[Event], list[Item]]:
        """Messages that an earlier release could not read: what this one reads goes into the queue as it is.

        Returns:
            Those that it cannot read either, and those that are in the queue.
        """
        closed: list[Event] = []
        opened: list[Item] = []
        for item in items:
            try:
                decode_envelope(item.body)
            except NewerEnvelopeError as error:
                closed.append(Event(item, failure=Transient(Stage.RETRY, _NEWER, str(error))))
            except UnreadableEnvelopeError as error:
                failure = Permanent(Stage.RETRY, "retry message unreadable", str(error))
                closed.append(Event(item, failure=failure))
            else:
                await send_back(self._queue, item.body, 0.0, budget)
                await self._settling.remove_letters({item.letter} if item.letter else set(), budget)
                opened.append(item)
        return closed, opened

    async def _split(self, items: list[Item], budget: Deadline) -> Summary:
        """One message an item, unread, so that only the guilty one goes on killing the worker."""
        logger.error(
            "A retry message of %d events seems to kill the worker: it is split, unread.", len(items)
        )
        for item in items:
            item.crashes = item.crashes or 1
        return await self._send_unread(items, budget, alone=True)

    async def _send_unread(self, items: list[Item], budget: Deadline, *, alone: bool) -> Summary:
        """Other messages with the same items, unread: one an item, or as many as placing makes of them."""
        left = await pass_on(self._placing, items, budget, alone=alone)
        if left:
            raise NoPlaceAnswersError(f"no destination takes {len(left)} events of a retry message; it stays")
        return all_queued(items)

    async def _crashed(self, item: Item, budget: Deadline) -> Event:
        """The item with its body, unparsed, as a dead letter."""
        failure = Permanent(Stage.RETRY, CRASHES, "it was never processed to an end")
        found = await self._reader.read_one(item, budget)
        while isinstance(found, Event) and not isinstance(found.failure, Permanent) and not budget.passed:
            await asyncio.sleep(min(5.0, budget.remaining))
            found = await self._reader.read_one(item, budget)
        if isinstance(found, Event):
            if not isinstance(found.failure, Permanent):
                raise NoPlaceAnswersError(f"a claim check cannot be read; the message stays: {found.failure}")
            return found
        return Event(found.item, failure=failure)


def _of_newer_kinds(items: Sequence[Item]) -> list[Event]:
    """What a newer release queued and this one knows only by its form: no event, so never stored as one.

    It waits for a release that knows it, and at the give-up age becomes a dead letter as it is.
    """
    reason = Transient(
        Stage.RETRY,
        "newer kind of item",
        "a newer release queued an outcome, which this one cannot join to its event: deploy that one again",
    )
    return [Event(item, failure=reason) for item in items if item.kind == "outcome" and not item.dead_letter]
