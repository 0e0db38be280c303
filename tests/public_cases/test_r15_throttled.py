"""R15: 429 outlives the SDK's own retries and comes out as a failure.

Condition: a container of 400 RU and a burst of writes.
Right: transient; queued with a delay that the service's hint sets; no failure of the function, nothing that counts
towards the poison queue; writes at once are bounded.
"""

from __future__ import annotations

import asyncio
from typing import Any

from everscore.event.item import Item
from everscore.flow.score_events import RetryState
from everscore.retry.envelope import decode_envelope
from tests.fakes import source_of
from tests.support.flights import bodies, body, flight
from tests.support.read_back import dead_letters, documents, take_messages
from tests.support.services import Services


def items(*all_bodies: bytes) -> list[Item]:
    """Items as the trigger makes them."""
    return [Item(body=each, source=source_of(number)) for number, each in enumerate(all_bodies)]


async def test_a_throttled_burst_waits_in_the_queue_as_long_as_the_service_asked(
    app: Any, services: Services, monkeypatch: Any
) -> None:
    """A hint beyond the batch's deadline sends the events to the queue, hidden for as long; then they are stored."""
    delays: list[float] = []
    send = app.queue.send

    async def sending(message: bytes, delay: float) -> None:
        delays.append(delay)
        await send(message, 0)  # not hidden, so that this test need not wait for it

    monkeypatch.setattr(app.queue, "send", sending)
    long = {"status": 429, "substatus": 3200, "retryAfterMs": 20_000}
    with services.gateway.faults({"match": {"operation": "batch"}, "action": long}):
        summary = await app.pipeline.score_events(items(*bodies(*range(40))), RetryState(endless=True))
    assert (summary.queued, summary.dead_lettered) == (40, 0)
    assert delays
    assert min(delays) >= 20
    messages = await asyncio.to_thread(take_messages, services, 40)
    waiting = [item for message in messages for item in decode_envelope(message).items]
    assert {(item.failure_class, item.attempts, item.crashes) for item in waiting} == {("throttled", 1, 0)}
    for message in messages:
        await app.retrying.retry_events(message, dequeue_count=1, message_id="m")
    assert len(documents(services)) == 40
    assert dead_letters(services) == []


async def test_a_short_throttle_is_waited_out(app: Any, services: Services) -> None:
    """A hint within the deadline costs no message: the batch is stored by the same invocation."""
    short = {"match": {"operation": "batch"}, "action": {"status": 429, "retryAfterMs": 30}, "count": 2}
    with services.gateway.faults(short):
        summary = await app.pipeline.score_events(items(*bodies(1, 2)), RetryState(endless=True))
        acted = services.gateway.control("GET", "/faults")["rules"][0]["acted"]
    assert (summary.stored, summary.queued, acted) == (2, 0, 2)


async def test_writes_at_once_are_bounded(app: Any, services: Services, monkeypatch: Any) -> None:
    """Sixty partition keys at once are never more writes under way than COSMOS_PARALLEL_BATCHES."""
    under_way = [0, 0]
    write = app.store.write

    async def counting(pk: str, writes: Any) -> float:
        under_way[0] += 1
        under_way[1] = max(under_way)
        try:
            return float(await write(pk, writes))
        finally:
            under_way[0] -= 1

    monkeypatch.setattr(app.store, "write", counting)
    many = [body(flight(number, carrier=f"C{number}")) for number in range(60)]
    assert (await app.pipeline.score_events(items(*many), RetryState(endless=True))).stored == 60
    assert under_way[1] == app.settings.cosmos_parallel_batches
