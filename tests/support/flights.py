"""Flights to send: real ones, and one that a test can change field by field."""

from __future__ import annotations

import gzip
import json
from functools import cache
from typing import Any

from tests.support.services import ROOT


@cache
def _lines() -> list[bytes]:
    """Every committed flight, unpacked once for all tests."""
    return gzip.decompress((ROOT / "models" / "flights" / "events.jsonl.gz").read_bytes()).splitlines()


@cache
def real_flight(number: int) -> dict[str, Any]:
    """A flight of September by its place in the order of their time."""
    return dict(json.loads(_lines()[number]))


def real_flights(count: int) -> tuple[dict[str, Any], ...]:
    """The first flights of September, in order of their time."""
    return tuple(real_flight(number) for number in range(count))


def flight(number: int = 0, **changed: Any) -> dict[str, Any]:
    """A flight whose id no other number has."""
    return {
        "id": f"UA-{number}-EWR-20130901T0515",
        "carrier": "UA",
        "flight": number,
        "origin": "EWR",
        "dest": "IAH",
        "tailnum": "N57869",
        "scheduled": "2013-09-01T05:15:00-04:00",
        "date": "2013-09-01",
        "time": "2013-09-01T05:08:00-04:00",
        "cancelled": False,
        "dep_delay": -7,
        "distance": 1400,
        "month": 9,
        "hour": 5,
        **changed,
    }


def body(flight_: dict[str, Any]) -> bytes:
    """The bytes of a flight's event."""
    return json.dumps(flight_).encode()


def bodies(*numbers: int) -> list[bytes]:
    """The bytes of some flights' events."""
    return [body(flight(number)) for number in numbers]
