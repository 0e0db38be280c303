"""What bounds an invocation, and how long an event is tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """Times and numbers that bound an invocation.

    Attributes:
        time_budget: seconds after which an invocation ends.
        linger: seconds that an invocation waits at its end while the store is out of reach, so that the hub
            gathers a large batch meanwhile and the retry queue few messages.
    """

    time_budget: float
    linger: float = 0.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an event is tried.

    Attributes:
        give_up: age in the queue at which a failing event becomes a dead letter.
        brake: time for which an event waits because of a configuration that seems to be at fault.
        unexpected: age in the queue before which what nobody foresaw makes no dead letter, however often it
            happened: an error of a library, or of something in between, may pass. And the time before which
            what another configuration braked makes none: a deployment may be going out.
    """

    give_up: timedelta
    brake: timedelta
    unexpected: timedelta
