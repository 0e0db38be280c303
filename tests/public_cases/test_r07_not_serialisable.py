"""R07: TypeError, object is not JSON serialisable, at the write.

Condition: a datetime, Decimal, bytes, numpy float32 or int64 in the document, such as raw model output.
Right: all is converted at one place before the write; a type that has no JSON form is a permanent failure
that names the field, not a row of retries.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.app import copy_app, received, worker
from tests.support.flights import bodies, body, flight
from tests.support.read_back import dead_letters, documents, queued
from tests.support.services import Services

DECODER = """
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np

VALUES = {
    "float32": np.float32(0.5), "int64": np.int64(7), "bool": np.bool_(True), "array0": np.array(3),
    "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "day": date(2026, 1, 2),
    "money": Decimal("10.10"), "raw": b"\\x00\\xff", "uuid": UUID(int=1), "tuple": (1, 2),
}

def decode(bodies):
    found = []
    for body in bodies:
        payload = json.loads(body)
        if payload.get("flight") == 1:
            payload["own"] = VALUES
        if payload.get("flight") == 2:
            payload["own"] = {"deep": [object()]}
        found.append(payload)
    return found
"""


async def test_what_an_own_decoder_brings_is_stored_or_named(tmp_path: Path, services: Services) -> None:
    """Dates, decimals, bytes and numpy values are stored as JSON; an object is a dead letter with its field."""
    app = copy_app(tmp_path / "app")
    (app / "typed_decoder.py").write_text(DECODER)
    async with worker(app, services.settings(DECODER="typed_decoder:decode")) as running:
        assert (await running.score(received(*bodies(0, 1, 2, 3)))).error is None
    stored = {each["event"]["flight"]: each["event"] for each in documents(services)}
    assert set(stored) == {0, 1, 3}
    assert stored[1]["own"] == {
        "float32": 0.5,
        "int64": 7,
        "bool": True,
        "array0": 3,
        "when": "2026-01-02T03:04:05.000000Z",
        "day": "2026-01-02",
        "money": "10.10",
        "raw": "AP8=",
        "uuid": "00000000-0000-0000-0000-000000000001",
        "tuple": [1, 2],
    }
    (letter,) = dead_letters(services)
    assert (letter["item"]["reason"], letter["item"]["field"]) == ("type has no JSON form", "/own/deep/0")
    assert letter["body"] == body(flight(2))
    assert queued(services) == 0


async def test_scores_are_plain_numbers(tmp_path: Path, services: Services) -> None:
    """What the model gives as float32 is stored as JSON numbers that read back as they were scored."""
    async with worker(copy_app(tmp_path / "app"), services.settings()) as running:
        await running.score(received(*bodies(1)))
    (document,) = documents(services)
    score = document["scores"]["flights"]
    assert isinstance(score["value"], float)
    assert 0 < score["value"] < 1
    assert score["value"] == score["values"]["late"]
    assert set(score["values"]) == {"late", "on time"}
