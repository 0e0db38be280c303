"""Calls that block, each in a thread, waited for until a deadline and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from everscore.clock.deadline import Deadline


class NotBegunError(Exception):
    """All threads were busy until the deadline: the call was never made."""


class StillRunningError(Exception):
    """The call has not returned by the deadline. It goes on: whatever it works on must be left to it."""


class Threads:
    """A few threads for calls of one kind.

    No thread can be ended from outside. One whose call is not waited for any longer is left to it and
    replaced, so that no later call stands in line behind a call that may never return.

    Args:
        count: calls at a time.
        name: of the threads.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._pool = ThreadPoolExecutor(count, name)
        self._replaced = asyncio.Event()  # of this pool; a later one has its own

    async def run[T](self, call: Callable[[], T], until: Deadline) -> T:
        """Make a call and wait for its result.

        Raises:
            NotBegunError: it was not made, and will not be.
            StillRunningError: it was made, and has not returned.
            Exception: what the call raised.
        """
        while True:
            pool, replaced = self._pool, self._replaced
            running = pool.submit(call)
            result = asyncio.wrap_future(running)
            try:
                await _first(result, replaced, until)
                if replaced.is_set() and not result.done():
                    if running.cancel():
                        continue  # it stood in line behind a call that hangs
                    await asyncio.wait([result], timeout=until.remaining)
                if result.done():
                    return result.result()
            finally:  # also where the one who waits is cancelled
                never_begun = running.cancel()
                if not result.done():
                    result.add_done_callback(_heard)
                    if not never_begun and pool is self._pool:
                        self._replace()
            raise NotBegunError if never_begun else StillRunningError

    def _replace(self) -> None:
        """Leave all threads to their calls; those that wait for one go on in new ones."""
        self._pool.shutdown(wait=False)
        self._replaced.set()
        self._pool = ThreadPoolExecutor(self._count, self._name)
        self._replaced = asyncio.Event()


async def _first[T](result: asyncio.Future[T], replaced: asyncio.Event, until: Deadline) -> None:
    """Wait for the result, for other threads, or for the end of the time."""
    other = asyncio.ensure_future(replaced.wait())
    try:
        waited: list[asyncio.Future[Any]] = [result, other]
        await asyncio.wait(waited, timeout=until.remaining, return_when=asyncio.FIRST_COMPLETED)
    finally:
        other.cancel()


def _heard[T](result: asyncio.Future[T]) -> None:
    """Nobody waits for it: asyncio is not to report that its exception was never looked at."""
    if not result.cancelled():
        result.exception()
