"""How a transactional batch comes to its turns at the store, and how much of its time the store has taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from everscore.clock.deadline import Deadline
from everscore.failures import OutOfTime, Stage


class Turns:
    """What a transactional batch may ask of the store, one request at a time.

    A slot is taken for a request and not for a wait, so that a throttled partition key never stops the
    others. Two clocks run: the store's own, with its answers and the waits that it asks for, and one for
    everything. Waiting for a slot is no slowness of the store: the first one stands still meanwhile.

    Args:
        slots: shared by everything in this process.
        patience: seconds that the store may take.
        deadline: for all time, whatever it is spent on.
    """

    def __init__(self, slots: asyncio.Semaphore, patience: float, deadline: Deadline) -> None:
        self._slots = slots
        self._patience = patience
        self._deadline = deadline

    @property
    def patience_is_over(self) -> bool:
        """Whether the store has taken all of its time."""
        return self._patience <= 0.0

    @property
    def left(self) -> float:
        """Seconds until the first of the two clocks runs out, never below 0."""
        return max(0.0, min(self._patience, self._deadline.remaining))

    async def ask[T](self, request: Callable[[], Awaitable[T]]) -> T:
        """One request, once a slot is free.

        Raises:
            OutOfTime: the deadline passed, perhaps with the request on its way: its outcome is unknown.
        """
        if self._deadline.passed:
            raise OutOfTime(Stage.STORE, "no time left", "the invocation's time was used up before")
        try:
            async with asyncio.timeout(self._deadline.remaining), self._slots:
                with self._counted():
                    return await request()
        except TimeoutError as error:
            detail = "the invocation's time was used up; whether this was written is not known"
            raise OutOfTime(Stage.STORE, "no time left", detail) from error

    async def pause(self, seconds: float) -> None:
        """Wait as the store asked, without a slot."""
        with self._counted():
            await asyncio.sleep(seconds)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._patience -= time.monotonic() - began
