"""Sends events to the hub: in batches of one partition key, over several connections at once."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from azure.eventhub import EventData, EventDataBatch
from azure.eventhub.aio import EventHubProducerClient

from everscore.config.settings import Settings
from everscore_cli.clients.hub import producer
from everscore_cli.errors import CliError
from everscore_cli.properties import Value

# A client sends one batch after the other and waits for each answer; a few of them fill the wire.
CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event to send.

    Attributes:
        body: the exact bytes.
        key: its partition key, or None: the service chooses the partition.
        properties: its application properties.
        number: of its line, for the sentence where it cannot be sent; None where it comes of none.
    """

    body: bytes
    key: str | None
    properties: Mapping[str, Value] = field(default_factory=dict)
    number: int | None = None


class Sender:
    """Sends events; those of one partition key in the order given."""

    def __init__(self, clients: Sequence[EventHubProducerClient]) -> None:
        self._clients = clients

    async def send(self, events: Sequence[Outgoing]) -> None:
        """Send events and wait until the hub has them all.

        Raises:
            CliError: one of them is larger than the hub takes.
            EventHubError: the hub refuses them or cannot be reached.
        """
        lanes: list[dict[str | None, list[Outgoing]]] = [defaultdict(list) for _ in self._clients]
        for event in events:
            # The same key always takes the same connection, which keeps the order of its events.
            lane = zlib.crc32(event.key.encode()) % len(lanes) if event.key is not None else 0
            lanes[lane][event.key].append(event)
        try:
            async with asyncio.TaskGroup() as tasks:
                for client, groups in zip(self._clients, lanes, strict=True):
                    if groups:
                        tasks.create_task(_send_groups(client, groups))
        except BaseExceptionGroup as failed:  # one connection's error says what is wrong with all
            raise failed.exceptions[0] from failed


@asynccontextmanager
async def sender(settings: Settings, connections: int = CONNECTIONS) -> AsyncIterator[Sender]:
    """A sender whose connections are open."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(producer(settings)) for _ in range(connections)]
        # The first call opens the link: about a second for connection and token.
        await asyncio.gather(*(client.create_batch() for client in clients))
        yield Sender(clients)


class Pace:
    """Spreads events over time.

    Args:
        rate: events a second, or None for as fast as it goes.
    """

    TICK_SECONDS = 0.05

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._begin = time.monotonic()
        self._sent = 0

    async def allow(self, limit: int) -> int:
        """Wait until at least one event is due, and say how many are, up to ``limit``."""
        if self._rate is None:
            return limit
        while True:
            due = int((time.monotonic() - self._begin) * self._rate) + 1 - self._sent
            if due > 0:
                allowed = min(due, limit)
                self._sent += allowed
                return allowed
            await asyncio.sleep(self.TICK_SECONDS)


async def send_paced(
    target: Sender,
    events: Sequence[Outgoing],
    rate: float | None,
    on_sent: Callable[[int], None],
    chunk: int = 2_000,
) -> None:
    """Send events at a rate, at most ``chunk`` at once.

    Args:
        target: where to.
        events: what.
        rate: events a second, or None for as fast as it goes.
        on_sent: called with the number of events that the hub has accepted since the last call.
        chunk: how many are grouped by partition key and sent together.
    """
    pace = Pace(rate)
    position = 0
    while position < len(events):
        allowed = await pace.allow(min(chunk, len(events) - position))
        await target.send(events[position : position + allowed])
        position += allowed
        on_sent(allowed)


async def _send_groups(client: EventHubProducerClient, groups: dict[str | None, list[Outgoing]]) -> None:
    for key, events in groups.items():
        batch = await client.create_batch(partition_key=key)
        for event in events:
            batch = await _add(client, batch, event, key)
        await client.send_batch(batch)


async def _add(
    client: EventHubProducerClient, batch: EventDataBatch, event: Outgoing, key: str | None
) -> EventDataBatch:
    """Put an event into the batch; send a full one and begin the next. Returns the one that has it."""
    data = EventData(event.body)
    data.properties.update(event.properties)
    try:
        batch.add(data)
        return batch
    except ValueError:
        if len(batch) > 0:
            await client.send_batch(batch)
            batch = await client.create_batch(partition_key=key)
            try:
                batch.add(data)
                return batch
            except ValueError:
                pass
    size, limit = len(event.body), batch.max_size_in_bytes
    which = (
        "An event" if event.number is None else f"Event {event.number:,} (its line, or place among the files)"
    )
    raise CliError(f"{which} has {size:,} bytes, more than the {limit:,} that the hub takes at once.")
