"""The identity of the person who runs the command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from everscore.config.connections import Connection

if TYPE_CHECKING:
    from azure.identity.aio import DefaultAzureCredential


@asynccontextmanager
async def credential(connection: Connection) -> AsyncIterator[DefaultAzureCredential | None]:
    """The user's identity, or None where the connection string holds a key."""
    if connection.connection_string:
        yield None
        return
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - slow, and seldom needed

    async with DefaultAzureCredential() as identity:
        yield identity
