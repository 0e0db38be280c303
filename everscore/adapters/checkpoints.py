"""The checkpoints that the Functions host keeps of the hub, in the storage account of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

from everscore.adapters.credentials import Credentials
from everscore.adapters.storage import client_options, request
from everscore.config.connections import Connection

# Fixed in the host's Event Hubs extension; so is the form of the names, its parts in lower case.
CONTAINER = "azure-webjobs-eventhub"


@dataclass(frozen=True, slots=True)
class Position:
    """A checkpoint.

    Attributes:
        number: sequence number up to which the host has passed the partition.
        moved: when that last changed.
    """

    number: int
    moved: datetime


async def positions(
    service: BlobServiceClient, *, namespace: str, hub: str, group: str
) -> dict[str, Position]:
    """The checkpoints of a consumer group by partition; those without one are missing.

    Args:
        service: of the host's own storage account.
        namespace: host name of the Event Hubs namespace, without a port.
        hub: its name.
        group: that of the consumer group.

    Raises:
        AzureError: the storage account does not answer.
    """
    prefix = _prefix(namespace, hub, group)
    found: dict[str, Position] = {}
    container = service.get_container_client(CONTAINER)
    try:
        async for blob in container.list_blobs(name_starts_with=prefix, include=["metadata"]):
            number = (blob.metadata or {}).get("sequencenumber", "")
            if number.lstrip("-").isdigit():
                found[blob.name.removeprefix(prefix)] = Position(int(number), blob.last_modified)
    except ResourceNotFoundError:
        return {}  # the host makes the container when it first starts
    return found


async def move(
    service: BlobServiceClient, partition: str, number: int, *, namespace: str, hub: str, group: str
) -> None:
    """Set the checkpoint of a partition, for the host to begin behind that event.

    A host reads it when it starts, and while it cannot receive the next event at all; one that is busy with
    a batch, or tries it again and again, does not.

    Args:
        service: of the host's own storage account.
        partition: its id.
        number: sequence number of the last event that counts as passed.
        namespace: host name of the Event Hubs namespace, without a port.
        hub: its name.
        group: that of the consumer group.

    Raises:
        AzureError: the storage account does not take it; without a container no host has run yet.
    """
    blob = service.get_blob_client(CONTAINER, _prefix(namespace, hub, group) + partition)
    # The host takes the offset where there is one (BlobCheckpointStoreInternal.cs), and that of another event
    # would win over the number.
    metadata = {"offset": "", "sequencenumber": str(number), "clientidentifier": "everscore"}
    await blob.upload_blob(b"", overwrite=True, metadata=metadata)


def _prefix(namespace: str, hub: str, group: str) -> str:
    return f"{namespace}/{hub}/{group}/checkpoint/".lower()


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
