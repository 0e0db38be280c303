"""Values of AMQP as the real host writes them for a worker, by Json.NET; the SDK does not say what they were.

It gives strings and binary alike as bytes, timestamps as integers and 32-bit numbers as doubles; so its
decoder is made to tell them apart.
"""

from __future__ import annotations

import base64
import math
import struct
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from azure.eventhub._pyamqp import _decode as _sdk

# Constructors of AMQP 1.0, part 1, section 1.6.
_DESCRIBED, _FLOAT, _CHAR, _TIMESTAMP = 0x00, 0x72, 0x73, 0x83
_TEXTS_SHORT, _TEXTS_LONG = (0xA1, 0xA3), (0xB1, 0xB3)
_TIMESPAN, _URI, _OFFSET = (f"com.microsoft:{name}" for name in ("timespan", "uri", "datetime-offset"))
# Under this name the SDK's module keeps what `install` has made its values of.
_KINDS = "_kinds_of_values"
# .NET counts in 100 ns since the year 1.
_TICKS_TO_1970 = 621_355_968_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

type _Decoder = Callable[[memoryview], tuple[memoryview, Any]]


class Text(bytes):
    """A string or a symbol, in UTF-8; other bytes are binary."""


class Timestamp(int):
    """Milliseconds since 1970."""


class Single(float):
    """A number of 32 bits."""


class Described(NamedTuple):
    """A value of a type of Microsoft's own."""

    name: str
    value: Any


def install() -> None:
    """Let the SDK's decoder say of what type a value was, once a process.

    Its values are those that it gives anyway, or subclasses of them, so that nothing else notices.

    Raises:
        RuntimeError: the SDK is not the one that is known here.
    """
    if (kinds := getattr(_sdk, _KINDS, None)) is not None:
        # In one process the app and the host that runs it share the SDK: the first one's kinds are both's.
        globals().update(kinds)
        return
    table: list[Any] = _sdk._DECODE_BY_CONSTRUCTOR
    known = {
        _DESCRIBED: _sdk._decode_described,
        _FLOAT: _sdk._decode_float,
        _CHAR: None,
        _TIMESTAMP: _sdk._decode_timestamp,
        **dict.fromkeys(_TEXTS_SHORT, _sdk._decode_binary_small),
        **dict.fromkeys(_TEXTS_LONG, _sdk._decode_binary_large),
    }
    if any(table[constructor] is not decoder for constructor, decoder in known.items()):
        raise RuntimeError("azure-eventhub decodes AMQP in another way than 5.15: install the pinned release")
    table[_DESCRIBED], table[_FLOAT], table[_TIMESTAMP] = _described, _single, _timestamp
    table[_CHAR] = _char  # the SDK has none, and would never receive the event
    for constructors, decode in (
        (_TEXTS_SHORT, _sdk._decode_binary_small),
        (_TEXTS_LONG, _sdk._decode_binary_large),
    ):
        for constructor in constructors:
            table[constructor] = _text_decoder(decode)
    setattr(_sdk, _KINDS, {kind.__name__: kind for kind in (Text, Timestamp, Single, Described)})


def _text_decoder(decode: _Decoder) -> _Decoder:
    def text(buffer: memoryview) -> tuple[memoryview, Text]:
        rest, value = decode(buffer)
        return rest, Text(value)

    return text


def _single(buffer: memoryview) -> tuple[memoryview, Single]:
    rest, value = _sdk._decode_float(buffer)
    return rest, Single(value)


def _char(buffer: memoryview) -> tuple[memoryview, Text]:
    return buffer[4:], Text(buffer[:4].tobytes().decode("utf-32-be", "replace").encode())


def _timestamp(buffer: memoryview) -> tuple[memoryview, Timestamp]:
    rest, value = _sdk._decode_timestamp(buffer)
    return rest, Timestamp(value)


def _described(buffer: memoryview) -> tuple[memoryview, Any]:
    table: list[Any] = _sdk._DECODE_BY_CONSTRUCTOR
    rest, name = table[buffer[0]](buffer[1:])
    if not isinstance(name, Text) or name.decode("ascii", "replace") not in (_TIMESPAN, _URI, _OFFSET):
        return _sdk._decode_described(buffer)
    rest, value = table[rest[0]](rest[1:])
    return rest, Described(name.decode(), value)


def as_json(value: Any) -> Any:
    """A value as the real host writes it into a trigger's metadata (by Json.NET), read as JSON.

    Binary is base64, times are ISO-8601 without the zeros at their ends, and what is not finite is a text.
    """
    match value:
        case Text():
            return value.decode("utf-8", "replace")
        case bytes():
            return base64.b64encode(value).decode()
        case Timestamp():
            return _moment(int(value) * 10_000, "Z")
        case Described(name, inner):
            return _own_type(name, inner)
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case Single():
            return _shortest(value)
        case Decimal():
            return float(value)
        case uuid.UUID():
            return str(value)
        case Mapping():
            return {_name(name): as_json(inner) for name, inner in value.items()}
        case list() | tuple():
            return [as_json(inner) for inner in value]
        case bool() | int() | float() | str() | None:
            return value
        case _:
            return str(value)


def _name(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _own_type(name: str, value: Any) -> Any:
    if name == _URI:
        return as_json(value)
    if name == _OFFSET:
        return _moment(value - _TICKS_TO_1970, "+00:00")
    sign, ticks = "-" if value < 0 else "", abs(value)
    seconds, fraction = divmod(ticks, 10_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    text = f"{sign}{f'{days}.' if days else ''}{hours:02}:{minutes:02}:{seconds:02}"
    return f"{text}.{fraction:07}" if fraction else text


def _moment(ticks: int, zone: str) -> str:
    """A moment, in units of 100 ns since 1970."""
    seconds, fraction = divmod(ticks, 10_000_000)
    moment = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
    return moment + (f".{fraction:07}".rstrip("0") if fraction else "") + zone


def _shortest(value: float) -> float:
    """The number that the shortest text of a 32-bit one reads as: 0.1 and not 0.10000000149011612."""
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        if struct.pack(">f", short) == struct.pack(">f", value):
            return short
    return float(f"{value:.9g}")
