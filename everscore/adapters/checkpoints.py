"""The blobs in which the Functions host keeps its checkpoints of the hub: how they are read and moved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

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
            if number.isascii() and number.removeprefix("-").isdigit():
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
