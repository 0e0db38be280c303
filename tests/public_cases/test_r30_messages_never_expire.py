"""R30: a retry message vanishes after 7 days, and a delay over 7 days is refused.

Condition: the default time to live, a long outage, a delay beyond 604,800 seconds or as long as the time to live.
Right: messages never expire, delays stay well under 7 days, and what is in the poison queue is moved on.
"""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from typing import Any

import pytest
from azure.storage.queue import QueueClient
from azure.storage.queue.aio import QueueClient as AsyncQueueClient

from everscore.clock import times
from everscore.clock.deadline import Deadline
from everscore.event.item import Item
from everscore.flow.score_events import RetryState
from tests.fakes import source_of
from tests.support.flights import bodies
from tests.support.read_back import documents, queued, take_messages
from tests.support.services import Services


@pytest.mark.parametrize("hint_ms", [7 * 86_400_000, 8 * 86_400_000, 10**12, 10**15])
async def test_a_long_hint_is_cut_and_the_message_never_expires(
    app: Any, services: Services, monkeypatch: pytest.MonkeyPatch, hint_ms: int
) -> None:
    """Whatever wait the store asks for, the queue takes the message, to appear within 2 days and to stay for ever."""
    answers: list[Any] = []
    send = AsyncQueueClient.send_message

    async def sending(self: Any, *arguments: Any, **options: Any) -> Any:
        answers.append(await send(self, *arguments, **options))
        return answers[-1]

    monkeypatch.setattr(AsyncQueueClient, "send_message", sending)
    throttled = {"match": {"operation": "batch"}, "action": {"status": 429, "retryAfterMs": hint_ms}}
    with services.gateway.faults(throttled):
        item = Item(body=bodies(1)[0], source=source_of(1))
        assert (await app.pipeline.score_events([item], RetryState(endless=True))).queued == 1
    (answer,) = answers
    assert answer.expires_on.year == 9999
    assert answer.next_visible_on - times.now() < timedelta(days=2)
    assert queued(services) == 1


async def test_a_message_of_the_poison_queue_is_moved_on(app: Any, services: Services) -> None:
    """There a message would expire: housekeeping sends each of its events back, and they are stored."""
    poison = f"{services.names.queue}-poison"
    with services.gateway.faults({"match": {"operation": "batch"}, "action": {"status": 503}}):
        items = [Item(body=each, source=source_of(number)) for number, each in enumerate(bodies(1, 2))]
        await app.pipeline.score_events(items, RetryState(endless=True))
    messages = await asyncio.to_thread(take_messages, services, 2)
    with QueueClient.from_connection_string(services.storage, poison) as client:
        for message in messages:
            client.send_message(base64.b64encode(message).decode())
        await app.keeper.empty_poison_queue(Deadline.after(30))
        assert client.get_queue_properties().approximate_message_count == 0
    for message in await asyncio.to_thread(take_messages, services, 2):
        await app.retrying.retry_events(message, dequeue_count=1, message_id="m")
    assert len(documents(services)) == 2
