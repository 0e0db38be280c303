"""Transactional batches: shapes, limits, and all or nothing."""

import json

import pytest
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import KEY

DOCS = "/dbs/everscore/colls/events/docs"


async def ids(container, pk):
    """Return the ids under a partition key."""
    return sorted([x async for x in container.query_items("SELECT VALUE c.id FROM c", partition_key=pk)])


async def test_every_kind_of_operation(container, pk):
    """A batch of all kinds answers 200 with the entries that the SDK documents, in order."""
    old = await container.create_item({"id": "old", "pk": pk, "n": 1})
    await container.create_item({"id": "gone", "pk": pk})
    results = await container.execute_item_batch(
        [
            ("create", ({"id": "new", "pk": pk},)),
            ("upsert", ({"id": "up", "pk": pk},)),
            ("upsert", ({"id": "up", "pk": pk, "n": 2},)),
            ("replace", ("old", {"id": "old", "pk": pk, "n": 2}), {"if_match_etag": old["_etag"]}),
            ("patch", ("old", [{"op": "incr", "path": "/n", "value": 1}])),
            ("read", ("old",)),
            ("delete", ("gone",)),
        ],
        partition_key=pk,
    )
    assert [entry["statusCode"] for entry in results] == [201, 201, 200, 200, 200, 200, 204]
    assert results[5]["resourceBody"]["n"] == 3
    assert results[5]["eTag"] == results[5]["resourceBody"]["_etag"] == results[4]["eTag"]
    assert "resourceBody" not in results[6]
    charge = float(results.get_response_headers()["x-ms-request-charge"])
    assert charge == pytest.approx(sum(entry["requestCharge"] for entry in results), abs=0.1)
    assert await ids(container, pk) == ["new", "old", "up"]
    assert dict(await container.read_item("old", pk)) == results[5]["resourceBody"]


async def test_no_response_leaves_bodies_out_but_not_tags(container, pk):
    """With Prefer: return=minimal the entries hold status and tag, and no item."""
    [entry] = await container.execute_item_batch(
        [("create", ({"id": "a", "pk": pk},))], partition_key=pk, no_response=True
    )
    assert entry["eTag"] == (await container.read_item("a", pk))["_etag"]
    assert "resourceBody" not in entry


GUILTY = {
    "exists": (("create", lambda pk: ({"id": "old", "pk": pk},), {}), 409),
    "twice in the batch": (("create", lambda pk: ({"id": "n0", "pk": pk},), {}), 409),
    "stale tag": (("replace", lambda pk: ("old", {"id": "old", "pk": pk}), {"if_match_etag": '"x"'}), 412),
    "missing": (("replace", lambda pk: ("none", {"id": "none", "pk": pk}), {}), 404),
    "missing delete": (("delete", lambda _: ("none",), {}), 404),
    "missing read": (("read", lambda _: ("none",), {}), 404),
    "foreign key": (("create", lambda _: ({"id": "f", "pk": "other"},), {}), 400),
    "illegal id": (("create", lambda pk: ({"id": "a/b", "pk": pk},), {}), 400),
    "long id": (("create", lambda pk: ({"id": "x" * 1024, "pk": pk},), {}), 400),
    "no id": (("create", lambda pk: ({"pk": pk},), {}), 400),
    "ttl": (("upsert", lambda pk: ({"id": "f", "pk": pk, "ttl": 0},), {}), 400),
    "other id": (("replace", lambda pk: ("old", {"id": "new", "pk": pk}), {}), 400),
}


@pytest.mark.parametrize("case", GUILTY)
async def test_one_failing_operation_fails_all(container, pk, case):
    """The guilty operation has its status, all others 424, and nothing is written."""
    (kind, arguments, options), status = GUILTY[case]
    await container.create_item({"id": "old", "pk": pk})
    operations = [
        ("create", ({"id": "n0", "pk": pk},)),
        (kind, arguments(pk), dict(options)),
        ("create", ({"id": "n1", "pk": pk},)),
    ]
    with pytest.raises(CosmosBatchOperationError) as caught:
        await container.execute_item_batch(operations, partition_key=pk)
    error = caught.value
    assert (error.status_code, error.error_index) == (status, 1)
    assert [entry["statusCode"] for entry in error.operation_responses] == [424, status, 424]
    assert float(error.headers["x-ms-request-charge"]) > 0
    assert await ids(container, pk) == ["old"]


async def test_limits(container, pk):
    """An empty batch and one of 101 operations are 400; one of 100 is taken."""
    creates = [("create", ({"id": f"i{n:03}", "pk": pk},)) for n in range(101)]
    for operations in ([], creates):
        with pytest.raises(CosmosHttpResponseError) as caught:
            await container.execute_item_batch(operations, partition_key=pk)
        assert caught.value.status_code == 400
    assert await ids(container, pk) == []
    await container.execute_item_batch(creates[:100], partition_key=pk)
    assert len(await ids(container, pk)) == 100


# The SDK hands bodies over 1 MB to aiohttp in one piece, which aiohttp warns of.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_batch_over_2_mb_is_413(container, pk):
    """Bytes as they are sent count: escaped text that is short in UTF-8 can be too much."""
    half = {"pk": pk, "t": "é" * 180_000}  # six bytes a letter as the SDK escapes it
    with pytest.raises(CosmosHttpResponseError) as caught:
        await container.execute_item_batch(
            [("create", ({"id": str(n), **half},)) for n in range(2)], partition_key=pk
        )
    assert caught.value.status_code == 413
    assert await ids(container, pk) == []


