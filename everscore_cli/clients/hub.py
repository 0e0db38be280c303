"""Clients of the hub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient, PartitionContext

from everscore.config.settings import Settings
from everscore_cli.clients import RETRIES
from everscore_cli.clients.identity import credential

_PAGE = 3_000


@asynccontextmanager
async def producer(settings: Settings) -> AsyncIterator[EventHubProducerClient]:
    """A sender to the hub."""
    connection = settings.eventhub_connection()
    async with credential(connection) as identity:
        if identity is None:
            client = EventHubProducerClient.from_connection_string(
                connection.connection_string, eventhub_name=settings.eventhub_name, retry_total=RETRIES
            )
        else:
            client = EventHubProducerClient(
                connection.endpoints["namespace"], settings.eventhub_name, identity, retry_total=RETRIES
            )
        async with client:
            yield client


@asynccontextmanager
async def consumer(settings: Settings) -> AsyncIterator[EventHubConsumerClient]:
    """A reader of the hub in the group `$Default`, which the app does not use."""
    connection = settings.eventhub_connection()
    async with credential(connection) as identity:
        if identity is None:
            client = EventHubConsumerClient.from_connection_string(
                connection.connection_string,
                "$Default",
                eventhub_name=settings.eventhub_name,
                retry_total=RETRIES,
            )
        else:
            client = EventHubConsumerClient(
                connection.endpoints["namespace"],
                settings.eventhub_name,
                "$Default",
                identity,
                retry_total=RETRIES,
            )
        async with client:
            yield client


async def read_to(
    client: EventHubConsumerClient, ends: Mapping[str, int], take: Callable[[str, EventData], None]
) -> None:
    """Read partitions from their beginning.

    Args:
        client: reads in a group of which nobody else owns partitions.
        ends: by partition, the last sequence number to read; partitions that hold nothing are left out.
        take: called with the partition of each event and the event, those of a partition in order. Events
            past an end may come too.

    Raises:
        EventHubError: the hub cannot be read.
    """
    missing = dict(ends)
    if not missing:
        return
    done = asyncio.Event()

    async def page(context: PartitionContext, events: list[EventData]) -> None:
        partition = context.partition_id
        for event in events:
            take(partition, event)
            if partition in missing and (event.sequence_number or 0) >= missing[partition]:
                del missing[partition]
        if not missing:
            done.set()

    reading = asyncio.create_task(
        client.receive_batch(page, starting_position="-1", prefetch=_PAGE, max_batch_size=_PAGE)
    )
    finished = asyncio.create_task(done.wait())
    try:
        await asyncio.wait([reading, finished], return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            await reading  # only an error ends it
    finally:
        for task in (reading, finished):
            task.cancel()
        await asyncio.gather(reading, finished, return_exceptions=True)
