"""The table of docs/events.md that says what is a time, row by row."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from everscore.event.item import Source
from everscore.event.stream import Identity
from everscore.failures import Permanent
from tests.fakes import stream_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "events.md"
ROW = re.compile(r"^\| `([^`]+)` \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
REFUSED = "refused"


def rows() -> list[tuple[str, ...]]:
    """Each row's cells, without their marks: what is sent, and what the four rules read of it."""
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("\n### What is a time\n")[2].partition("\n### ")[0]
    head = "| in the event |"
    table = section.partition(head)[2]
    return [tuple(cell.strip("`") for cell in found.groups()) for found in ROW.finditer(table)]


def identify(value: Any, **rule: Any) -> Identity:
    """The identity of an event with that value as its time and its day."""
    payload = {"id": "i", "pk": "p", "at": value, "time": "2026-11-25T00:00:00Z"}
    return stream_of(**rule).identify(payload, Source(enqueued_at="2027-06-01T00:00:00.000Z"), None, b"")


def read(value: Any, **rule: Any) -> Identity | None:
    """The identity, or None where the value is refused, as that field's fault."""
    try:
        return identify(value, **rule)
    except Permanent as failure:
        blamed = failure
    assert (blamed.stage, blamed.field) == ("validate", "/at")
    return None


def time_of(value: Any, **rule: Any) -> str:
    """What is read as the time, or that it is refused."""
    found = read(value, **rule)
    return found.time if found else REFUSED


def day_of(value: Any) -> str:
    """What is read as the day of a bucket, or that it is refused."""
    found = read(value, partitionKey={"of": "/pk", "buckets": 1, "day": "/at"})
    return found.pk.partition("|")[0] if found else REFUSED


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_hole_22_what_the_table_calls_a_time_is_read_as_one(row: tuple[str, ...]) -> None:
    """Times are RFC 3339 texts, or numbers of a stated unit; every text of digits and every other form that the
    page calls refused is refused.
    """
    sent, time, seconds, milliseconds, of_day = row
    value = json.loads(sent)
    assert time_of(value, time="/at") == time
    assert time_of(value, time={"pointer": "/at", "unit": "s"}) == seconds
    assert time_of(value, time={"pointer": "/at", "unit": "ms"}) == milliseconds
    assert day_of(value) == of_day


def test_the_table_has_both_kinds() -> None:
    """The page shows times and refusals of texts and of numbers."""
    found = rows()
    assert len(found) >= 25
    assert {(row[0].startswith('"'), row[1] == REFUSED) for row in found} >= {(True, True), (True, False)}
    assert {(row[2] == REFUSED) for row in found if not row[0].startswith('"')} == {True, False}
