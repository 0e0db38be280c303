"""Tells an event that kills the worker from those that only died beside it.

When the worker dies, every message that it was busy with is delivered again, the innocent ones too, so a
dequeue count is no proof. Suspects are therefore tried one at a time in a process, each with a mark in a blob
for as long as it is tried: a mark that is found was left by a death, and enough of them are the proof.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from everscore.clock.deadline import Deadline, within
from everscore.clock.holding import hold
from everscore.event.item import Item
from everscore.failures import EverscoreError, describe
from everscore.ports import Blobs
from everscore.retry.names import suspect_name

logger = logging.getLogger(__name__)

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
    async def trial(self, item: Item, begin_by: Deadline, budget: Deadline) -> AsyncIterator[bool]:
        """The block tries the item, with its mark in place; gives whether it is guilty, and not to be tried.

        A mark that cannot be taken away is logged, and no more: what the block has accounted for must not
        come again for it.

        Args:
            item: the suspect.
            begin_by: when its turn must have come and its mark be in place.
            budget: of the invocation.

        Raises:
            NotTriedError: it was not so by then.
        """
        name = suspect_name(item)
        try:
            async with asyncio.timeout(begin_by.remaining):
                await self._turn.acquire()
        except TimeoutError as error:
            raise NotTriedError("other suspects took all of the time") from error
        try:
            with within(begin_by):
                deaths = await self._persist(lambda: self._deaths(name), begin_by)
                guilty = deaths >= DEATHS_LIMIT
                if not guilty:
                    await self._persist(lambda: self._mark(name, deaths + 1), begin_by)
            try:
                yield guilty
            finally:  # however the trial ended, the worker lived through it
                await self._clear(name, budget)
        finally:
            self._turn.release()

    async def _clear(self, name: str, budget: Deadline) -> None:
        try:
            await self._persist(lambda: self._mark(name, 0), budget)
        except NotTriedError as error:
            logger.warning("A suspect was tried, and counts as one that was not lived through: %s", error)

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
        why = describe(refusal) if refusal else "no time left"
        raise NotTriedError(f"the mark of a suspect does not reach the blobs: {why}") from refusal
