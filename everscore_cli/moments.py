"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from everscore.clock import times
from everscore_cli.errors import CliError


def parse_moment(text: str | None, option: str) -> datetime | None:
    """A time as people type it: ISO-8601 (UTC where it has no zone), or an age such as 90m, 24h, 7d.

    Raises:
        CliError: it is neither.
    """
    if text is None:
        return None
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isdigit() and text[-1] in units:
        return datetime.now(UTC) - timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        return times.parse(text)
    except ValueError:
        raise CliError(
            f"{option} {text} is no time: give one such as 2026-11-25T10:00, or an age such as 90m, 24h, 7d."
        ) from None
