"""Points in time as texts that order as times do."""

from __future__ import annotations

import contextlib
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everscore.clock import times

ZONES = st.none() | st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# Far enough from both ends of the calendar for every zone.
MOMENTS = st.datetimes(timezones=ZONES).filter(lambda moment: 2 <= moment.year <= 9998)


@given(MOMENTS, MOMENTS)
def test_texts_order_as_times_do(one, other) -> None:
    """All texts have one width, so that comparing them compares the moments, whatever their zones."""
    texts = [times.microseconds_text(moment) for moment in (one, other)]
    assert {len(text) for text in texts} == {27}
    moments = [times.parse(text) for text in texts]
    assert (texts[0] < texts[1]) is (moments[0] < moments[1])


@given(MOMENTS)
def test_texts_read_back(moment) -> None:
    """A text gives back its moment: exactly with microseconds, cut to them with milliseconds."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    assert times.parse(times.microseconds_text(moment)) == aware
    back = times.parse(times.milliseconds_text(moment))
    assert timedelta(0) <= aware - back < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-25T10:00:00", "2026-11-25T10:00:00.000000Z"),
        ("2026-11-25 10:00:00.5+02:00", "2026-11-25T08:00:00.500000Z"),
        ("2026-11-25T10:00:00.1234567Z", "2026-11-25T10:00:00.123456Z"),
        ("2026-11-25", "2026-11-25T00:00:00.000000Z"),
        ("20261125T100000Z", "2026-11-25T10:00:00.000000Z"),
    ],
)
def test_iso_8601_is_read_in_its_forms(text, expected) -> None:
    """With or without zone, with any number of decimals, date alone: all are moments in UTC."""
    assert times.microseconds_text(times.parse(text)) == expected


@given(
    st.text(st.characters(), max_size=20)
    | st.sampled_from(["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"])
)
def test_any_text_is_a_moment_or_a_value_error(text) -> None:
    """Nothing else is raised, whatever the text."""
    with contextlib.suppress(ValueError):
        assert times.parse(text).tzinfo is UTC


def test_now_is_aware() -> None:
    """The present is in UTC."""
    assert times.now().tzinfo is UTC
