"""Where events go that are not stored (retry queue, dead letters), through the pipeline's own adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from everscore.adapters.blobs import StorageBlobs
from everscore.adapters.credentials import Credentials
from everscore.adapters.hub import HubReader
from everscore.adapters.queue import StorageQueue
from everscore.config.settings import Settings
from everscore.retry.placing import Placing


@dataclass(frozen=True, slots=True)
class Destinations:
    """Blobs and retry queue, and the policy above them."""

    blobs: StorageBlobs
    queue: StorageQueue
    placing: Placing


@asynccontextmanager
async def destinations(settings: Settings) -> AsyncIterator[Destinations]:
    """The destinations that the settings name, by the keys of the settings or the user's identity."""
    connection, timeout = settings.storage_connection(), settings.storage_timeout_seconds
    async with Credentials() as credentials:
        blobs = StorageBlobs(
            connection,
            dead_letters=settings.deadletter_container,
            claim_checks=settings.claimcheck_container,
            timeout=timeout,
            credentials=credentials,
        )
        queue = StorageQueue(connection, settings.retry_queue, timeout=timeout, credentials=credentials)
        try:
            yield Destinations(blobs, queue, Placing(queue, blobs))
        finally:
            await queue.close()
            await blobs.close()


@asynccontextmanager
async def hub_reader(settings: Settings) -> AsyncIterator[HubReader]:
    """The hub, read without owning its partitions."""
    async with Credentials() as credentials:
        reader = HubReader(settings.eventhub_connection(), settings.eventhub_name, credentials=credentials)
        try:
            yield reader
        finally:
            await reader.close()
