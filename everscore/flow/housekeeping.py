"""Empties the poison queue, where messages would vanish after 7 days, seen by nobody.

It is read through the SDK, without decoding, since a queue trigger never sees what is not base64.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import random
from datetime import timedelta

from everscore.clock import backoff, times
from everscore.clock.deadline import Deadline, within
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.failures import Failure, Permanent, Stage, describe
from everscore.flow.brake import Brake
from everscore.flow.ending import NoPlaceAnswersError, age_of, foreign, note
from everscore.flow.limits import Patience
from everscore.ports import PoisonMessage, PoisonQueue, RetryQueue
from everscore.retry.claim_checks import ClaimChecks
from everscore.retry.envelope import NewerEnvelopeError, UnreadableEnvelopeError, decode_envelope
from everscore.retry.placing import Delayed, Placing
from everscore.watch.summary import Summary
from everscore.watch.telemetry import Recorder

logger = logging.getLogger(__name__)

CRASH_LIMIT = 3
# Seconds until a dead letter that was refused is written again.
_PENDING = 30.0


class Housekeeping:
    """Gives every message of the poison queue a way on."""

    def __init__(
        self,
        *,
        poison: PoisonQueue,
        queue: RetryQueue,
        placing: Placing,
        claim_checks: ClaimChecks,
        patience: Patience,
        brake: Brake,
        recorder: Recorder | None = None,
    ) -> None:
        self._poison = poison
        self._queue = queue
        self._placing = placing
        self._claim_checks = claim_checks
        self._patience = patience
        self._brake = brake
        self._recorder = recorder or Recorder()

    async def empty_poison_queue(self, budget: Deadline) -> Summary:
        """Move messages on until the queue is empty or the budget is used up.

        A message that cannot be moved stays where it is, and the next run takes it up.

        Raises:
            Failure: the poison queue cannot be read.
        """
        summary = Summary()
        with within(budget):
            await self._take_all(summary, budget)
        if summary.received:
            logger.warning("The poison queue held messages: %s", summary)
            self._recorder.moved(summary)
        return summary

    async def _take_all(self, summary: Summary, budget: Deadline) -> None:
        moving = budget.share(0.9)  # the rest is for letting go of a message that could not be moved
        while not moving.passed:
            messages = await self._poison.receive()
            moved = 0
            for message in messages:
                # What is not reached appears again by itself: this run must end before the next begins.
                if not moving.passed:
                    with within(moving):
                        is_moved = await self._take(message, summary, moving)
                    moved += is_moved
                    if not is_moved:
                        await self._release(message)
            if not moved:
                break

    async def _take(self, message: PoisonMessage, summary: Summary, budget: Deadline) -> bool:
        """Move one message on and delete it; returns whether that went well."""
        try:
            await self._move(message, summary, budget)
            await self._poison.delete(message)
        except Exception as error:  # noqa: BLE001 - this one message's own: its neighbours go on
            logger.error("A message of the poison queue stays there for now: %s", describe(error))  # noqa: TRY400
        else:
            return True
        return False

    async def _release(self, message: PoisonMessage) -> None:
        try:
            await self._poison.release(message)
        except Failure as failure:
            logger.warning("A message of the poison queue stays hidden for some minutes: %s", failure)

    async def _move(self, message: PoisonMessage, summary: Summary, budget: Deadline) -> None:
        raw = message.text.encode("utf-8", "surrogatepass")
        try:
            data = base64.b64decode(raw, validate=True)
            items = decode_envelope(data).items
        except NewerEnvelopeError:
            await self._queue.send(data, 60.0)
            return
        except (binascii.Error, UnreadableEnvelopeError) as error:
            unreadable = Permanent(Stage.RETRY, "poison message unreadable", str(error))
            whole = foreign(raw, message.id, message.inserted_at or None, unreadable)
            if not await self._bury(whole, summary):
                await self._send_on([Delayed(whole.item, _PENDING)], summary)
            return
        now = times.now()
        onward: list[Delayed] = []
        for item in items:
            item.crashes += 1
            age = age_of(item, now)
            # Too old, it has one last try first: a try that ends by itself leaves no crash behind, so that
            # one that is here again had it, and did not come through.
            if item.crashes >= CRASH_LIMIT or (age >= self._patience.give_up and item.crashes > 1):
                reason = "crashes the worker" if item.crashes >= CRASH_LIMIT else "gave up"
                detail = f"in the poison queue {item.crashes} times, {age // timedelta(hours=1)} hours old"
                spent = await self._redeemed(item, reason, detail, budget)
                waits = age < self._patience.give_up and await self._brake.holds(item)
                if spent is not None and not waits:
                    if not await self._bury(spent, summary):
                        onward.append(Delayed(spent.item, _PENDING))
                    continue
            delay = backoff.delay(
                item.crashes + item.attempts,
                queued_at=now,
                now=now,
                hint=None,
                luck=random.random(),  # noqa: S311
            )
            onward.append(Delayed(item, delay))
        await self._send_on(onward, summary)

    async def _send_on(self, onward: list[Delayed], summary: Summary) -> None:
        # Together: what is sent while a claim check is refused would be sent by each run.
        if await self._placing.enqueue(onward, alone=True, together=True):
            raise NoPlaceAnswersError("the retry queue does not take an event back")
        for one in onward:
            summary.received += 1
            summary.queue(one.item)

    async def _redeemed(self, item: Item, reason: str, detail: str, budget: Deadline) -> Event | None:
        """The item with its body, for a dead letter; where that is gone everywhere, the letter says so.

        None where it cannot be read now: one body out of reach must not keep its neighbours here until they
        expire, so that the item goes back like them. The other half of the time is for that.
        """
        try:
            async with asyncio.timeout(budget.share(0.5).remaining):
                whole = (await self._claim_checks.redeem(item)).item
        except Permanent as failure:
            return Event(item, failure=failure)
        except Exception as error:  # noqa: BLE001 - whatever it is, the body was not read
            logger.warning(
                "The claim check %s of a message in the poison queue cannot be read (%s: %s): the event goes "
                "back to the retry queue.",
                item.blob,
                type(error).__name__,
                error,
            )
            return None
        return Event(whole, failure=Permanent(Stage.RETRY, reason, detail))

    async def _bury(self, event: Event, summary: Summary) -> bool:
        """Write a dead letter; returns whether it is there.

        One that is refused waits in the retry queue, which keeps it for as long as it takes.
        """
        stamp = times.milliseconds_text(times.now())
        note(event, stamp)
        event.item.queued_at = event.item.queued_at or stamp
        if await self._placing.dead_letter([event.item]):
            event.item.dead_letter = True
            return False
        summary.received += 1
        summary.bury(event.item)
        return True
