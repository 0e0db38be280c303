"""When to try again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everscore.clock import backoff

NOW = datetime(2026, 11, 25, tzinfo=UTC)
HINTS = st.none() | st.floats(0, 1e9)


@given(st.integers(0, 5_000), st.floats(0, 1e6), HINTS, st.none() | st.floats(0, 1))
def test_delays_keep_to_their_bounds(attempts, age, hint, luck) -> None:
    """Never under the server's hint (up to a day), never over it and the cap of that age."""
    queued_at = NOW - timedelta(seconds=age)
    delay = backoff.delay(attempts, queued_at=queued_at, now=NOW, hint=hint, luck=luck)
    cap = backoff.EARLY_CAP if age < 600 else backoff.LATE_CAP
    wanted = min(hint or 0, backoff.HINT_CAP)
    assert wanted <= delay <= max(cap, wanted)


@pytest.mark.parametrize(
    ("attempts", "minutes", "bound"),
    [(1, 0, 2), (2, 0, 4), (4, 0, 16), (5, 0, 30), (50, 9, 30), (5, 11, 32), (9, 11, 512), (50, 11, 900)],
)
def test_the_bound_doubles_up_to_the_cap(attempts, minutes, bound) -> None:
    """The exponential bound, with all of its luck, is 2 to the attempts; 30 seconds early, 15 minutes late."""
    queued_at = NOW - timedelta(minutes=minutes)
    assert backoff.delay(attempts, queued_at=queued_at, now=NOW, hint=None, luck=1.0) == bound
    assert backoff.delay(attempts, queued_at=queued_at, now=NOW, hint=None, luck=0.0) == 0


def test_jitter_spreads_over_the_whole_bound() -> None:
    """Delays of a crowd cover the range from nothing to the bound."""
    delays = [backoff.delay(4, queued_at=NOW, now=NOW, hint=None) for _ in range(500)]
    assert min(delays) < 2
    assert max(delays) > 14


def test_an_age_in_the_future_is_early() -> None:
    """Clocks that differ make no event old."""
    later = NOW + timedelta(days=9)
    assert backoff.delay(99, queued_at=later, now=NOW, hint=None, luck=1.0) == backoff.EARLY_CAP


@given(st.integers(0, 5_000), HINTS)
def test_waits_in_the_process_are_short_but_for_a_hint(attempt, hint) -> None:
    """Without a hint at most 2 seconds; a hint is kept, with up to a quarter more."""
    wait = backoff.in_process(attempt, hint)
    if hint:
        assert hint <= wait <= hint * 1.25
    else:
        assert 0 < wait <= 2


@given(st.integers(0, 100_000))
def test_holds_are_bounded_however_many(attempt) -> None:
    """A hold begins with a second and never waits over half a minute at once."""
    assert 1.0 <= backoff.hold(attempt) <= backoff.HOLD_CAP
