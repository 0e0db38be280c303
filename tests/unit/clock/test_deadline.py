"""One bound for several steps."""

from __future__ import annotations

from everscore.clock.deadline import Deadline


def test_a_deadline_ahead_has_time_left() -> None:
    """What remains is at most what was given, and it has not passed."""
    deadline = Deadline.after(100)
    assert 0 < deadline.remaining <= 100
    assert not deadline.passed


def test_a_deadline_behind_has_passed() -> None:
    """Nothing remains, never less than nothing."""
    for seconds in (0, -5):
        deadline = Deadline.after(seconds)
        assert deadline.passed
        assert deadline.remaining == 0
