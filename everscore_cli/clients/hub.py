"""Clients of the hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

from everscore.settings import Settings
from everscore_cli.clients import RETRIES
from everscore_cli.clients.identity import credential


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
