"""The unmodified Python SDK, asynchronous: sending, properties, checkpoints in blobs."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.extensions.checkpointstoreblob import BlobCheckpointStore
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore as AsyncBlobCheckpointStore
from azure.storage.blob import ContainerClient

from tests.stand_ins.eventhubs.support import PATIENCE, Server

# azure-eventhub leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


async def test_many_events_sent_at_once_all_come_back_in_order(server: Server) -> None:
    """Thousands of events, sent in batches and singly by two producers at once, come back without loss or repeat."""
    clients = [
        EventHubProducerClient.from_connection_string(server.connection, eventhub_name="async", retry_total=0)
        for _ in range(2)
    ]

    async def send(client: EventHubProducerClient, mark: str) -> None:
        async with client:
            for start in range(0, 2400, 600):
                await client.send_batch(
                    [EventData(f"{mark}{start + index}") for index in range(600)], partition_id="0"
                )
            for index in range(2400, 2420):
                await client.send_event(EventData(f"{mark}{index}"), partition_id="0")

    await asyncio.gather(send(clients[0], "a"), send(clients[1], "b"))

    got: list[EventData] = []
    done = asyncio.Event()

    async def on_batch(_: Any, events: list[EventData]) -> None:
        got.extend(events)
        if len(got) >= 4840:
            done.set()

    consumer = EventHubConsumerClient.from_connection_string(
        server.connection, "everscore", eventhub_name="async", retry_total=0
    )
    async with consumer:
        properties = await consumer.get_eventhub_properties()
        task = asyncio.create_task(
            consumer.receive_batch(on_batch, starting_position="-1", max_batch_size=1000, prefetch=3000)
        )
        await asyncio.wait_for(done.wait(), PATIENCE)
        task.cancel()
        await asyncio.wait([task])
    assert (properties["eventhub_name"], properties["partition_ids"]) == ("async", ["0"])
    assert [event.sequence_number for event in got] == list(range(4840))
    for mark in "ab":
        assert [event.body_as_str() for event in got if event.body_as_str()[0] == mark] == [
            f"{mark}{index}" for index in range(2420)
        ]


async def test_a_consumer_goes_on_from_its_checkpoint_in_a_blob(server: Server, azurite: Any) -> None:
    """A consumer that stopped goes on behind its checkpoint, kept by either of Microsoft's checkpoint packages."""
    container = f"checkpoints-{uuid.uuid4().hex}"
    with ContainerClient.from_connection_string(azurite.connection_string, container) as client:
        client.create_container()
    producer = EventHubProducerClient.from_connection_string(server.connection, eventhub_name="single")
    async with producer:
        await producer.send_batch([EventData(f"{index}") for index in range(10)], partition_id="0")

    async def receive_until(number: int) -> list[int]:
        store = AsyncBlobCheckpointStore.from_connection_string(azurite.connection_string, container)
        consumer = EventHubConsumerClient.from_connection_string(
            server.connection,
            "everscore",
            eventhub_name="single",
            checkpoint_store=store,
            load_balancing_interval=0.5,
        )
        got: list[int] = []
        done = asyncio.Event()

        async def on_event(context: Any, event: EventData | None) -> None:
            if event is not None and not done.is_set():
                got.append(event.sequence_number)
                if event.sequence_number >= number:
                    await context.update_checkpoint(event)
                    done.set()

        async with store, consumer:
            task = asyncio.create_task(consumer.receive(on_event, starting_position="-1", max_wait_time=0.2))
            await asyncio.wait_for(done.wait(), PATIENCE)
            await consumer.close()
            await asyncio.wait([task])
        return got

    assert await receive_until(3) == [0, 1, 2, 3]
    assert await receive_until(9) == [4, 5, 6, 7, 8, 9]
    with BlobCheckpointStore.from_connection_string(azurite.connection_string, container) as blocking:
        checkpoints = list(blocking.list_checkpoints(f"127.0.0.1:{server.port}", "single", "everscore"))
    assert [checkpoint["sequence_number"] for checkpoint in checkpoints] == [9]
