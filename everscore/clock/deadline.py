"""One bound for several steps together, on the monotonic clock."""

from __future__ import annotations

import time
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
