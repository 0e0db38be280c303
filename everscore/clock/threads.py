"""Calls that block, each in a thread, waited for until a deadline and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

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

    async def run[T](self, call: Callable[[], T], until: Deadline) -> T:
        """Make a call and wait for its result.

        Raises:
            NotBegunError: it was not made, and will not be.
            StillRunningError: it was made, and has not returned.
            Exception: what the call raised.
        """
        pool = self._pool
        running = pool.submit(call)
        result = asyncio.wrap_future(running)
        try:
            await asyncio.wait([result], timeout=until.remaining)
            if result.done():
                return result.result()
        finally:  # also where the one who waits is cancelled
            never_begun = running.cancel()
            if not result.done():
                result.add_done_callback(_heard)
                if not never_begun and pool is self._pool:
                    pool.shutdown(wait=False)
                    self._pool = ThreadPoolExecutor(self._count, self._name)
        raise NotBegunError if never_begun else StillRunningError


def _heard[T](result: asyncio.Future[T]) -> None:
    """Nobody waits for it: asyncio is not to report that its exception was never looked at."""
    if not result.cancelled():
        result.exception()
