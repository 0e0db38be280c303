"""R14: items whose id holds a slash, a backslash, ? or # are refused, or written and then unreadable and undeletable.

Condition: a device path 'plant/line#3', a URL or a standard-base64 hash as id.
Right: ids are encoded reversibly and free of collisions, the original stays in `key`, and the retry path
finds the same id.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from azure.cosmos import CosmosClient

from tests.support.app import copy_app, received, worker
from tests.support.flights import body, flight
from tests.support.read_back import document, documents, take_messages
from tests.support.services import Services

IDS = [
    "plant/line#3",
    "plant/line?3",
    "plant\\line 3",
    "https://example.org/a?b=c#d",
    "3q2+7w==/x",
    "tab\tand\nnewline",
    "ends with a space ",
    "Zürich 東京 😀",
    "~already~2f",
    "plant~2fline~233",
    "..",
    "x" * 2000,
    42,
    "42",
]


async def test_any_id_is_stored_read_and_deleted(tmp_path: Path, services: Services) -> None:
    """Every id becomes a document of its own that the SDK reads and deletes, its original in `key`."""
    events = [body(flight(number, id=id_, carrier="a/b#c")) for number, id_ in enumerate(IDS)]
    async with worker(copy_app(tmp_path / "app"), services.settings()) as running:
        assert (await running.score(received(*events))).error is None
    found = documents(services)
    assert {each["event"]["flight"]: each["key"]["id"] for each in found} == dict(enumerate(IDS))
    assert {each["pk"] for each in found} == {"a~2fb~23c|2013-09-01"}
    with CosmosClient.from_connection_string(services.gateway.connection_string) as client:
        container = client.get_database_client(services.names.database).get_container_client("events")
        for each in found:
            assert container.read_item(each["id"], each["pk"])["key"] == each["key"]
            container.delete_item(each["id"], each["pk"])
    assert documents(services) == []


async def test_a_retry_finds_the_same_id(tmp_path: Path, services: Services) -> None:
    """An event that was queued and one that was stored at once meet in one document."""
    event = body(flight(1, id="plant/line#3"))
    async with worker(copy_app(tmp_path / "app"), services.settings()) as running:
        with services.gateway.faults({"match": {"operation": "batch"}, "action": {"status": 503}}):
            await running.score(received(event))
        (message,) = await asyncio.to_thread(take_messages, services)
        await running.score(received(event))
        assert (await running.retry(message)).error is None
    assert len(documents(services)) == 1
    assert document(services, "UA|2013-09-01", "plant~2fline~233")["key"]["id"] == "plant/line#3"
