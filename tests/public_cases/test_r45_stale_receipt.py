"""R45: a retry runs twice, because the message was deleted with a stale receipt.

Condition: the retry takes longer than the lock of 10 minutes, or the host stops at the time-out.
Right: a retry is idempotent, and our code never touches the trigger's message: its receipt stays the host's.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from azure.storage.queue import QueueClient

from everscore.event.item import Item
from everscore.flow.score_events import RetryState
from tests.fakes import source_of
from tests.support.app import wait_until
from tests.support.flights import bodies
from tests.support.read_back import dead_letters, documents, queued
from tests.support.services import Services


async def test_the_same_message_twice_at_once_is_stored_once(app: Any, services: Services) -> None:
    """Two deliveries at the same time and a third later write each document once; the host's receipt still counts."""
    items = [Item(body=each, source=source_of(number)) for number, each in enumerate(bodies(*range(20)))]
    with services.gateway.faults({"match": {"operation": "batch"}, "action": {"status": 503}}):
        assert (await app.pipeline.score_events(items, RetryState(endless=True))).queued == 20
    writes = services.gateway.state()["acceptedWrites"]
    received: list[Any] = []
    with QueueClient.from_connection_string(services.storage, services.names.queue) as client:

        def take() -> bool:
            received.extend(client.receive_messages(visibility_timeout=600))
            return len(received) == queued(services)

        await asyncio.to_thread(wait_until, take, 20, "all messages")
        messages = [base64.b64decode(each.content) for each in received]
        for number, message in enumerate(messages):
            deliveries = [
                app.retrying.retry_events(message, dequeue_count=count, message_id=f"m{number}")
                for count in (1, 2)
            ]
            first, second = await asyncio.gather(*deliveries)
            assert first.stored + second.stored == first.received
            third = await app.retrying.retry_events(message, dequeue_count=1, message_id=f"m{number}")
            assert third.superseded == third.received
        assert services.gateway.state()["acceptedWrites"] - writes == 20
        for each in received:  # with the receipt of the first delivery: nobody has touched the message since
            client.delete_message(each)
    assert len(documents(services)) == 20
    assert queued(services) == 0
    assert dead_letters(services) == []
