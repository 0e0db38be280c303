"""One bound for several steps together, on the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock.

    Attributes:
        at: seconds of ``time.monotonic``.
    """

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The deadline that many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.remaining <= 0.0

    def share(self, part: float) -> Deadline:
        """The deadline of one step, that leaves the rest of the time to the steps after it.

        Args:
            part: of what remains, 0 to 1.
        """
        return Deadline.after(self.remaining * part)

    def earlier(self, seconds: float) -> Deadline:
        """The deadline that many seconds before this one."""
        return Deadline(self.at - seconds)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def within(deadline: Deadline) -> Iterator[None]:
    """Requests that the block makes end by the deadline, also those of tasks that it starts.

    An ambient bound, since it must hold for every request that any step makes, however deep: see
    ``everscore.adapters.bounds``. It cuts single requests short and nothing else, so that each step still
    learns what became of each of its own. Of nested ones the earliest holds.
    """
    outer = _current.get()
    token = _current.set(deadline if outer is None or deadline.at < outer.at else outer)
    try:
        yield
    finally:
        _current.reset(token)


def cut(seconds: float) -> float:
    """That many seconds, or what is left to the block that runs, whichever is less."""
    deadline = _current.get()
    return seconds if deadline is None else min(seconds, deadline.remaining)
