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


async def test_a_call_that_stands_in_line_goes_on_when_the_one_before_it_hangs() -> None:
    """It was there before the other was given up: it is made in another thread, once, and in its own time."""
    threads = Threads(1, "test")
    end, made = threading.Event(), []
    hanging = asyncio.create_task(threads.run(end.wait, Deadline.after(SOON)))
    await asyncio.sleep(0)
    waiting = [
        asyncio.create_task(threads.run(lambda: made.append(1), Deadline.after(LATE))) for _ in range(3)
    ]
    with pytest.raises(StillRunningError):
        await hanging
    await asyncio.gather(*waiting)
    assert made == [1, 1, 1]
    end.set()


async def test_a_call_that_runs_is_left_to_its_thread_when_another_hangs() -> None:
    """With two threads the one that is at work is not disturbed, and its call is not made twice."""
    threads = Threads(2, "test")
    end, go, made = threading.Event(), threading.Event(), []

    def work() -> int:
        made.append(1)
        go.wait()
        return 5

    hanging = asyncio.create_task(threads.run(end.wait, Deadline.after(SOON)))
    working = asyncio.create_task(threads.run(work, Deadline.after(LATE)))
    with pytest.raises(StillRunningError):
        await hanging
    assert await threads.run(lambda: 6, Deadline.after(LATE)) == 6
    go.set()
    assert (await working, made) == (5, [1])
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
