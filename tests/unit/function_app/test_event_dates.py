"""The short way to read enqueued times: what the library's own converter gives, for every text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from azure.functions import eventhub
from azure.functions.meta import _BaseConverter
from hypothesis import example, given
from hypothesis import strategies as st

from function_app import event_dates

ORIGINAL = _BaseConverter.__dict__["_parse_datetime"].__get__(None, eventhub.EventHubTriggerConverter)

DIGITS = st.integers(0, 9_999_999).map("{:07d}".format)
KNOWN = st.builds(
    "{:%Y-%m-%dT%H:%M:%S}{}{}".format,
    st.datetimes().filter(lambda moment: moment.year >= 1000),
    st.just("") | st.builds(lambda digits, length: "." + digits[:length], DIGITS, st.integers(1, 7)),
    st.sampled_from(["", "Z", "+00:00", "-00:00", "+02:00", " ", "z"]),
)
NEAR = st.builds(
    "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}{}".format,
    st.integers(0, 9999),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 25),
    st.integers(0, 60),
    st.integers(0, 61),
    st.sampled_from(["", "Z", ".5", ".1234567Z", ".123456789", ".", "+00:00"]),
)


def outcome(parse, *arguments):
    """What a call gives, or the kind of exception that it raises."""
    try:
        return parse(*arguments)
    except Exception as error:
        return type(error)


@given(st.none() | st.text(max_size=30) | KNOWN | NEAR)
@example("2026-11-25T10:00:00.1234567Z")
@example("2026-11-25T10:00:00.12345678")
@example("2026-11-25T10:00:00")
@example("2026-11-25T24:00:00Z")
@example("2026-11-25T10:00:60Z")
@example("0000-01-01T00:00:00Z")
@example("²026-11-25T10:00:00Z")
def test_it_gives_what_the_original_gives(text) -> None:
    """Value, zone and exception are those of the library's converter, for texts of hosts and for all others."""
    expected = outcome(ORIGINAL, text)
    found = outcome(event_dates.parse, text, ORIGINAL)
    assert found == expected
    if isinstance(expected, datetime):
        assert found.tzinfo == expected.tzinfo


def test_the_original_is_not_asked_for_what_hosts_write() -> None:
    """Texts of the known forms go the short way."""

    def never(_):
        raise AssertionError("the long way")

    for text in ("2026-11-25T10:00:00.1234567Z", "2026-11-25T10:00:00.123Z", "2026-11-25T10:00:00"):
        moment = event_dates.parse(text, never)
        assert moment is not None
        assert moment.tzinfo in (None, UTC)


class Converter:
    """Stands for a library's converter."""

    @classmethod
    def _parse_datetime(cls, datetime_str):
        return datetime_str and None


class Changed:
    """A converter of another release."""

    @classmethod
    def _parse_datetime(cls, text, zone):
        return text and zone


class Gone:
    """A converter without the method."""


@pytest.mark.parametrize(("converter", "installs"), [(Converter, True), (Changed, False), (Gone, False)])
def test_it_is_installed_only_where_the_library_is_the_known_one(monkeypatch, converter, installs) -> None:
    """Another signature, or no such method, is left alone; installing twice is harmless."""

    class Copy(converter):
        pass

    monkeypatch.setattr(eventhub, "EventHubTriggerConverter", Copy)
    monkeypatch.setattr(event_dates, "_original", [])
    before = getattr(Copy, "_parse_datetime", None)
    assert event_dates.install() is installs
    assert event_dates.install() is installs
    assert len(event_dates._original) == installs
    if installs:
        assert Copy._parse_datetime("2026-11-25T10:00:00Z") == datetime(2026, 11, 25, 10, tzinfo=UTC)
        assert Copy._parse_datetime("something else") is None
    else:
        assert getattr(Copy, "_parse_datetime", None) == before


def test_the_installed_library_is_the_known_one() -> None:
    """With the pinned library the short way can be used: its method has the signature known here."""
    assert event_dates._is_known(ORIGINAL)
