"""R34: 408 or 503 on a write: nobody knows whether it was stored.

Condition: a time-out after the server has committed.
Right: transient; the same id makes the repeat harmless: no second document, no 409 that anyone sees.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from everscore.event.item import Item
from everscore.flow.score_events import RetryState
from tests.fakes import source_of
from tests.support.flights import bodies
from tests.support.read_back import dead_letters, documents, queued, take_messages
from tests.support.services import Services


@pytest.mark.parametrize("action", [{"status": 408}, {"status": 503}], ids=["408", "503"])
async def test_a_write_that_was_carried_out_and_denied_is_there_once(
    app: Any, services: Services, action: dict[str, Any]
) -> None:
    """Told that it failed, the app tries again from the queue, finds its own document, and leaves it as it is."""
    items = [Item(body=each, source=source_of(number)) for number, each in enumerate(bodies(*range(10)))]
    denied = {"match": {"operation": "batch"}, "action": {**action, "afterCommit": True}}
    with services.gateway.faults(denied):
        summary = await app.pipeline.score_events(items, RetryState(endless=True))
        assert services.gateway.control("GET", "/faults")["rules"][0]["acted"] >= 1
    assert summary.stored + summary.queued + summary.superseded == 10
    before = documents(services)
    assert len(before) == 10
    for message in await asyncio.to_thread(take_messages, services, summary.queued) if summary.queued else []:
        again = await app.retrying.retry_events(message, dequeue_count=1, message_id="m")
        assert again.superseded == again.received
    assert documents(services) == before
    assert queued(services) == 0
    assert dead_letters(services) == []
