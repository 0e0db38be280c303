"""Points in time as texts that order as times do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

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


@given(MOMENTS, st.sampled_from("Tt "), st.sampled_from(["", ".5", ".1234567", ".000001999"]))
def test_normalising_is_reading_and_writing(moment, separator, fraction) -> None:
    """A text of any zone is normalised to what its moment is written as; what was written stays as it is."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    text = aware.isoformat(sep=separator, timespec="seconds") + fraction
    if fraction:
        whole, zone = text[:19], text[19 : -len(fraction)]
        text = whole + fraction + zone
    parsed = times.parse(text)
    assert times.normalise(text) == times.microseconds_text(parsed)
    assert times.normalise_enqueued(text) == times.milliseconds_text(parsed)
    assert times.utc_day(text) == parsed.date().isoformat()
    assert abs(parsed - aware.replace(microsecond=0)) < timedelta(seconds=1)
    assert times.normalise(times.microseconds_text(moment)) == times.microseconds_text(moment)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-25T10:00:60.5Z", "2026-11-25T10:01:00.500000Z"),
        ("2026-12-31T15:59:60-08:00", "2027-01-01T00:00:00.000000Z"),
        ("2026-02-28T24:00:00+01:00", "2026-02-28T23:00:00.000000Z"),
        ("2026-11-25T24:00:00.000Z", "2026-11-26T00:00:00.000000Z"),
    ],
)
def test_hole_20_leap_seconds_and_the_end_of_a_day_are_times(text, expected) -> None:
    """Second 60 is the second after 59, and 24:00:00 the beginning of the next day, in any zone."""
    assert times.normalise(text) == expected
    assert times.microseconds_text(times.parse(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "20260101001414123",
        "2026-01-01X00:14:14Z",
        "2026-01-01T10:00:00:123Z",
        "2026-01-01T10:00:00Z ",
        "2026-01-01T10:00:00Z\n",
        "٢٠٢٦-01-01T10:00:00Z",
        "2026-01-01T10:00:61Z",
        "2026-01-01T24:00:00.1Z",
        "2026-01-01T24:00:60Z",
        "2026-01-01T10:00:00+24:00",
        "2026-01-01T10:00:00+01:60",
        "9999-12-31T24:00:00Z",
        "9999-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
    ],
)
def test_hole_22_nothing_else_is_a_time(text) -> None:
    """What is on no calendar, or in another form, is refused, with or without a zone."""
    for read in (times.parse, times.normalise, times.normalise_enqueued, times.utc_day):
        with pytest.raises(ValueError, match=r"is no RFC 3339 time|is on no calendar"):
            read(text)


def test_hole_22_only_a_host_leaves_the_zone_out() -> None:
    """A time of enqueuing without a zone is UTC; any other time without one is refused, and the zone named."""
    assert times.normalise_enqueued("2026-11-25T10:00:00.1239") == "2026-11-25T10:00:00.123Z"
    assert times.normalise_enqueued("2026-11-25T24:00:00") == "2026-11-26T00:00:00.000Z"
    for read in (times.parse, times.normalise, times.utc_day):
        with pytest.raises(ValueError, match="has no zone"):
            read("2026-11-25T10:00:00")


def test_dates_alone_are_days() -> None:
    """A date is its own day, and begins at midnight UTC; one that no calendar has is refused."""
    assert times.utc_day("2024-02-29") == "2024-02-29"
    assert times.parse_day("2024-02-29") == datetime(2024, 2, 29, tzinfo=UTC)
    assert times.parse_day("2024-02-29T00:00:00Z") is None
    for read in (times.utc_day, times.parse_day):
        with pytest.raises(ValueError, match="is on no calendar"):
            read("2026-02-29")


@given(
    st.text(st.characters(), max_size=20)
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})")
    | st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
)
def test_any_text_is_a_moment_or_a_value_error(text) -> None:
    """Nothing else is raised, whatever the text, and all readings agree on what is a time."""
    try:
        moment = times.parse(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"is no|has no zone|is on no"):
            times.normalise(text)
    else:
        assert moment.tzinfo is UTC
        assert times.normalise(text) == times.microseconds_text(moment)


def test_now_is_aware() -> None:
    """The present is in UTC."""
    assert times.now().tzinfo is UTC
