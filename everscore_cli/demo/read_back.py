"""Reads everything back: the hub from its beginning, all documents, all dead letters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azure.cosmos.aio import ContainerProxy
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from azure.storage.blob.aio import ContainerClient

from everscore_cli.clients.hub import read_to
from everscore_cli.demo.plan import NUMBER
from everscore_cli.observe import HubEnd, last_numbers

type Place = tuple[str, int]
"""Where an event stands in the hub: partition and sequence number."""

DOCUMENTS = "SELECT c.id, c.pk, c.source, c.pipeline FROM c"
_LETTER = re.compile(r"/[^/]*-(\d+)-(\d+)-\d+\.json$")
_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What matters of a document.

    Attributes:
        pk, id: its identity.
        place: the event that it was made of.
        enqueued_at: when the hub took that event, ISO-8601.
        attempts: tries that it took.
    """

    pk: str
    id: str
    place: Place
    enqueued_at: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, as a listing shows it."""

    name: str
    place: Place
    stage: str
    reason: str


async def read_hub(client: EventHubConsumerClient, ends: Mapping[str, HubEnd]) -> dict[Place, int]:
    """Every event of the hub, by its place: which of the sent events it is, or -1 for a stranger."""
    found: dict[Place, int] = {}

    def take(partition: str, event: EventData) -> None:
        found[partition, event.sequence_number or 0] = _number(event.properties)

    await read_to(client, last_numbers(ends), take)
    return found


async def read_documents(container: ContainerProxy) -> list[StoredDocument]:
    """Every document of the store."""
    return [_document(row) async for row in container.query_items(DOCUMENTS, max_item_count=_PAGE)]


async def read_letters(container: ContainerClient) -> list[Letter]:
    """Every dead letter."""
    letters = []
    async for blob in container.list_blobs(include=["metadata"]):
        match = _LETTER.search(f"/{blob.name}")
        place = (match[1], int(match[2])) if match else ("", -1)
        metadata = blob.metadata or {}
        letters.append(Letter(blob.name, place, metadata.get("stage", ""), metadata.get("reason", "")))
    return letters


def _document(row: Any) -> StoredDocument:
    source = row["source"]
    return StoredDocument(
        pk=row["pk"],
        id=row["id"],
        place=(str(source["partition"]), int(source["sequenceNumber"])),
        enqueued_at=source["enqueuedAt"],
        attempts=int(row["pipeline"]["attempts"]),
    )


def _number(properties: Mapping[Any, Any] | None) -> int:
    value = (properties or {}).get(NUMBER.encode(), (properties or {}).get(NUMBER, b"-1"))
    return int(value.decode() if isinstance(value, bytes) else value)
