"""Timer schedules: NCRONTAB of six or five fields, or a time span; always UTC."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from croniter import CroniterBadCronError, CroniterBadDateError, croniter

from .durations import parse_timespan
from .errors import ConfigurationError

Next = Callable[[datetime], datetime]


def parse_schedule(text: str, function: str) -> Next:
    """Return the function from a time to the next occurrence after it.

    Raises:
        ConfigurationError: the text is no schedule.
    """
    fields = text.split()
    if len(fields) in (5, 6):
        # NCRONTAB: with six fields the seconds come first, with five there are none.
        try:
            croniter(text, second_at_beginning=True)
        except (CroniterBadCronError, CroniterBadDateError, ValueError):
            raise _wrong(text, function) from None
        return lambda after: _next_of_cron(text, after)
    try:
        seconds = parse_timespan(text)
    except ValueError:
        raise _wrong(text, function) from None
    if seconds <= 0:
        raise _wrong(text, function)
    return lambda after: after + timedelta(seconds=seconds)


def _next_of_cron(text: str, after: datetime) -> datetime:
    found: datetime = croniter(text, after, second_at_beginning=True).get_next(datetime)
    return found.astimezone(UTC)


def _wrong(text: str, function: str) -> ConfigurationError:
    return ConfigurationError(
        f"The schedule of function {function} must be an NCRONTAB expression of six or five fields or "
        f"a time span hh:mm:ss, found '{text}'."
    )
