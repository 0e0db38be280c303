"""R11: the same events are delivered again after a lost lease, a scale-out or an epoch disconnect.

Condition: the lease moves in mid-batch, so that two workers have the same batch.
Right: identity is of the event, documents are created and not upserted, and the second delivery is compared
and changes nothing.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.app import copy_app, received, worker
from tests.support.flights import bodies
from tests.support.read_back import dead_letters, documents, queued
from tests.support.services import Services


async def test_two_workers_with_the_same_batch_write_it_once(tmp_path: Path, services: Services) -> None:
    """Two workers at once, and one of them again, leave one untouched document an event."""
    app = copy_app(tmp_path / "app")
    events = received(*bodies(*range(60)))
    writes = services.gateway.state()["acceptedWrites"]
    async with worker(app, services.settings()) as one, worker(app, services.settings()) as other:
        results = await asyncio.gather(one.score(events), other.score(events))
        assert [result.error for result in results] == [None, None]
        first = documents(services)
        assert (await one.score(events[30:])).error is None
    assert sorted(each["event"]["flight"] for each in first) == list(range(60))
    assert documents(services) == first
    assert services.gateway.state()["acceptedWrites"] - writes == 60
    assert queued(services) == 0
    assert dead_letters(services) == []


async def test_a_producer_that_sends_twice_gets_one_document(tmp_path: Path, services: Services) -> None:
    """The same body at a later place of the hub moves the source forward, and the scores stay as they were."""
    async with worker(copy_app(tmp_path / "app"), services.settings()) as running:
        await running.score(received(*bodies(1)))
        (before,) = documents(services)
        assert (await running.score(received(*bodies(1), first=5))).error is None
    (after,) = documents(services)
    assert (before["source"]["sequenceNumber"], after["source"]["sequenceNumber"]) == (0, 5)
    assert after["scores"] == before["scores"]
    assert after["id"] == before["id"]
