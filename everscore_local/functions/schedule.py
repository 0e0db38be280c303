"""Timer schedules: NCRONTAB of six or five fields, or a time span; always UTC.

NCRONTAB is not the cron of Unix (source: CrontabSchedule.cs and CrontabFieldImpl.cs of NCrontab): a day has
to match its day of the month *and* its day of the week, Sunday is 0 and never 7, a range from high to low
means the one from low to high, and names are any beginnings of the English ones. So the fields are read here,
and croniter is given plain lists of numbers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from croniter import CroniterBadDateError, croniter

from .durations import parse_timespan
from .errors import ConfigurationError

Next = Callable[[datetime], datetime]

_ELEMENT = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Field:
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    def read(self, text: str) -> str:
        """Return the values of a field as a comma list, or ``*``.

        Raises:
            ValueError: NCRONTAB has no such field.
        """
        values: set[int] = set()
        for element in text.split(","):
            match = _ELEMENT.fullmatch(element)
            if match is None:
                raise ValueError(f"{element!r} is no element of a field")
            first, last, step = match.groups()
            if first is None:
                start, end = self.lowest, self.highest
            else:
                start = self._value(first)
                end = self._value(last) if last is not None else start if step is None else self.highest
            values.update(range(min(start, end), max(start, end) + 1, max(int(step or 1), 1)))
        if len(values) > self.highest - self.lowest:
            return "*"
        return ",".join(str(value) for value in sorted(values))

    def _value(self, text: str) -> int:
        if text.isdigit():
            value = int(text)
        else:
            found = [n for n, name in enumerate(self.names, self.lowest) if name.startswith(text.lower())]
            value = found[0] if found else -1
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{text!r} is not from {self.lowest} to {self.highest}")
        return value


_SECOND = _MINUTE = _Field(0, 59)
_HOUR, _DAY = _Field(0, 23), _Field(1, 31)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTH = _Field(1, 12, _MONTHS)
_WEEKDAY = _Field(0, 6, ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"))
_FIELDS = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


def parse_schedule(text: str, function: str) -> Next:
    """Return the function from a time to the next occurrence after it.

    Raises:
        ConfigurationError: the text is no schedule, or names a day that never comes.
    """
    fields = text.split()
    if len(fields) in (5, 6):
        if len(fields) == 5:
            fields.insert(0, "0")
        try:
            known = (_SECOND, *_FIELDS)
            read = " ".join(kind.read(field) for kind, field in zip(known, fields, strict=True))
            _next_of_cron(read, datetime.now(UTC))
        except (CroniterBadDateError, ValueError):
            raise _wrong(text, function) from None
        return lambda after: _next_of_cron(read, after)
    try:
        seconds = parse_timespan(text)
    except ValueError:
        raise _wrong(text, function) from None
    if seconds <= 0:
        raise _wrong(text, function)
    return lambda after: after + timedelta(seconds=seconds)


def _next_of_cron(text: str, after: datetime) -> datetime:
    found: datetime = croniter(text, after, second_at_beginning=True, day_or=False).get_next(datetime)
    return found.astimezone(UTC)


def _wrong(text: str, function: str) -> ConfigurationError:
    return ConfigurationError(
        f"The schedule of function {function} must be an NCRONTAB expression of six or five fields (numbers, "
        f"names, *, - and /; Sunday is 0) or a time span hh:mm:ss, found '{text}'."
    )
