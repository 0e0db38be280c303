"""Time spans as host.json writes them: ``[d.]hh:mm:ss[.fffffff]``, and ``-1`` for no limit."""

import re

_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,7}))?")


def parse_timespan(text: str) -> float:
    """Return a .NET time span in seconds.

    Raises:
        ValueError: the text is none.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no time span (expected hh:mm:ss)")
    days, hours, minutes, seconds, fraction = match.groups()
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        raise ValueError(f"{text!r} is no time span (hours to 23, minutes and seconds to 59)")
    whole = int(days or 0) * 86_400 + int(hours) * 3_600 + int(minutes) * 60 + int(seconds)
    return whole + float(f"0.{fraction or 0}")
