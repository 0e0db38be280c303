"""Points in time: UTC, as ISO-8601 texts of one fixed width each, so that texts order as times do.

What is read is RFC 3339 and nothing else, since whatever reads more also takes texts for times that are none:
for the standard library ``20260101001414123`` is 01:41:41.23 of that day.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

# RFC 3339, section 5.6, with its lower-case t and z and its blank in place of T.
_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_FULL_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_UTC = frozenset({"Z", "z", "", "+00:00"})
_EXAMPLE = "2026-11-25T10:11:12Z"
_SHOWN = 60


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


def milliseconds_text(moment: datetime) -> str:
    """``2026-11-25T10:11:12.345Z``, cut off there; a naive moment counts as UTC."""
    return _naive(moment).isoformat(timespec="milliseconds") + "Z"


def microseconds_text(moment: datetime) -> str:
    """``2026-11-25T10:11:12.345678Z``; a naive moment counts as UTC."""
    return _naive(moment).isoformat(timespec="microseconds") + "Z"


def parse(text: str) -> datetime:
    """An RFC 3339 time as an aware moment in UTC, cut off at microseconds.

    ``24:00:00`` is midnight at the day's end, and second 60, a leap second, the first one of the next minute.

    Raises:
        ValueError: it is none, or has no zone.
    """
    seconds, fraction = _read(text, needs_zone=True)
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}+00:00")


def normalise(text: str) -> str:
    """An RFC 3339 time as `microseconds_text` writes it.

    Raises:
        ValueError: see `parse`.
    """
    seconds, fraction = _read(text, needs_zone=True)
    return f"{seconds}.{fraction[:6]:0<6}Z"


def normalise_enqueued(text: str) -> str:
    """The time of enqueuing, as a Functions host writes it, in the form of `milliseconds_text`.

    A host may leave the zone out (a .NET DateTime of no kind has none): it is UTC.

    Raises:
        ValueError: it is no RFC 3339 time, with or without a zone.
    """
    seconds, fraction = _read(text, needs_zone=False)
    return f"{seconds}.{fraction[:3]:0<3}Z"


def utc_day(text: str) -> str:
    """The day in UTC of an RFC 3339 time; a date alone is that day.

    Raises:
        ValueError: it is neither.
    """
    if _FULL_DATE.fullmatch(text):
        return _date(text).isoformat()
    return normalise(text)[:10]


def parse_day(text: str) -> datetime | None:
    """The beginning in UTC of an RFC 3339 date; None where the text is no date alone.

    Raises:
        ValueError: it has the form of a date, and no calendar has it.
    """
    if not _FULL_DATE.fullmatch(text):
        return None
    return datetime.combine(_date(text), datetime.min.time(), UTC)


def _read(text: str, *, needs_zone: bool) -> tuple[str, str]:
    """The second in UTC, ``2026-11-25T10:11:12``, and the decimals of what is beyond it.

    Raises:
        ValueError: the text is no RFC 3339 time.
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:_SHOWN]!r} is no RFC 3339 time such as {_EXAMPLE}")
    day, clock, fraction, zone = found.groups("")
    if needs_zone and not zone:
        raise ValueError(f"{text[:_SHOWN]!r} has no zone: Z, or an offset such as +01:00, must follow")
    local = f"{day}T{clock}"
    try:
        moment = datetime.fromisoformat(local)
        # Nearly every producer writes UTC, and this is done for every event: nothing need be computed there.
        return local if zone in _UTC else (moment - _offset(zone)).isoformat(), fraction
    except (ValueError, OverflowError):
        return _unusual_second(text, day, clock, fraction, zone), fraction


def _unusual_second(text: str, day: str, clock: str, fraction: str, zone: str) -> str:
    """What RFC 3339 and ISO-8601 allow and the standard library does not read."""
    later = timedelta()
    if clock == "24:00:00" and not fraction.strip("0"):
        clock, later = "00:00:00", timedelta(days=1)
    elif clock.endswith(":60"):
        clock, later = f"{clock[:-2]}59", timedelta(seconds=1)
    try:
        return (datetime.fromisoformat(f"{day}T{clock}") + later - _offset(zone)).isoformat()
    except (ValueError, OverflowError):  # 0001-01-01T00:00:00+14:00 has no place in UTC
        raise ValueError(f"{text[:_SHOWN]!r} is on no calendar of the years 1 to 9999") from None


@lru_cache(maxsize=64)
def _offset(zone: str) -> timedelta:
    if zone in _UTC:
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if zone[0] == "-" else offset


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is on no calendar") from None


def _naive(moment: datetime) -> datetime:
    """The same in UTC, without its zone: a text is made of that in half the time."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
