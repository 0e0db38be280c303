"""Flights to send: real ones, and one that a test can change field by field."""

from __future__ import annotations

import gzip
import json
from functools import cache
from itertools import islice
from typing import Any

from tests.support.services import ROOT


@cache
def real_flights(count: int) -> tuple[dict[str, Any], ...]:
    """The first flights of September, in order of their time."""
    with gzip.open(ROOT / "models" / "flights" / "events.jsonl.gz") as lines:
        return tuple(json.loads(line) for line in islice(lines, count))


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
