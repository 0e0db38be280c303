"""The retry queue and its poison queue on Azure Storage queues."""

from __future__ import annotations

import math
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import BinaryBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from everscore.adapters.credentials import Credentials
from everscore.adapters.storage import client_options, request
from everscore.clock import times
from everscore.config.connections import Connection
from everscore.ports import PoisonMessage, QueuedMessage

# The service hides a message for 7 days at most.
MAX_DELAY = 7 * 86_400 - 60
# Long enough to move a page of messages on; what is not moved appears again after it.
_POISON_LEASE = 300
# What could not be moved on appears again after it, in time for the next run of the timer.
_POISON_RELEASE = 30
_PAGE = 32


class StorageQueue:
    """Sends to the retry queue. base64, as host.json says for the trigger (``messageEncoding``).

    Args:
        connection: of the storage account.
        name: of the queue; the deployment creates it.
        timeout: seconds for one request, its tries together.
        credentials: for a connection without a key.
    """

    def __init__(
        self, connection: Connection, name: str, *, timeout: float, credentials: Credentials
    ) -> None:
        self.name = name
        self._timeout = timeout
        self._client = _make_client(
            connection, name, timeout, credentials, message_encode_policy=BinaryBase64EncodePolicy()
        )

    async def send(self, message: bytes, delay: float) -> None:
        """See everscore.ports.RetryQueue."""
        async with request(f"queue {self.name}", self._timeout):
            # Never expires: the default of 7 days would lose an event in silence during a long outage.
            await self._client.send_message(
                message, visibility_timeout=min(math.ceil(delay), MAX_DELAY), time_to_live=-1
            )

    async def depth(self) -> int:
        """About how many messages there are, the delayed ones included.

        Raises:
            Failure: it cannot be read.
        """
        async with request(f"queue {self.name}", self._timeout):
            return await _depth(self._client)

    async def peek(self) -> list[QueuedMessage]:
        """See everscore.ports.RetryBacklog.

        Raises:
            Failure: they cannot be read.
        """
        async with request(f"queue {self.name}", self._timeout):
            found = await self._client.peek_messages(max_messages=_PAGE)
        return [
            QueuedMessage(
                text=str(message.content),
                inserted_at=times.milliseconds_text(message.inserted_on or times.now()),
            )
            for message in found
        ]

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()


class StoragePoisonQueue:
    """Reads ``<retry queue>-poison`` as it is, without decoding."""

    def __init__(
        self, connection: Connection, retry_queue: str, *, timeout: float, credentials: Credentials
    ) -> None:
        self.name = f"{retry_queue}-poison"
        self._timeout = timeout
        self._client = _make_client(connection, self.name, timeout, credentials)

    async def depth(self) -> int:
        """About how many messages there are; 0 where there is no queue, since the host makes it on demand.

        Raises:
            Failure: it cannot be read.
        """
        async with request(f"queue {self.name}", self._timeout):
            try:
                return await _depth(self._client)
            except ResourceNotFoundError:
                return 0

    async def receive(self) -> list[PoisonMessage]:
        """See everscore.ports.PoisonQueue. A missing queue is empty: the host makes it on demand."""
        async with request(f"queue {self.name}", self._timeout):
            found = self._client.receive_messages(
                messages_per_page=_PAGE, max_messages=_PAGE, visibility_timeout=_POISON_LEASE
            )
            try:
                return [
                    PoisonMessage(
                        id=str(message.id),
                        text=str(message.content),
                        receipt=str(message.pop_receipt),
                        inserted_at=times.milliseconds_text(message.inserted_on or times.now()),
                    )
                    async for message in found
                ]
            except ResourceNotFoundError:
                return []

    async def delete(self, message: PoisonMessage) -> None:
        """See everscore.ports.PoisonQueue."""
        async with request(f"queue {self.name}", self._timeout):
            await self._client.delete_message(message.id, message.receipt)

    async def release(self, message: PoisonMessage) -> None:
        """See everscore.ports.PoisonQueue."""
        async with request(f"queue {self.name}", self._timeout):
            await self._client.update_message(message.id, message.receipt, visibility_timeout=_POISON_RELEASE)

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()


async def _depth(client: QueueClient) -> int:
    return (await client.get_queue_properties()).approximate_message_count or 0


def _make_client(
    connection: Connection, name: str, timeout: float, credentials: Credentials, **options: Any
) -> QueueClient:
    options |= client_options(timeout)
    if connection.connection_string:
        return QueueClient.from_connection_string(connection.connection_string, name, **options)
    return QueueClient(
        connection.endpoints["queue"], name, credential=credentials.get(connection.client_id), **options
    )
