"""Clients of blobs and queues."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from everscore.config.connections import Connection
from everscore.config.settings import Settings
from everscore.failures import SettingError
from everscore_cli.clients import RETRIES
from everscore_cli.clients.identity import credential


@asynccontextmanager
async def blobs(settings: Settings) -> AsyncIterator[BlobServiceClient]:
    """The blobs of the app's storage account: dead letters and claim checks."""
    async with _blob_service(settings.storage_connection()) as client:
        yield client


@asynccontextmanager
async def host_blobs(settings: Settings) -> AsyncIterator[BlobServiceClient]:
    """The blobs of the host's own storage account, where it keeps its checkpoints.

    Where AzureWebJobsStorage is not set, the host shares the app's account.
    """
    try:
        connection = settings.webjobs_connection()
    except SettingError:
        connection = settings.storage_connection()
    async with _blob_service(connection) as client:
        yield client


@asynccontextmanager
async def queues(settings: Settings) -> AsyncIterator[QueueServiceClient]:
    """The queues of the app's storage account."""
    connection = settings.storage_connection()
    async with credential(connection) as identity:
        if identity is None:
            client = QueueServiceClient.from_connection_string(
                connection.connection_string, retry_total=RETRIES
            )
        else:
            client = QueueServiceClient(connection.endpoints["queue"], identity, retry_total=RETRIES)
        async with client:
            yield client


@asynccontextmanager
async def _blob_service(connection: Connection) -> AsyncIterator[BlobServiceClient]:
    async with credential(connection) as identity:
        if identity is None:
            client = BlobServiceClient.from_connection_string(
                connection.connection_string, retry_total=RETRIES
            )
        else:
            client = BlobServiceClient(connection.endpoints["blob"], identity, retry_total=RETRIES)
        async with client:
            yield client