async def test_nan_in_a_batch_is_400(container, pk):
    """The SDK sends NaN as it is; the whole batch is refused, for it is no JSON."""
    with pytest.raises(CosmosHttpResponseError) as caught:
        await container.execute_item_batch(
            [("create", ({"id": "a", "pk": pk, "v": float("nan")},))], partition_key=pk
        )
    assert caught.value.status_code == 400


async def test_deep_nesting_is_400_at_its_index(container, pk):
    """Beyond 128 levels the operation is the guilty one; many shallow brackets in a batch are no harm."""
    deep = json.loads("[" * 128 + "]" * 128)
    flat = [[] for _ in range(300)]
    with pytest.raises(CosmosBatchOperationError) as caught:
        await container.execute_item_batch(
            [
                ("create", ({"id": "a", "pk": pk, "v": flat},)),
                ("create", ({"id": "b", "pk": pk, "v": deep},)),
            ],
            partition_key=pk,
        )
    assert (caught.value.status_code, caught.value.error_index) == (400, 1)
    await container.execute_item_batch([("create", ({"id": "a", "pk": pk, "v": flat},))], partition_key=pk)


async def test_deleted_and_created_in_one_batch(container, pk):
    """An item that a batch deletes and creates again is there once, for reads and queries."""
    await container.create_item({"id": "a", "pk": pk, "n": 1})
    await container.execute_item_batch(
        [("delete", ("a",)), ("create", ({"id": "a", "pk": pk, "n": 2},))], partition_key=pk
    )
    found = [x["n"] async for x in container.query_items("SELECT * FROM c", partition_key=pk)]
    assert (found, (await container.read_item("a", pk))["n"]) == ([2], 2)


def test_bulk_of_other_sdks_runs_each_operation_by_itself(stand_in, pk):
    """Without the atomic flag each operation has its own key and its own outcome."""
    operations = [
        {"operationType": "Create", "partitionKey": json.dumps([key]), "resourceBody": {"id": "a", "pk": key}}
        for key in (pk, f"{pk}-2", pk)
    ]
    status, _, body = stand_in.http(
        "POST",
        DOCS,
        json.dumps(operations).encode(),
        {
            "x-ms-cosmos-is-batch-request": "true",
            "x-ms-cosmos-batch-atomic": "false",
            "x-ms-cosmos-batch-continue-on-error": "true",
            "x-ms-documentdb-partitionkeyrangeid": "0",
        },
    )
    assert (status, [entry["statusCode"] for entry in json.loads(body)]) == (207, [201, 201, 409])


def step(kind):
    """Build operations of one kind over a few ids, so that they collide."""
    return st.tuples(st.just(kind), st.sampled_from("abc"), st.integers(0, 9), st.booleans())


BATCHES = st.lists(
    st.lists(
        st.one_of(step("create"), step("upsert"), step("replace"), step("delete"), step("read")),
        min_size=1,
        max_size=6,
    ),
    min_size=1,
    max_size=8,
)


def run_model(state, batch):
    """Return the statuses of a batch and the state after it, by the rules alone.

    Args:
        state: id → (value, version).
        batch: (kind, id, value, with a stale condition).
    """
    after, statuses = dict(state), []
    for position, (kind, item_id, value, stale) in enumerate(batch):
        exists = item_id in after
        if kind == "create":
            status = 409 if exists else 201
        elif kind == "upsert":
            status = (412 if stale else 200) if exists else 201
        elif not exists:
            status = 404
        elif kind == "read":
            status = 200
        else:
            status = 412 if stale else (204 if kind == "delete" else 200)
        if status >= 400:
            failed = [424] * len(batch)
            failed[position] = status
            return failed, state
        statuses.append(status)
        if kind == "delete":
            del after[item_id]
        elif kind != "read":
            after[item_id] = value
    return statuses, after


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES, number=st.integers(0, 2**63))
def test_batches_are_all_or_nothing(stand_in, pk, batches, number):
    """Random batches over few ids give the statuses and the state of a simple model, after each batch."""
    import asyncio

    key = f"{pk}-{number}"

    async def check():
        async with CosmosClient(stand_in.url, KEY) as client:
            container = client.get_database_client("everscore").get_container_client("events")
            state = {}
            for item_id in [
                x async for x in container.query_items("SELECT VALUE c.id FROM c", partition_key=key)
            ]:
                await container.delete_item(item_id, key)
            for batch in batches:
                expected, state = run_model(state, batch)
                operations = []
                for kind, item_id, value, stale in batch:
                    body = {"id": item_id, "pk": key, "v": value}
                    options = {"if_match_etag": '"stale"'} if stale and kind != "read" else {}
                    arguments = {"replace": (item_id, body), "read": (item_id,), "delete": (item_id,)}
                    operations.append((kind, arguments.get(kind, (body,)), options))
                try:
                    results = await container.execute_item_batch(operations, partition_key=key)
                except CosmosBatchOperationError as error:
                    results = error.operation_responses
                assert [entry["statusCode"] for entry in results] == expected
                found = {
                    x["id"]: x["v"] async for x in container.query_items("SELECT * FROM c", partition_key=key)
                }
                assert found == state

    asyncio.run(check())
