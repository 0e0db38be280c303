"""What bounds an invocation, and how long an event is tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """Times and numbers that bound an invocation.

    Attributes:
        time_budget: seconds after which an invocation ends.
        brake_minimum: events from which on a batch can trip the brake.
        linger: seconds that an invocation waits at its end while the store is out of reach, so that the hub
            gathers a large batch meanwhile and the retry queue few messages.
    """

    time_budget: float
    brake_minimum: int
    linger: float = 0.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an event is tried.

    Attributes:
        give_up: age in the queue at which a failing event becomes a dead letter.
        brake: time for which events that the brake sent are tried, whatever fails.
    """

    give_up: timedelta
    brake: timedelta
