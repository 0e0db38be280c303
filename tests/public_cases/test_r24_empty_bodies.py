"""R24: events with zero-byte bodies, or without a body.

Condition: a heartbeat b'' in the middle of a batch.
Right: it is a dead letter with the reason 'empty body', and nothing crashes.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.app import copy_app, received, worker
from tests.support.flights import bodies
from tests.support.read_back import dead_letters, documents, queued
from tests.support.services import Services


async def test_an_empty_body_is_a_dead_letter(tmp_path: Path, services: Services) -> None:
    """Empty bodies in a batch, and a batch of nothing else, are dead letters; what stands between is stored."""
    events = received(b"", *bodies(1), b"", *bodies(2, *range(10, 16)), b"")
    async with worker(copy_app(tmp_path / "app"), services.settings()) as running:
        assert (await running.score(events)).error is None
        assert (await running.score(received(b"", first=20))).error is None
    assert {each["event"]["flight"] for each in documents(services)} == {1, 2, *range(10, 16)}
    letters = dead_letters(services)
    assert [(letter["item"]["reason"], letter["body"]) for letter in letters] == [("empty body", b"")] * 4
    assert {letter["item"]["source"]["sequenceNumber"] for letter in letters} == {0, 2, 10, 20}
    assert queued(services) == 0
