"""When to try again: full-jitter exponential back-off, under the server's hint and our caps.

Full jitter as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): uniform between 0 and the
exponential bound, which spreads a crowd of retries best.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

BASE = 1.0  # seconds
EARLY_CAP = 30.0  # seconds: most outages are short, and what they queued should drain soon after
EARLY = timedelta(minutes=10)
LATE_CAP = 900.0  # seconds: a long outage is not probed by every message twice a minute
HOLD_CAP = 30.0  # seconds: while nothing takes an event, little else is worth doing
# Seconds until what waits for another verdict is first looked at: later than a verdict is read again.
LOOK_FLOOR = 15.0
# A storage queue hides a message for at most 7 days; a hint from a server is kept well below.
HINT_CAP = 86_400.0


def delay(
    attempts: int, *, queued_at: datetime, now: datetime, hint: float | None, luck: float | None = None
) -> float:
    """Seconds until the next try.

    Args:
        attempts: tries so far, at least 1.
        queued_at: when the event entered the retry queue.
        now: the present.
        hint: seconds that the service asked for, or None; the longer of the two wins.
        luck: the share of the exponential bound, 0 to 1; drawn when None.
    """
    cap = EARLY_CAP if now - queued_at < EARLY else LATE_CAP
    bound = min(cap, BASE * 2.0 ** min(attempts, 30))
    share = random.random() if luck is None else luck  # noqa: S311 - spreads load, guards nothing
    return max(bound * share, min(hint or 0.0, HINT_CAP))


def while_out(age: timedelta, luck: float | None = None) -> float:
    """Seconds until what was not even tried, since the store is out of reach, is looked at again.

    They grow with the age, since an outage that has lasted long lasts on: a quarter of it, under the caps of
    all waits. At least half of the bound is waited, since nothing is learned by looking sooner.

    Args:
        age: since the event entered the retry queue.
        luck: the share of the other half, 0 to 1; drawn when None.
    """
    seconds = age.total_seconds()
    bound = min(seconds, EARLY_CAP) if age < EARLY else min(seconds / 4, LATE_CAP)
    share = random.random() if luck is None else luck  # noqa: S311 - spreads load, guards nothing
    return max(bound, 2 * BASE) * (1.0 + share) / 2


def look(waited: timedelta, luck: float | None = None) -> float:
    """Seconds until what only waits is looked at again: a quarter of its wait so far, up to 15 minutes.

    Args:
        waited: since when it waits.
        luck: 0 to 1; the larger, the sooner, by a quarter at most; drawn when None.
    """
    bound = min(LATE_CAP, max(LOOK_FLOOR, waited.total_seconds() / 4))
    share = random.random() if luck is None else luck  # noqa: S311 - spreads load, guards nothing
    return bound * (1.0 - share / 4)


def hold(attempt: int) -> float:
    """Seconds to wait before asking the places again that took nothing; attempt is 0 for the first wait."""
    return min(HOLD_CAP, BASE * 2.0 ** min(attempt, 30))


def in_process(attempt: int, hint: float | None) -> float:
    """Seconds to wait within a batch's deadline before asking the store again.

    Args:
        attempt: 0 for the first wait.
        hint: seconds that the service asked for; it is kept, with up to a quarter more, so that the
            batches of all instances do not come back as one.
    """
    spread = random.random()  # noqa: S311 - spreads load, guards nothing
    if hint:
        return hint * (1.0 + spread / 4)
    return min(2.0, 0.05 * 2.0 ** min(attempt, 10)) * (0.5 + spread / 2)
