"""Accounts for what was tried of a retry message: each event gets its dead letter or its next try.

Either is written before this returns, and so before the message may be deleted. The dead letter that an event
was redriven from is removed once that is stored, or its new dead letter written.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from datetime import datetime

from everscore.clock import backoff, times
from everscore.clock.deadline import Deadline
from everscore.clock.holding import hold
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.failures import Overdue, Permanent, Stage, Unexpected
from everscore.flow.brake import Brake
from everscore.flow.ending import NoPlaceAnswersError, age_of, count, is_final, note, queued_at
from everscore.flow.limits import Patience
from everscore.ports import Blobs
from everscore.retry.claim_checks import Redeemed
from everscore.retry.names import blob_name
from everscore.retry.placing import Delayed, Placing
from everscore.watch.status import Status
from everscore.watch.summary import Summary

UNEXPECTED_LIMIT = 3


class Settling:
    """Gives the events of a retry message their ends, or their next try.

    Args:
        placing: where they go.
        blobs: where the dead letters lie that events were redriven from.
        brake: says what waits in place of becoming a dead letter.
        patience: how long an event is tried.
        status: hears when nothing takes them.
    """

    def __init__(
        self, *, placing: Placing, blobs: Blobs, brake: Brake, patience: Patience, status: Status
    ) -> None:
        self._placing = placing
        self._blobs = blobs
        self._brake = brake
        self._patience = patience
        self._status = status

    async def settle(
        self,
        events: Sequence[Event],
        pending: Sequence[Item],
        redeemed: Sequence[Redeemed],
        summary: Summary,
        budget: Deadline,
        *,
        waiting: Sequence[Item] = (),
    ) -> None:
        """Account for what was tried, and for dead letters that no blob has taken yet.

        Raises:
            NoPlaceAnswersError: no destination took some of it within the time budget; the message stays.
        """
        failed = [event for event in events if not event.done]
        now = times.now()
        stamp = times.milliseconds_text(now)
        for event in failed:
            await self._judge(event, now, stamp)
        # First, since nothing was sent yet that would be sent again where this fails.
        await self.remove_letters(_settled_letters(events), budget)
        await self._place(failed, pending, budget, redeemed, waiting)
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

    async def settle_as_they_are(self, events: list[Event], budget: Deadline) -> Summary:
        """Account for events whose failure is known without a try.

        Raises:
            NoPlaceAnswersError: see `settle`.
        """
        stamp = times.milliseconds_text(times.now())
        for event in events:
            note(event, stamp)
            event.item.queued_at = event.item.queued_at or stamp
        await self._place(events, [], budget)
        summary = Summary(received=len(events))
        count(summary, events, events)
        return summary

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
        else:
            self._brake.forget_others(item)

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

    async def remove_letters(self, names: Collection[str], budget: Deadline) -> None:
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


def _settled_letters(events: Sequence[Event]) -> set[str]:
    """The dead letters whose events are stored or superseded, but for those that are to be written anew.

    Whoever writes a new dead letter has removed the one before it.
    """
    written = {blob_name(event.item) for event in events if is_final(event)}
    return {event.item.letter for event in events if event.done and event.item.letter} - written
