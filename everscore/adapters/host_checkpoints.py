"""How far the Functions host has come, for the backlog: its checkpoints, read with the app's own settings."""

from __future__ import annotations

from collections.abc import Callable

from azure.storage.blob.aio import BlobServiceClient

from everscore.adapters.checkpoints import CONTAINER, positions
from everscore.adapters.credentials import Credentials
from everscore.adapters.storage import client_options, request
from everscore.config.connections import Connection


class HostCheckpoints:
    """Reads checkpoints; only the host writes them.

    Args:
        connection: gives that of AzureWebJobsStorage; asked on first use, since scoring does without it.
        namespace: host name of the Event Hubs namespace.
        hub, group: names of hub and consumer group.
        timeout: seconds for one reading.
        credentials: for a connection without a key.
    """

    def __init__(
        self,
        connection: Callable[[], Connection],
        *,
        namespace: str,
        hub: str,
        group: str,
        timeout: float,
        credentials: Credentials,
    ) -> None:
        self._connection = connection
        self._names = {"namespace": namespace, "hub": hub, "group": group}
        self._timeout = timeout
        self._credentials = credentials
        self._client: BlobServiceClient | None = None

    async def read(self) -> dict[str, int]:
        """See everscore.ports.Checkpoints.

        Raises:
            SettingError: AzureWebJobsStorage is not set.
            Failure: the storage account does not answer.
        """
        client = self._connect()
        async with request(f"container {CONTAINER}", self._timeout):
            found = await positions(client, **self._names)
        return {partition: position.number for partition, position in found.items()}

    async def close(self) -> None:
        """Close the client, if there is one."""
        if self._client is not None:
            await self._client.close()

    def _connect(self) -> BlobServiceClient:
        if self._client is None:
            connection = self._connection()
            options = client_options(self._timeout)
            if connection.connection_string:
                self._client = BlobServiceClient.from_connection_string(
                    connection.connection_string, **options
                )
            else:
                self._client = BlobServiceClient(
                    connection.endpoints["blob"],
                    credential=self._credentials.get(connection.client_id),
                    **options,
                )
        return self._client
