"""Empties the poison queue, where messages would vanish after 7 days, seen by nobody.

It is read through the SDK, without decoding, since a queue trigger never sees what is not base64.
"""

from __future__ import annotations

import base64
import binascii
import logging
import random
from datetime import timedelta

from everscore import backoff, times
from everscore.claim_checks import ClaimChecks
from everscore.deadline import Deadline
from everscore.envelope import (
    Item,
    NewerEnvelopeError,
    UnreadableEnvelopeError,
    decode_envelope,
)
from everscore.events import Event
from everscore.failures import EverscoreError, Failure, Permanent, Stage
from everscore.pipeline import NoPlaceAnswersError, note
from everscore.placing import Delayed, Placing
from everscore.ports import PoisonMessage, PoisonQueue, RetryQueue
from everscore.retrying import Patience, age_of, foreign
from everscore.summary import Summary
from everscore.telemetry import Recorder

logger = logging.getLogger(__name__)

CRASH_LIMIT = 3


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
        recorder: Recorder | None = None,
    ) -> None:
        self._poison = poison
        self._queue = queue
        self._placing = placing
        self._claim_checks = claim_checks
        self._patience = patience
        self._recorder = recorder or Recorder()

    async def empty_poison_queue(self, budget: Deadline) -> Summary:
        """Move messages on until the queue is empty or the budget is used up.

        A message that cannot be moved stays where it is, and the next run takes it up.

        Raises:
            Failure: the poison queue cannot be read.
        """
        summary = Summary()
        while not budget.passed:
            messages = await self._poison.receive()
            if not messages:
                break
            moved = 0
            for message in messages:
                try:
                    await self._move(message, summary)
                    await self._poison.delete(message)
                except EverscoreError as error:
                    logger.error("A message of the poison queue stays there for now: %s", error)  # noqa: TRY400
                    await self._release(message)
                except Exception:  # this one message's own: its neighbours go on
                    logger.exception("A message of the poison queue stays there for now")
                    await self._release(message)
                else:
                    moved += 1
            if not moved:
                break
        if summary.received:
            logger.warning("The poison queue held messages: %s", summary)
            self._recorder.moved(summary)
        return summary

    async def _release(self, message: PoisonMessage) -> None:
        try:
            await self._poison.release(message)
        except Failure as failure:
            logger.warning("A message of the poison queue stays hidden for some minutes: %s", failure)

    async def _move(self, message: PoisonMessage, summary: Summary) -> None:
        raw = message.text.encode("utf-8", "surrogatepass")
        try:
            data = base64.b64decode(raw, validate=True)
            items = decode_envelope(data).items
        except NewerEnvelopeError:
            await self._queue.send(data, 60.0)
            return
        except (binascii.Error, UnreadableEnvelopeError) as error:
            summary.received += 1
            await self._bury(foreign(raw, message.id, "poison message unreadable", str(error)), summary)
            return
        for item in items:
            item.crashes += 1
        summary.received += len(items)
        now = times.now()
        for item in items:
            age = age_of(item, now)
            if item.crashes >= CRASH_LIMIT or age >= self._patience.give_up:
                detail = f"in the poison queue {item.crashes} times, {age // timedelta(hours=1)} hours old"
                await self._bury(await self._redeemed(item, detail), summary)
                continue
            delay = backoff.delay(
                item.crashes + item.attempts,
                queued_at=now,
                now=now,
                hint=None,
                luck=random.random(),  # noqa: S311
            )
            if await self._placing.enqueue([Delayed(item, delay)], alone=True):
                raise NoPlaceAnswersError("the retry queue does not take an event back")
            summary.queue(item)

    async def _redeemed(self, item: Item, detail: str) -> Event:
        """The item with its body, for a dead letter; where that is gone everywhere, the letter says so."""
        try:
            whole = await self._claim_checks.redeem(item)
        except Permanent as failure:
            return Event(item, failure=failure)
        return Event(whole, failure=Permanent(Stage.RETRY, "crashes the worker", detail))

    async def _bury(self, event: Event, summary: Summary) -> None:
        note(event, times.milliseconds_text(times.now()))
        event.item.queued_at = event.item.queued_at or times.milliseconds_text(times.now())
        if await self._placing.dead_letter([event.item]):
            raise NoPlaceAnswersError("the dead letters take no event")
        summary.bury(event.item)
