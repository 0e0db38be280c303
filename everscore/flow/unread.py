"""Puts events into the retry queue unread: nothing is made of them here, so that none of them can do harm."""

from __future__ import annotations

from collections.abc import Sequence

from everscore.clock.deadline import Deadline
from everscore.clock.holding import hold
from everscore.event.item import Item
from everscore.flow.ending import NoPlaceAnswersError
from everscore.ports import RetryQueue
from everscore.retry.placing import Delayed, Placing
from everscore.watch.summary import Summary

_DELAY = 1.0  # seconds


async def pass_on(
    placing: Placing,
    items: Sequence[Item],
    budget: Deadline,
    *,
    alone: bool,
    together: bool = True,
    once: bool = False,
) -> list[Item]:
    """Send items on; hold while no destination takes them.

    Args:
        placing: where they go.
        items: of a batch or message.
        budget: of the invocation.
        alone: one message an item, where only the guilty one goes on killing the worker.
        together: see `Placing.enqueue`.
        once: without holding.

    Returns:
        Those that no destination has taken.
    """
    waiting = [Delayed(item, _DELAY) for item in items]
    async for _ in hold(budget):
        waiting = await placing.enqueue(waiting, alone=alone, together=together)
        if not waiting or once:
            break
    return [one.item for one in waiting]


async def send_back(queue: RetryQueue, message: bytes, delay: float, budget: Deadline) -> None:
    """Send a message back as it is; hold while the queue does not take it.

    Raises:
        NoPlaceAnswersError: it did not within the time budget.
    """
    refusal: Exception | None = None
    async for _ in hold(budget):
        try:
            await queue.send(message, delay)
        except Exception as error:  # noqa: BLE001 - whatever it is, the queue has not taken the message
            refusal = error
        else:
            return
    raise NoPlaceAnswersError(f"the retry queue does not take a message back: {refusal}") from refusal


def all_queued(items: Sequence[Item]) -> Summary:
    """The summary of a batch or message of which all events are in the retry queue."""
    summary = Summary(received=len(items))
    for item in items:
        summary.queue(item)
    return summary
