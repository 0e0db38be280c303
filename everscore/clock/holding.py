"""Asking again while nothing answers: one loop for whoever holds an event that has nowhere to go yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from everscore.clock import backoff
from everscore.clock.deadline import Deadline

# Seconds of the budget that are kept for the last try: begun at the budget's very end it could not succeed.
LAST_TRY = 10.0


def hold(budget: Deadline) -> AsyncIterator[int]:
    """Tries with growing pauses between them, for ``async for``.

    The body leaves the loop once it has got what it wanted; the ``else`` of the loop is where the budget is
    used up. There is one try at least, and a last one when only the time for it is left.

    Yields:
        The number of the try, from 0.
    """
    return _Hold(budget)


class _Hold:
    """No generator: one that a loop leaves early waits for the garbage collector to be closed."""

    def __init__(self, budget: Deadline) -> None:
        self._budget = budget
        self._attempt = -1

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        if self._attempt >= 0:
            left = self._budget.remaining - LAST_TRY
            if left <= 0.0:
                raise StopAsyncIteration
            await asyncio.sleep(min(backoff.hold(self._attempt), left))
        self._attempt += 1
        return self._attempt
