"""Tells an event that kills the worker from those that only died beside it.

When the worker dies, every message that it was busy with is delivered again, the innocent ones too, so a
dequeue count is no proof. Suspects are therefore tried one at a time in a process, each with a mark in a blob
for as long as it is tried: a mark that is found was left by a death, and enough of them are the proof.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from everscore.clock.deadline import Deadline
from everscore.clock.holding import hold
from everscore.event.item import Item
from everscore.failures import EverscoreError
from everscore.ports import Blobs
from everscore.retry.names import suspect_name

# Deaths of the worker while it tried this one suspect.
DEATHS_LIMIT = 3


class NotTriedError(EverscoreError):
    """A suspect could not be tried now: its mark cannot be written, or its turn did not come in time."""


class Suspects:
    """Keeps the marks, and one suspect at a time.

    Args:
        blobs: where marks lie, beside the claim checks, whose life-cycle rule removes them.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def trial(self, item: Item, budget: Deadline) -> AsyncIterator[bool]:
        """The block tries the item, with its mark in place; gives whether it is guilty, and not to be tried.

        Raises:
            NotTriedError: not within the budget.
        """
        name = suspect_name(item)
        try:
            async with asyncio.timeout(budget.remaining):
                await self._turn.acquire()
        except TimeoutError as error:
            raise NotTriedError("other suspects took all of the time") from error
        try:
            deaths = await self._persist(lambda: self._deaths(name), budget)
            guilty = deaths >= DEATHS_LIMIT
            if not guilty:
                await self._persist(lambda: self._mark(name, deaths + 1), budget)
            try:
                yield guilty
            finally:  # however the trial ended, the worker lived through it
                await self._persist(lambda: self._mark(name, 0), budget)
        finally:
            self._turn.release()

    async def _deaths(self, name: str) -> int:
        found = await self._blobs.get_claim_check(name)
        return int(found) if found and found.isdigit() else 0

    async def _mark(self, name: str, deaths: int) -> None:
        await self._blobs.put_claim_check(name, str(deaths).encode())

    async def _persist[T](self, ask: Callable[[], Awaitable[T]], budget: Deadline) -> T:
        refusal: Exception | None = None
        async for _ in hold(budget):
            try:
                return await ask()
            except Exception as error:  # noqa: BLE001 - whatever it is, a death would leave no proof
                refusal = error
        raise NotTriedError(f"the mark of a suspect does not reach the blobs: {refusal}") from refusal
