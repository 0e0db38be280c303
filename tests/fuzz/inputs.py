"""Bodies of events from a seed: real flights, changed in the ways in which producers and networks break them."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

# Values that are something else than what a field should hold.
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, -0.0, 5e-324, 2**53 + 1, -(2**63), 10**400, float("nan"), float("inf"),
    "", " ", "null", "None", "NaN", "../..", ".", "a/b\\c?d#e", "\x00", "\ud800", "é\u0301", "😀" * 50,
    "x" * 2_000, "2013-09-01", "2013-09-01T05:08:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "20130901T0508Z", [], [1], {}, {"": None}, {"$type": "x", "_etag": "y", "id": "z"}, [[[]]],
)  # fmt: skip
_NAMES = (
    "id",
    "carrier",
    "date",
    "time",
    "origin",
    "dest",
    "distance",
    "month",
    "hour",
    "dep_delay",
    "cancelled",
)
_ALONE = (
    b"", b" ", b"\x00", b"hello", b"null", b"[]", b"{}", b"{", b'{"id":', b"\xff\xfe", b"\xef\xbb\xbf", b"1e999",
    b"-", b"NaN", b'"\\ud800"', b"[" * 5_000, b'{"a":' * 5_000, b"\x1f\x8b", b"\x1f\x8b\x08\x00", b"a,b\n1,2\n",
    b'{"id":1}{"id":2}', b"<a/>", b"Obj\x01\x04", b"\x08\x96\x01", b"0" * 5_000, b'{"n":' + b"9" * 5_000 + b"}",
)  # fmt: skip


def bodies(seed: int, count: int, flights: Sequence[dict[str, Any]]) -> list[bytes]:
    """So many bodies; the same seed gives the same.

    Args:
        seed: of all draws.
        count: of bodies.
        flights: good payloads to begin from.
    """
    draw = random.Random(seed)
    ways: tuple[Callable[[random.Random, dict[str, Any]], bytes], ...] = (
        _odd_field, _odd_field, _without_field, _bytes_changed, _bytes_changed, _cut, _spliced, _noise, _alone,
        _packed, _nested, _doubled, _wrapped, _untouched,
    )  # fmt: skip
    return [draw.choice(ways)(draw, dict(draw.choice(flights))) for _ in range(count)]


def wrapped(seed: int, count: int, flights: Sequence[dict[str, Any]], *, unwrap: str) -> list[bytes]:
    """So many bodies of up to five such records each, as stream.json's ``unwrap`` has it, some of them broken."""
    draw = random.Random(seed)
    records = iter(bodies(seed, count * 5, flights))
    made = []
    for _ in range(count):
        body = b"[" + b",".join(next(records) for _ in range(draw.randint(0, 5))) + b"]"
        if unwrap == "records":
            body = b'{"time":1,"records":' + body + b"}"
        if draw.random() < 0.1:
            body = gzip.compress(body, mtime=0)
        made.append(body if draw.random() < 0.9 else body[: draw.randrange(len(body))])
    return made


def broken(seed: int, count: int, good: Sequence[bytes]) -> list[bytes]:
    """So many texts made of good ones by exchanging, dropping and doubling pieces."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        text = bytearray(draw.choice(good))
        for _ in range(draw.randint(0, 3)):
            start = draw.randrange(len(text) + 1)
            end = min(len(text), start + draw.choice((0, 1, 1, 4, 40)))
            other = draw.choice(
                (b"", b"0", b'"', b"null", b"[]", b"{}", b"-1", b"1e9", b"\xff", bytes(text[start:end] * 2))
            )
            text[start:end] = other
        made.append(bytes(text))
    return made


def _text(payload: object) -> bytes:
    return json.dumps(payload).encode()


def _odd_field(draw: random.Random, flight: dict[str, Any]) -> bytes:
    for _ in range(draw.randint(1, 2)):
        flight[draw.choice((*_NAMES, "own"))] = draw.choice(ODD)
    return _text(flight)


def _without_field(draw: random.Random, flight: dict[str, Any]) -> bytes:
    flight.pop(draw.choice(_NAMES), None)
    return _text(flight)


def _bytes_changed(draw: random.Random, flight: dict[str, Any]) -> bytes:
    body = bytearray(_text(flight))
    for _ in range(draw.randint(1, 4)):
        body[draw.randrange(len(body))] = draw.randrange(256)
    return bytes(body)


def _cut(draw: random.Random, flight: dict[str, Any]) -> bytes:
    body = _text(flight)
    return body[: draw.randrange(len(body))]


def _spliced(draw: random.Random, flight: dict[str, Any]) -> bytes:
    body = _text(flight)
    at = draw.randrange(len(body))
    return body[:at] + _text(draw.choice(ODD)) + body[at + draw.randint(0, 6) :]


def _noise(draw: random.Random, _: dict[str, Any]) -> bytes:
    return draw.randbytes(draw.randint(1, 200))


def _alone(draw: random.Random, _: dict[str, Any]) -> bytes:
    return draw.choice(_ALONE)


def _packed(draw: random.Random, flight: dict[str, Any]) -> bytes:
    body = bytearray(gzip.compress(_text(flight), mtime=0))
    if draw.random() < 0.6:
        body[draw.randrange(2, len(body))] ^= 1 << draw.randrange(8)
    return bytes(body) if draw.random() < 0.7 else bytes(body[: draw.randrange(len(body))])


def _nested(draw: random.Random, flight: dict[str, Any]) -> bytes:
    depth = draw.choice((100, 118, 119, 120, 121, 400, 3_000))
    inner, outer = draw.choice((("[", "]"), ('{"a":', "}")))
    deep = (inner * depth + "1" + outer * depth).encode()
    return _text(flight)[:-1] + b',"own":' + deep + b"}"


def _doubled(draw: random.Random, flight: dict[str, Any]) -> bytes:
    name = draw.choice(_NAMES)
    return _text(flight)[:-1] + f',"{name}":{json.dumps(draw.choice(ODD))}}}'.encode()


def _wrapped(draw: random.Random, flight: dict[str, Any]) -> bytes:
    many = [flight, draw.choice(ODD), flight][: draw.randint(1, 3)]
    return _text(draw.choice((many, {"records": many}, {"records": None}, [many])))


def _untouched(_: random.Random, flight: dict[str, Any]) -> bytes:
    return _text(flight)
