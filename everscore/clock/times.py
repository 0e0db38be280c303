"""Points in time: UTC, as ISO-8601 texts of one fixed width each, so that texts order as times do."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


def milliseconds_text(moment: datetime) -> str:
    """``2026-11-25T10:11:12.345Z``; a naive moment counts as UTC."""
    return _utc(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def microseconds_text(moment: datetime) -> str:
    """``2026-11-25T10:11:12.345678Z``; a naive moment counts as UTC."""
    return _utc(moment).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """An ISO-8601 text as an aware moment in UTC; without a zone it counts as UTC.

    The Functions host writes ``EnqueuedTimeUtc`` without a zone, so that reading is needed in any case.

    Raises:
        ValueError: it is no ISO-8601 date and time.
    """
    try:
        return _utc(datetime.fromisoformat(text))
    except OverflowError:  # 0001-01-01T00:00+14:00 has no place in UTC
        raise ValueError(f"{text!r} is outside of the years 1 to 9999") from None


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
