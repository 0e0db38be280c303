"""Times as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from everscore.clock import times
from everscore_cli.errors import CliError

_AGE = re.compile(r"([0-9]+)([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def parse_moment(text: str | None, option: str) -> datetime | None:
    """A time as people type it: RFC 3339, a date (its beginning in UTC), or an age such as 90m, 24h, 7d.

    Raises:
        CliError: it is none of these.
    """
    if text is None:
        return None
    age = _AGE.fullmatch(text)
    try:
        if age:
            return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        return times.parse_day(text) or times.parse(text)
    except (ValueError, OverflowError) as error:
        reason = "" if isinstance(error, OverflowError) else f" ({error})"
        raise CliError(
            f"{option} {text} is no time{reason}: give one such as 2026-11-25T10:00:00Z, a date, or an age "
            "such as 90m, 24h, 7d."
        ) from None


def parse_range(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """What --since and --until say.

    Raises:
        CliError: one of them is no time, or nothing lies between them.
    """
    begin, end = parse_moment(since, "--since"), parse_moment(until, "--until")
    if begin is not None and end is not None and begin >= end:
        raise CliError(f"--until {until} is not after --since {since}: nothing lies between them.")
    return begin, end
