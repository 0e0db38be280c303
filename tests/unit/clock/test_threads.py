"""Calls in threads that nobody waits for for ever."""

from __future__ import annotations

import asyncio
import threading

import pytest

from everscore.clock.deadline import Deadline
from everscore.clock.threads import NotBegunError, StillRunningError, Threads

SOON = 0.2
LATE = 60.0


async def test_a_call_gives_its_result_or_its_exception() -> None:
    """What the call returns or raises is what the one who waits gets."""
    threads = Threads(1, "test")
    assert await threads.run(lambda: 5, Deadline.after(LATE)) == 5
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0, Deadline.after(LATE))


async def test_a_call_that_does_not_return_holds_up_no_later_one() -> None:
    """It is waited for until the deadline; the next call has another thread."""
    threads = Threads(1, "test")
    end = threading.Event()
    with pytest.raises(StillRunningError):
        await threads.run(end.wait, Deadline.after(SOON))
    assert await threads.run(lambda: 5, Deadline.after(LATE)) == 5
    end.set()


async def test_a_call_that_finds_no_thread_is_never_made() -> None:
    """Whoever hears that it was not begun may do the work elsewhere: it is not done here any more."""
    threads = Threads(1, "test")
    end, made = threading.Event(), threading.Event()
    first = asyncio.create_task(threads.run(end.wait, Deadline.after(LATE)))
    await asyncio.sleep(0)
    with pytest.raises(NotBegunError):
        await threads.run(made.set, Deadline.after(SOON))
    end.set()
    assert await first
    assert await threads.run(lambda: 5, Deadline.after(LATE)) == 5
    assert not made.is_set()
