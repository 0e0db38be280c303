"""Clients of the store of scored events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from azure.cosmos.aio import ContainerProxy, CosmosClient

from everscore.config.connections import on_loopback, parts_of
from everscore.config.settings import Settings
from everscore_cli.clients.identity import credential


@asynccontextmanager
async def documents(settings: Settings) -> AsyncIterator[ContainerProxy]:
    """The container of the scored events."""
    connection = settings.cosmos_connection()
    async with credential(connection) as identity:
        parts = parts_of(connection.connection_string)
        address = parts.get("accountendpoint") or connection.endpoints["account"]
        client = CosmosClient(
            address,
            identity or parts["accountkey"],
            enable_endpoint_discovery=not on_loopback(address),  # as in everscore.adapters.cosmos
        )
        try:
            async with client:
                yield client.get_database_client(settings.cosmos_database).get_container_client(
                    settings.cosmos_container
                )
        finally:  # entering reads the account; where that fails, its session is open all the same
            await client.close()
