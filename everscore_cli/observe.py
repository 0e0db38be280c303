"""What hub, checkpoints, queues, dead letters and store hold at this moment, through Microsoft's SDKs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from azure.core.exceptions import ResourceNotFoundError
from azure.cosmos.aio import ContainerProxy
from azure.eventhub.aio import EventHubConsumerClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from everscore.adapters import checkpoints as host_checkpoints
from everscore.adapters.checkpoints import Position
from everscore.config.settings import Settings
from everscore.watch.backlog import events_beyond
from everscore.watch.furthest import Mark, advance


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition and how far the app has come.

    Attributes:
        id: its id.
        last: sequence number of the newest event; None = there is none.
        checkpoint: sequence number up to which the host has passed it; None = nothing yet.
        lag: events that no host has passed, also none before its checkpoint went back.
    """

    id: str
    last: int | None
    checkpoint: int | None
    lag: int


@dataclass(frozen=True, slots=True)
class HubEnd:
    """The range of a partition: sequence numbers of its oldest and newest event; None = it is empty."""

    begin: int | None
    last: int | None

    def lag(self, checkpoint: int | None) -> int:
        """Events between a checkpoint and the end."""
        if self.last is None or self.begin is None:
            return 0
        return events_beyond(checkpoint, self.begin, self.last)


@dataclass(frozen=True, slots=True)
class _Range:
    """What a partition holds that is not empty."""

    first: int
    last: int
    is_empty: bool = False


def last_numbers(ends: Mapping[str, HubEnd]) -> dict[str, int]:
    """The newest sequence number of each partition that holds anything."""
    return {id_: end.last for id_, end in ends.items() if end.last is not None}


async def hub_ends(client: EventHubConsumerClient) -> dict[str, HubEnd]:
    """The range of every partition of the hub, by its id."""
    ids = await client.get_partition_ids()
    found = await asyncio.gather(*(client.get_partition_properties(id_) for id_ in ids))
    return {
        id_: HubEnd(None, None)
        if properties["is_empty"]
        else HubEnd(
            int(properties["beginning_sequence_number"]), int(properties["last_enqueued_sequence_number"])
        )
        for id_, properties in zip(ids, found, strict=True)
    }


async def checkpoints(service: BlobServiceClient, settings: Settings) -> dict[str, int]:
    """How far the Functions host has come, by partition. Partitions without a checkpoint are missing."""
    return {id_: position.number for id_, position in (await positions(service, settings)).items()}


async def positions(service: BlobServiceClient, settings: Settings) -> dict[str, Position]:
    """The same with the times."""
    return await host_checkpoints.positions(
        service,
        namespace=settings.eventhub_host(),
        hub=settings.eventhub_name,
        group=settings.eventhub_consumer_group,
    )


def with_lag(
    ends: Mapping[str, HubEnd], passed: Mapping[str, int], marks: Mapping[str, Mark] | None = None
) -> list[Partition]:
    """All together, in order of the ids.

    Args:
        ends: the range of each partition.
        passed: the checkpoints.
        marks: how far each was passed at its furthest: a late end of a host that has lost the partition is
            checkpointed backwards, and what lies between was passed all the same.
    """
    order = sorted(ends, key=lambda id_: (len(id_), id_))
    at_most = furthest(ends, passed, marks or {})
    return [Partition(id_, ends[id_].last, passed.get(id_), ends[id_].lag(at_most.get(id_))) for id_ in order]


def furthest(
    ends: Mapping[str, HubEnd], passed: Mapping[str, int], marks: Mapping[str, Mark]
) -> dict[str, int]:
    """How far each partition was passed at its furthest, by what the hub holds of it now."""
    ranges = {
        id_: _Range(end.begin, end.last)
        for id_, end in ends.items()
        if end.begin is not None and end.last is not None
    }
    marked = {id_: mark.number for id_, mark in advance(marks, ranges, passed).items()}
    # A checkpoint may be read later than the end of its partition, and lie beyond that.
    numbers = {id_: max(passed.get(id_, -1), marked.get(id_, -1)) for id_ in ends}
    return {id_: number for id_, number in numbers.items() if number >= 0}


async def queue_depth(service: QueueServiceClient, name: str) -> int:
    """Messages in a queue, those that wait for their time included; 0 where there is no such queue."""
    try:
        properties = await service.get_queue_client(name).get_queue_properties()
    except ResourceNotFoundError:
        return 0
    return int(properties.approximate_message_count or 0)


async def blob_count(service: BlobServiceClient, container: str) -> int:
    """Blobs in a container; 0 where there is no such container."""
    count = 0
    try:
        async for _ in service.get_container_client(container).list_blob_names():
            count += 1
    except ResourceNotFoundError:
        return 0
    return count


async def document_count(container: ContainerProxy) -> int:
    """Documents in the store."""
    async for count in container.query_items("SELECT VALUE COUNT(1) FROM c"):
        return int(str(count))
    return 0
