"""Quiet, coloured logs on stderr, and the levels of host.json's ``logging.logLevel``."""

import logging
import os
import sys
import time
from collections.abc import Mapping

_COLOURS = {"D": "\x1b[2m", "I": "\x1b[36m", "W": "\x1b[33m", "E": "\x1b[31m", "C": "\x1b[1;31m"}
_DIM, _RESET = "\x1b[2m", "\x1b[0m"
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}
HOST = "Host"


class LevelFilter(logging.Filter):
    """Keeps a record whose level its category allows: the longest prefix wins, then ``default``."""

    def __init__(self, levels: Mapping[str, str], default: int) -> None:
        super().__init__()
        folded = {name.casefold(): _LEVELS[level.casefold()] for name, level in levels.items()}
        self._default = folded.pop("default", default)
        self._prefixes = sorted(folded.items(), key=lambda item: -len(item[0]))

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is shown."""
        name = record.name.casefold()
        for prefix, level in self._prefixes:
            if name == prefix or name.startswith(prefix + "."):
                return record.levelno >= level
        return record.levelno >= self._default


class _Formatter(logging.Formatter):
    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        letter = record.levelname[0]
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        source = record.name.removeprefix("Function.").removesuffix(".User")
        source = "" if record.name.startswith(HOST) else f"{source}: "
        if not self._colour:
            return f"{moment} {letter} {source}{text}"
        shade = _COLOURS.get(letter, "")
        if letter in "IW":
            return f"{_DIM}{moment}{_RESET} {shade}{letter}{_RESET} {_DIM}{source}{_RESET}{text}"
        return f"{_DIM}{moment}{_RESET} {shade}{letter} {source}{text}{_RESET}"


def wants_colour() -> bool:
    """Tell whether stderr gets colours: on a terminal or with FORCE_COLOR, never with NO_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty()


def configure(levels: Mapping[str, str], default: int) -> None:
    """Send all logs of this process to stderr; the azure SDKs and aiohttp only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(colour=wants_colour()))
    handler.addFilter(LevelFilter(levels, default))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG)
    for name in ("azure", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
