"""Times as people type them for --since and --until."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from everscore_cli.errors import CliError
from everscore_cli.moments import parse_moment, parse_range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("2026-11-25T10:11:12Z", datetime(2026, 11, 25, 10, 11, 12, tzinfo=UTC)),
        ("2026-11-25 12:11:12+02:00", datetime(2026, 11, 25, 10, 11, 12, tzinfo=UTC)),
        ("2026-11-25", datetime(2026, 11, 25, tzinfo=UTC)),
    ],
)
def test_times_and_dates(text, expected) -> None:
    """A time has a zone, and a date is its beginning in UTC."""
    assert parse_moment(text, "--since") == expected


@pytest.mark.parametrize(("text", "age"), [("90m", 5400), ("24h", 86_400), ("7d", 604_800)])
def test_ages(text, age) -> None:
    """An age is that long ago."""
    before = datetime.now(UTC)
    moment = parse_moment(text, "--since")
    assert moment is not None
    assert before <= moment + timedelta(seconds=age) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("20260101001414123", "is no RFC 3339 time"),
        ("2026-01-01X00:14:14", "is no RFC 3339 time"),
        ("2026-01-01T10:00:00:123", "is no RFC 3339 time"),
        ("2026-01-01T10:00:00", "has no zone"),
        ("2026-02-29", "is on no calendar"),
        ("²d", "is no RFC 3339 time"),
        ("99999999999d", "--since 99999999999d is no time"),
    ],
)
def test_hole_22_other_texts_are_refused(text, says) -> None:
    """What is neither a time with a zone nor a date nor an age is refused, and the sentence shows what is."""
    with pytest.raises(CliError, match=says) as raised:
        parse_moment(text, "--since")
    assert "2026-11-25T10:00:00Z" in str(raised.value)


def test_a_range_without_a_time_in_it_is_refused() -> None:
    """An end that is not after its beginning is a mistake, and no empty answer."""
    assert parse_range(None, None) == (None, None)
    begin, end = parse_range("24h", "1h")
    assert begin is not None
    assert end is not None
    assert begin < end
    with pytest.raises(CliError, match="--until 24h is not after --since 1h: nothing lies between them"):
        parse_range("1h", "24h")
