"""Takes up what waits in the retry queue, until it is stored, superseded or a dead letter.

Where each event is, should the process die on any line of this module: in the message, which the host deletes
only after the invocation has returned. The next try is sent before that; identity makes a repeat harmless.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from everscore.clock import backoff, times
from everscore.clock.deadline import Deadline, within
from everscore.clock.holding import hold
from everscore.decode.memory import Memory
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.failures import Overdue, Permanent, Stage, Transient, Unexpected
from everscore.flow.bodies import Bodies, BodyReader
from everscore.flow.brake import Brake
from everscore.flow.ending import NoPlaceAnswersError, age_of, count, foreign, is_final, note, queued_at
from everscore.flow.limits import Limits, Patience
from everscore.flow.processing import Processed, Processing
from everscore.ports import Blobs, RetryQueue
from everscore.retry.claim_checks import ClaimChecks, Redeemed
from everscore.retry.envelope import NewerEnvelopeError, UnreadableEnvelopeError, decode_envelope
from everscore.retry.names import blob_name
from everscore.retry.packing import claimed_size
from everscore.retry.placing import Delayed, Placing
from everscore.retry.suspects import NotTriedError, Suspects
from everscore.watch.status import Status
from everscore.watch.summary import Summary
from everscore.watch.telemetry import Recorder

logger = logging.getLogger(__name__)

# Dequeue counts climb by crashes alone, since an invocation holds before it raises: crashes of any event.
SUSPECT_FROM_DEQUEUE = 3
UNEXPECTED_LIMIT = 3
# Why a message waits that a newer release has written.
_NEWER = "newer schema"
CRASHES = "crashes the worker"


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
        self._blobs = blobs
        self._reader = BodyReader(claim_checks, memory)
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
                summary = await self._end([foreign(message, message_id, inserted_at, failure)], budget)
            except NewerEnvelopeError as error:
                # From now on in an envelope of this release, which knows its age.
                newer = Transient(Stage.RETRY, _NEWER, str(error))
                wrapped = foreign(message, message_id, inserted_at, newer)
                summary = Summary()
                await self._settle([wrapped], [], [], summary, budget)
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
        if len(items) == 1 and (dequeue_count >= SUSPECT_FROM_DEQUEUE or items[0].crashes):
            return await self._try_suspect(items[0], budget)
        still = {id(item) for item in waiting}
        return await self._try([item for item in items if id(item) not in still], budget, waiting)

    async def _put_back(self, message: bytes, waiting: Sequence[Item], budget: Deadline) -> Summary:
        """Look at a message of which all events wait for another verdict, and leave it as it is."""
        luck = random.random()  # noqa: S311 - spreads load, guards nothing
        await self._send_back(message, min(self._brake.look_again(item, luck) for item in waiting), budget)
        summary = Summary(received=len(waiting), braked=len(waiting))
        for item in waiting:
            summary.queue(item)
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
        await self._send_back(message, delay, budget)
        summary = Summary(received=len(items))
        for item in items:
            summary.queue(item)
        return summary

    async def _try_suspect(self, item: Item, budget: Deadline) -> Summary:
        """Try an item that may be the one that kills the worker; a dead letter once it is known to be."""
        try:
            async with self._suspects.trial(item, budget) as guilty:
                # The rest is for taking the mark away, which else would count as a death.
                most = budget.share(0.9)
                with within(most):
                    if guilty:
                        crashed = await self._crashed(item, most)
                        if isinstance(crashed.failure, Permanent) and crashed.failure.reason == CRASHES:
                            await self._brake.holds(crashed.item)  # a model can kill the worker, too
                        return await self._end([crashed], most)
                    item.crashes = 0  # if it lives through this, it was another
                    return await self._try([item], most)
        except NotTriedError as error:
            raise NoPlaceAnswersError(f"a retry message stays: {error}") from error

    async def _try(self, items: list[Item], budget: Deadline, waiting: Sequence[Item] = ()) -> Summary:
        """Try items.

        Args:
            items: to be tried.
            budget: of the invocation.
            waiting: others of their message, which go on waiting.
        """
        async with self._reader.read(items, budget) as bodies:
            return await self._try_read(bodies, budget, waiting)

    async def _try_read(self, bodies: Bodies, budget: Deadline, waiting: Sequence[Item]) -> Summary:
        redeemed, whole = bodies.redeemed, bodies.items
        for item in whole:
            self._brake.let_go(item)
        pending = [item for item in whole if item.dead_letter]
        closed, opened = await self._open_messages(
            [item for item in whole if item.kind == "message" and not item.dead_letter], budget
        )
        unread = bodies.unread + closed
        summary = Summary(received=len(opened))
        for item in opened:
            summary.queue(item)

        async def settle(processed: Processed) -> None:
            summary.request_units += processed.request_units
            # What was not tried goes with the last of what was: what fails together stays together.
            others = (unread, pending) if processed.last else ([], [])
            rest = waiting if processed.last else ()
            tried = [*processed.events, *others[0]]
            await self._settle(tried, others[1], redeemed, summary, budget, waiting=rest)

        ready = [item for item in whole if not item.dead_letter and item.kind != "message"]
        if ready:
            await self._processing.run(ready, budget, settle)
        else:
            await self._settle(unread, pending, redeemed, summary, budget, waiting=waiting)
        return summary

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
                await self._send_back(item.body, 0.0, budget)
                await self._remove_letters({item.letter} if item.letter else set(), budget)
                opened.append(item)
        return closed, opened

    async def _settle(
        self,
        events: Sequence[Event],
        pending: Sequence[Item],
        redeemed: Sequence[Redeemed],
        summary: Summary,
        budget: Deadline,
        *,
        waiting: Sequence[Item] = (),
    ) -> None:
        """Account for what was tried, and for dead letters that no blob has taken yet."""
        failed = [event for event in events if not event.done]
        now = times.now()
        stamp = times.milliseconds_text(now)
        for event in failed:
            await self._judge(event, now, stamp)
        await self._place(failed, pending, budget, redeemed, waiting)
        await self._remove_letters(_settled_letters(events), budget)
        summary.received += len(events) + len(pending) + len(waiting)
        count(summary, events, failed)
        summary.braked += len(waiting)
        for item in waiting:
            summary.queue(item)
        for item in pending:
            if item.dead_letter:
                summary.queue(item)
            else:
                summary.bury(item)

    async def _judge(self, event: Event, now: datetime, stamp: str) -> None:
        """Note the failure; make it a final one where patience has run out, or none while the brake is on."""
        item, failure = event.item, event.failure
        if failure is None:
            raise ValueError("only failed events are judged")
        item.attempts += 1
        item.unexpected += isinstance(failure, Unexpected)
        note(event, stamp)
        # Where that is not known, or has not come yet by our clock, the age begins now: else it never would.
        item.queued_at = times.milliseconds_text(queued_at(item, now))
        age = age_of(item, now)
        is_spent = (
            isinstance(failure, Unexpected)
            and item.unexpected >= UNEXPECTED_LIMIT
            and age >= self._patience.unexpected
        )
        if isinstance(failure, Permanent) or (is_spent and not item.is_pointer):
            # What happens to a message or a claim check is no configuration's fault.
            if failure.stage is Stage.RETRY:
                item.braked = None
            elif await self._brake.holds(item):
                return
            if not isinstance(failure, Permanent):
                event.failure = Permanent(failure.stage, failure.reason, failure.detail, field=failure.field)
        # What could not be read has no body to put into a dead letter: it is tried at whatever age.
        elif age >= self._patience.give_up and not item.is_pointer:
            item.braked = None
            detail = f"after {age.days} days and {item.attempts} tries; last: {failure}"
            event.failure = Permanent(Stage.RETRY, "gave up", detail, field=failure.field)
            note(event, stamp)

    async def _place(
        self,
        failed: Sequence[Event],
        pending: Sequence[Item],
        budget: Deadline,
        redeemed: Sequence[Redeemed] = (),
        waiting: Sequence[Item] = (),
    ) -> None:
        """Dead letters and next tries; holds while no place answers.

        What came from a claim check goes back as a pointer to the same blob.

        Raises:
            NoPlaceAnswersError: the time budget is used up.
        """
        letters = [event.item for event in failed if is_final(event)]
        letters += pending
        ids = {id(item) for item in letters}
        kept = {id(one.item): one for one in redeemed if one.unread is not None}
        luck = random.random()  # noqa: S311 - spreads load, guards nothing
        now = times.now()
        delayed = [
            Delayed(
                event.item,
                self._brake.look_again(event.item, luck)
                if self._brake.is_on(event.item)
                else backoff.delay(
                    event.item.attempts,
                    queued_at=queued_at(event.item, now),
                    now=now,
                    hint=event.failure.retry_after if event.failure else None,
                    luck=luck,  # one draw for the message, so that what fails together stays together
                ),
                alone=isinstance(event.failure, Overdue),
            )
            for event in failed
            if id(event.item) not in ids
        ]
        delayed += [Delayed(item, self._brake.look_again(item, luck)) for item in waiting]
        async for _ in hold(budget):
            letters = await self._placing.dead_letter(letters)
            for item in letters:
                item.dead_letter = True
                delay = backoff.delay(
                    max(1, item.attempts), queued_at=queued_at(item, now), now=now, hint=None
                )
                delayed.append(Delayed(item, delay))
            pointers = {name: one.put_back() for name, one in kept.items()}
            # All or nothing: what is sent while a claim check is refused would be sent by each delivery.
            delayed = await self._placing.enqueue(delayed, together=True, pointers=pointers)
            if not delayed:
                return
            # By identity: an unread pending dead letter has the mark too, and no body to be written.
            letters = [one.item for one in delayed if id(one.item) in ids]
            delayed = [one for one in delayed if id(one.item) not in ids]
        self._status.no_place("the retry queue")
        count_left = len(letters) + len(delayed)
        raise NoPlaceAnswersError(f"no destination takes {count_left} events of a retry message; it stays")

    async def _remove_letters(self, names: Collection[str], budget: Deadline) -> None:
        """Remove the dead letters that events were redriven from which have a new end.

        Raises:
            NoPlaceAnswersError: they could not be removed within the time budget; the message stays, and its
                next try finds the events stored.
        """
        for name in sorted(names):
            refusal: Exception | None = None
            async for _ in hold(budget):
                try:
                    await self._blobs.delete_dead_letter(name)
                    break
                except Exception as error:  # noqa: BLE001 - whatever it is, the letter may still be there
                    refusal = error
            else:
                raise NoPlaceAnswersError(f"dead letter {name} cannot be removed: {refusal}") from refusal

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
        waiting = [Delayed(item, 1.0) for item in items]
        async for _ in hold(budget):
            waiting = await self._placing.enqueue(waiting, alone=alone, together=True)
            if not waiting:
                break
        else:
            raise NoPlaceAnswersError(
                f"no destination takes {len(waiting)} events of a retry message; it stays"
            )
        summary = Summary(received=len(items))
        for item in items:
            summary.queue(item)
        return summary

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

    async def _end(self, events: list[Event], budget: Deadline) -> Summary:
        stamp = times.milliseconds_text(times.now())
        for event in events:
            note(event, stamp)
            event.item.queued_at = event.item.queued_at or stamp
        await self._place(events, [], budget)
        summary = Summary(received=len(events))
        count(summary, events, events)
        return summary

    async def _send_back(self, message: bytes, delay: float, budget: Deadline) -> None:
        refusal: Exception | None = None
        async for _ in hold(budget):
            try:
                await self._queue.send(message, delay)
            except Exception as error:  # noqa: BLE001 - whatever it is, the queue has not taken the message
                refusal = error
            else:
                return
        raise NoPlaceAnswersError(f"the retry queue does not take a message back: {refusal}") from refusal


def _settled_letters(events: Sequence[Event]) -> set[str]:
    """The dead letters whose events have a new end, but for those just written anew."""
    ended = [event for event in events if event.done or (is_final(event) and not event.item.dead_letter)]
    written = {blob_name(event.item) for event in ended if not event.done}
    return {event.item.letter for event in ended if event.item.letter} - written
