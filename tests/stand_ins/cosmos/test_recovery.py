"""Death and return: what was answered is there after SIGKILL, and what was not is there wholly or not at all."""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter

from azure.core.exceptions import AzureError
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

from .conftest import KEY


async def contents(container):
    """Return id → (value, etag) of all items."""
    rows = container.query_items("SELECT c.id, c.v, c._etag FROM c")
    return {row["id"]: (row["v"], row["_etag"]) async for row in rows}


def events(client):
    """Return the container `events`."""
    return client.get_database_client("everscore").get_container_client("events")


async def test_everything_comes_back_after_sigkill(start, alive):
    """Containers, items, tags, deletions and first acceptance times are as they were; Node dies with the gateway."""
    stand_in = start()
    async with CosmosClient(stand_in.url, KEY) as client:
        container = events(client)
        other = await client.get_database_client("everscore").create_container("other", PartitionKey("/pk"))
        await other.create_item({"id": "o", "pk": "p", "v": 0})
        for pk in ("p", "q|✈️"):
            await container.execute_item_batch(
                [("create", ({"id": f"{pk}{n}", "pk": pk, "v": n},)) for n in range(50)], partition_key=pk
            )
        await container.upsert_item({"id": "p1", "pk": "p", "v": "new"})
        await container.delete_item("p2", "p")
        before = await contents(container)
        rid = (await container.read())["_rid"]
    accepted = stand_in.control("GET", "/accepted?database=everscore&container=events")
    node = stand_in.control("GET", "/state")["engine"]["pid"]
    stand_in.stop(signal.SIGKILL)
    while alive(node):
        await asyncio.sleep(0.01)

    for _ in range(2):  # the second time from the journal that the first start wrote anew
        stand_in.start()
        async with CosmosClient(stand_in.url, KEY) as client:
            container = events(client)
            assert (await container.read())["_rid"] == rid
            assert await contents(container) == before
            assert len(before) == 99
            assert (await container.read_item("p1", "p"))["v"] == "new"
            theirs = client.get_database_client("everscore").get_container_client("other")
            assert (await theirs.read_item("o", "p"))["v"] == 0
        assert stand_in.control("GET", "/accepted?database=everscore&container=events") == accepted
        assert {"p p1", "p p2", "q|✈️ q|✈️0"} <= set(accepted)
        stand_in.stop(signal.SIGKILL)


async def test_no_answered_batch_is_lost_and_none_is_half_there(start):
    """Killed in the middle of many batches, twice: each answered batch is there, each other wholly or not."""
    stand_in = start()
    answered: set[str] = set()
    for round_ in range(2):

        async def send(client, worker, round_=round_):
            for number in range(10_000):
                pk = f"{round_}-{worker}-{number}"
                operations = [("create", ({"id": str(n), "pk": pk},)) for n in range(10)]
                try:
                    await events(client).execute_item_batch(operations, partition_key=pk)
                except AzureError:
                    return
                answered.add(pk)

        options = {"retry_connect": 0, "retry_read": 0}
        client = CosmosClient(stand_in.url, KEY, **options)
        async with client:
            await events(client).read()
            tasks = [asyncio.create_task(send(client, worker)) for worker in range(4)]
            goal = len(answered) + 40
            while len(answered) < goal:
                await asyncio.sleep(0)
            stand_in.process.kill()
            await asyncio.gather(*tasks)
        stand_in.stop()
        stand_in.start()
    async with CosmosClient(stand_in.url, KEY) as client:
        counts = Counter([pk async for pk in events(client).query_items("SELECT VALUE c.pk FROM c")])
    assert answered <= set(counts)
    assert set(counts.values()) == {10}


async def test_acceptance_is_timed_once(start):
    """The time of the first accepted write of an id stays, over replaces, deletes and creates again."""
    stand_in = start()
    begin = time.time_ns() // 1_000_000
    async with CosmosClient(stand_in.url, KEY) as client:
        container = events(client)
        await container.create_item({"id": "a", "pk": "p"})
        end = time.time_ns() // 1_000_000
        path = "/accepted?database=everscore&container=events"
        [(name, first)] = stand_in.control("GET", path).items()
        assert name == "p a"
        assert begin <= first <= end
        await container.upsert_item({"id": "a", "pk": "p"})
        await container.delete_item("a", "p")
        assert stand_in.control("GET", path) == {name: first}
        await container.create_item({"id": "a", "pk": "p"})
        assert stand_in.control("GET", path) == {name: first}
    assert stand_in.control_raw("GET", "/accepted?database=everscore&container=none")[0] == 404


async def test_node_is_started_again_when_it_dies(start):
    """After the death of the Node child writes go on, queries fail for a moment, then see everything again."""
    stand_in = start()
    async with CosmosClient(stand_in.url, KEY) as client:
        container = events(client)
        await container.create_item({"id": "a", "pk": "p", "v": 1})
        os.kill(stand_in.control("GET", "/state")["engine"]["pid"], signal.SIGKILL)
        await container.create_item({"id": "b", "pk": "p", "v": 2})
        while stand_in.control("GET", "/state")["engine"]["starts"] < 2:
            await asyncio.sleep(0.01)
        await container.create_item({"id": "c", "pk": "p", "v": 3})
        found = {}
        while not found:
            with contextlib.suppress(CosmosHttpResponseError):
                found = await contents(container)
        assert sorted(found) == ["a", "b", "c"]
