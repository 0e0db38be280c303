"""What is in the store, the queues and the blobs, read through Microsoft's SDKs."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import msgspec
from azure.cosmos import CosmosClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from tests.support.services import Services


def documents(services: Services) -> list[dict[str, Any]]:
    """Every document of the container."""
    with CosmosClient.from_connection_string(services.gateway.connection_string) as client:
        container = client.get_database_client(services.names.database).get_container_client(
            services.names.container
        )
        return list(container.query_items("SELECT * FROM c", enable_cross_partition_query=True))


def document(services: Services, pk: str, id_: str) -> dict[str, Any]:
    """One document by a point read."""
    with CosmosClient.from_connection_string(services.gateway.connection_string) as client:
        container = client.get_database_client(services.names.database).get_container_client(
            services.names.container
        )
        return dict(container.read_item(id_, pk))


def dead_letters(services: Services) -> list[dict[str, Any]]:
    """Every dead letter, with ``name`` and ``metadata`` of its blob and the ``body`` of its item decoded."""
    letters = []
    with BlobServiceClient.from_connection_string(services.storage) as service:
        container = service.get_container_client(services.names.dead_letters)
        for blob in container.list_blobs(include=["metadata"]):
            letter = json.loads(container.download_blob(blob.name).readall())
            letter["name"], letter["metadata"] = blob.name, dict(blob.metadata or {})
            letter["body"] = base64.b64decode(letter["item"].get("body", ""))
            letters.append(letter)
    return letters


def queued(services: Services, queue: str | None = None) -> int:
    """Messages in the retry queue (or another), those that wait for their time included."""
    with QueueClient.from_connection_string(services.storage, queue or services.names.queue) as client:
        return int(client.get_queue_properties().approximate_message_count or 0)


def take_messages(services: Services, events: int = 1) -> list[bytes]:
    """Take messages out of the retry queue as they become visible, until they hold so many events in all."""
    from tests.support.app import wait_until

    found: list[bytes] = []
    with QueueClient.from_connection_string(services.storage, services.names.queue) as client:

        def take() -> bool:
            for message in client.receive_messages(messages_per_page=32):
                client.delete_message(message)
                found.append(base64.b64decode(message.content, validate=True))
            return len(items(found)) >= events

        wait_until(take, 120, f"{events} events in {services.names.queue}")
    return found


def items(messages: list[bytes]) -> list[dict[str, Any]]:
    """The items of some messages of schema 2, as docs/schemas.md describes them; each ``body`` is bytes."""
    return [{"body": b"", **item} for message in messages for item in _unpacked(json.loads(message))]


def _unpacked(envelope: dict[str, Any]) -> list[dict[str, Any]]:
    assert envelope["schema"] == 2
    unpacked: list[dict[str, Any]] = msgspec.msgpack.decode(
        zlib.decompress(base64.b64decode(envelope["items"]))
    )
    return unpacked
