"""Checkpoints and ownership of partitions, in the blobs and the form that the real host uses.

Container ``azure-webjobs-eventhub`` of AzureWebJobsStorage; empty blobs
``{namespace}/{hub}/{group}/checkpoint|ownership/{partition}``, prefix in lower case; state in the metadata
(``offset``, ``sequencenumber``, ``clientidentifier``; ``ownerid``). Ownership is taken by compare-and-swap on
the ETag and is fresh while Last-Modified is. Source: BlobCheckpointStoreInternal.cs; the Python SDK's
BlobCheckpointStore reads and writes the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

CONTAINER = "azure-webjobs-eventhub"
# What the .NET store writes where it knows only the sequence number.
_NO_OFFSET = "no offset"


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who reads a partition; ``owner`` empty once it was released."""

    partition: str
    owner: str
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a partition has been processed to, inclusive; one of the two places may be missing."""

    offset: str | None
    sequence_number: int | None
    modified: datetime


class CheckpointStore:
    """The blobs of one consumer group of one hub."""

    def __init__(self, container: ContainerClient, namespace: str, hub: str, consumer_group: str) -> None:
        self._container = container
        self._prefix = f"{namespace}/{hub}/{consumer_group}".lower()

    @classmethod
    def of_service(
        cls, service: BlobServiceClient, namespace: str, hub: str, consumer_group: str
    ) -> "CheckpointStore":
        """Return the store in a storage account."""
        return cls(service.get_container_client(CONTAINER), namespace, hub, consumer_group)

    async def create_container(self) -> None:
        """Make the container unless it is there."""
        try:
            await self._container.create_container()
        except ResourceExistsError:
            return

    async def list_ownership(self) -> list[Ownership]:
        """Return all claims, stale and released ones too."""
        prefix = f"{self._prefix}/ownership/"
        found = []
        async for blob in self._container.list_blobs(name_starts_with=prefix, include=["metadata"]):
            owner = (blob.metadata or {}).get("ownerid") or ""
            found.append(
                Ownership(blob.name.removeprefix(prefix), owner, _bare(blob.etag), blob.last_modified)
            )
        return found

    async def claim(self, partition: str, owner: str, etag: str | None) -> Ownership | None:
        """Claim, renew or (owner empty) release a partition.

        Args:
            partition: which one.
            owner: id of the claiming host.
            etag: of the claim that is replaced; None where there is no blob yet.

        Returns:
            The new claim, or None where somebody else was faster.
        """
        blob = self._container.get_blob_client(f"{self._prefix}/ownership/{partition}")
        try:
            if etag is None:
                answer = await blob.upload_blob(b"", metadata={"ownerid": owner}, overwrite=False)
            else:
                answer = await blob.set_blob_metadata(
                    {"ownerid": owner}, etag=f'"{etag}"', match_condition=MatchConditions.IfNotModified
                )
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            return None
        return Ownership(partition, owner, _bare(answer["etag"]), answer["last_modified"])

    async def checkpoint(self, partition: str) -> Checkpoint | None:
        """Return the checkpoint of a partition, None where there is none."""
        blob = self._container.get_blob_client(self._checkpoint_name(partition))
        try:
            found = await blob.get_blob_properties()
        except ResourceNotFoundError:
            return None
        metadata = found.metadata
        offset = metadata.get("offset")
        number = metadata.get("sequencenumber")
        usable = offset if offset and offset != _NO_OFFSET else None
        return Checkpoint(usable, int(number) if number else None, found.last_modified)

    async def update_checkpoint(self, partition: str, offset: str, sequence_number: int, owner: str) -> None:
        """Record that a partition has been processed up to this event."""
        metadata = {"offset": offset, "sequencenumber": str(sequence_number), "clientidentifier": owner}
        blob = self._container.get_blob_client(self._checkpoint_name(partition))
        try:
            await blob.set_blob_metadata(metadata)
        except ResourceNotFoundError:
            await blob.upload_blob(b"", metadata=metadata, overwrite=True)

    def _checkpoint_name(self, partition: str) -> str:
        return f"{self._prefix}/checkpoint/{partition}"


def _bare(etag: Any) -> str:
    return str(etag).strip('"')


def is_fresh(claim: Ownership, now: datetime, expiration: float) -> bool:
    """Tell whether a claim counts: it has an owner and was renewed within ``expiration`` seconds."""
    return bool(claim.owner) and (now - claim.modified).total_seconds() <= expiration


def unclaimed(partitions: Sequence[str], claims: Sequence[Ownership]) -> list[str]:
    """Return the partitions that none of these claims covers."""
    taken = {claim.partition for claim in claims}
    return [partition for partition in partitions if partition not in taken]
