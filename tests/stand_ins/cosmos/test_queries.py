"""Queries through the SDKs: partitions, pages, order, and what the npm server's grammar lacks."""

import json
from collections import Counter

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

from .conftest import KEY

PARTITIONS = 40


@pytest.fixture(scope="module")
def filled(stand_in):
    """A container of 20,000 items in 40 partitions."""
    import asyncio

    async def fill():
        async with CosmosClient(stand_in.url, KEY) as client:
            database = client.get_database_client("everscore")
            container = await database.create_container("filled", PartitionKey("/pk"))
            for first in range(0, 20_000, 100):
                pk = f"p{first // 100 % PARTITIONS}"
                operations = [
                    ("create", ({"id": f"i{n}", "pk": pk, "at": f"{n * 7919 % 20_000:06}", "n": n % 7},))
                    for n in range(first, first + 100)
                ]
                await container.execute_item_batch(operations, partition_key=pk, no_response=True)

    asyncio.run(fill())
    return "filled"


@pytest.fixture
async def big(stand_in, filled):
    """The filled container through the asynchronous client."""
    async with CosmosClient(stand_in.url, KEY) as client:
        yield client.get_database_client("everscore").get_container_client(filled)


async def rows(container, query, **options):
    """Return all rows of a query."""
    return [row async for row in container.query_items(query, **options)]


async def test_all_ids_in_pages(big):
    """All of 20,000 items come in pages of 1,000, each once."""
    pages = [
        [row["id"] async for row in page]
        async for page in big.query_items("SELECT c.id, c.pk FROM c", max_item_count=1000).by_page()
    ]
    assert [len(page) for page in pages] == [1000] * 20
    assert {item_id for page in pages for item_id in page} == {f"i{n}" for n in range(20_000)}


async def test_a_reader_goes_on_with_a_token(big):
    """The continuation token of one page, given to another client call, continues after it."""
    first = big.query_items("SELECT VALUE c.id FROM c", partition_key="p1", max_item_count=100).by_page()
    seen = [row async for row in await anext(first)]
    rest = big.query_items("SELECT VALUE c.id FROM c", partition_key="p1", max_item_count=100)
    async for page in rest.by_page(first.continuation_token):
        seen += [row async for row in page]
    assert len(seen) == len(set(seen)) == 500


async def test_pages_show_the_state_at_the_first_page(big):
    """Deletes between two pages neither skip nor repeat what was there."""
    for n in range(10):
        await big.create_item({"id": f"s{n}", "pk": "snapshot"})
    pages = big.query_items("SELECT VALUE c.id FROM c", partition_key="snapshot", max_item_count=5).by_page()
    seen = [row async for row in await anext(pages)]
    for item_id in seen:
        await big.delete_item(item_id, "snapshot")
    async for page in pages:
        seen += [row async for row in page]
    assert sorted(seen) == [f"s{n}" for n in range(10)]
    for n in range(5, 10):
        await big.delete_item(f"s{n}", "snapshot")


async def test_latest_over_all_partitions(big):
    """ORDER BY with OFFSET and LIMIT, or TOP, sorts over all partitions."""
    expected = [f"{n:06}" for n in range(19_999, 19_989, -1)]
    offset = await rows(big, "SELECT * FROM c ORDER BY c.at DESC OFFSET 0 LIMIT 10")
    top = await rows(big, "SELECT TOP 10 VALUE c.at FROM c ORDER BY c.at DESC")
    limits = [{"name": "@o", "value": 10}, {"name": "@l", "value": 2}]
    later = await rows(
        big, "SELECT VALUE c.at FROM c ORDER BY c.at DESC OFFSET @o LIMIT @l", parameters=limits
    )
    assert [row["at"] for row in offset] == top == expected
    assert later == ["019989", "019988"]


async def test_counts_and_aggregates(big):
    """COUNT, SUM, MIN and MAX, over all items, one partition or a condition."""
    assert await rows(big, "SELECT VALUE COUNT(1) FROM c") == [20_000]
    assert await rows(big, "SELECT VALUE COUNT(1) FROM c", partition_key="p3") == [500]
    assert await rows(big, "SELECT VALUE COUNT(1) FROM c", partition_key="none") == [0]
    assert await rows(big, "SELECT VALUE COUNT(1) FROM c WHERE c.n = 6") == [20_000 // 7]
    assert await rows(big, "SELECT VALUE MAX(c.at) FROM c") == ["019999"]
    ats = [f"{n * 7919 % 20_000:06}" for n in range(20_000) if n // 100 % PARTITIONS == 3]
    assert await rows(big, "SELECT MIN(c.at) AS low, MAX(c.at) AS high FROM c", partition_key="p3") == [
        {"low": min(ats), "high": max(ats)}
    ]


async def test_groups_and_distinct(big):
    """GROUP BY in one partition and DISTINCT, which the npm server's grammar lacks, are answered."""
    groups = await rows(
        big, "SELECT c.n, COUNT(1) AS many, MAX(c.at) AS high FROM c GROUP BY c.n", partition_key="p3"
    )
    numbers = [n for n in range(20_000) if n // 100 % PARTITIONS == 3]
    assert {group["n"]: group["many"] for group in groups} == Counter(n % 7 for n in numbers)
    assert max(group["high"] for group in groups) == max(f"{n * 7919 % 20_000:06}" for n in numbers)
    assert sorted(await rows(big, "SELECT DISTINCT VALUE c.n FROM c")) == list(range(7))


@pytest.mark.parametrize(
    ("query", "features"),
    [
        ("SELECT c.n, COUNT(1) AS many FROM c GROUP BY c.n", "GroupBy NonValueAggregate"),
        ("SELECT DISTINCT c.n FROM c GROUP BY c.n", "GroupBy"),
        ("SELECT MIN(c.at) AS low, c.value FROM c", "NonValueAggregate"),
    ],
)
async def test_what_the_sdk_cannot_do_over_all_partitions_is_refused(big, query, features):
    """The Python SDK gets 400 for groups, and aggregates without VALUE, over all partitions, as it does in Azure."""
    with pytest.raises(CosmosHttpResponseError, match=f"does not support: {features}") as caught:
        await rows(big, query)
    assert caught.value.status_code == 400


async def test_words_in_texts_names_and_subqueries_group_nothing(big):
    """What only looks like GROUP BY or an aggregate of the whole query is answered over all partitions."""
    count = "(SELECT VALUE COUNT(1) FROM x IN c.list)"
    found = await rows(big, f"SELECT TOP 1 {count} AS n, 'GROUP BY' AS text, c['max ('] AS other FROM c")
    assert found[0]["text"] == "GROUP BY"


async def test_ids_in_one_partition(big):
    """IN and ARRAY_CONTAINS with a partition key find what is in that partition, and nothing of another."""
    wanted = ["i100", "i101", "i0"]
    listed = await rows(
        big, "SELECT VALUE c.id FROM c WHERE c.id IN ('i100', 'i101', 'i0')", partition_key="p1"
    )
    given = await rows(
        big,
        "SELECT VALUE c.id FROM c WHERE ARRAY_CONTAINS(@ids, c.id)",
        parameters=[{"name": "@ids", "value": wanted}],
        partition_key="p1",
    )
    assert sorted(listed) == sorted(given) == ["i100", "i101"]


async def test_read_items(big):
    """read_items finds items of many partitions and leaves out those that are missing."""
    wanted = [(f"i{n}", f"p{n // 100 % PARTITIONS}") for n in range(0, 4000, 200)]
    found = await big.read_items([*wanted, ("none", "p1")])
    assert [(row["id"], row["pk"]) for row in found] == wanted


async def test_read_all_items(big):
    """The feed of all items has each once."""
    assert len([row async for row in big.read_all_items()]) == 20_000


async def test_a_query_sees_the_writes_before_it(container, pk):
    """What was answered is found at once, changed and deleted items included."""
    for n in range(50):
        await container.upsert_item({"id": "a", "pk": pk, "n": n})
        assert await rows(container, "SELECT VALUE c.n FROM c", partition_key=pk) == [n]
    await container.delete_item("a", pk)
    assert await rows(container, "SELECT * FROM c", partition_key=pk) == []


async def test_a_wrong_query_is_400(container, pk):
    """A syntax error, an unknown function and a missing parameter are 400 with the reason."""
    await container.create_item({"id": "a", "pk": pk})
    for query in ("SELEC * FROM c", "SELECT NONE(c.id) FROM c", "SELECT * FROM c OFFSET @x LIMIT 1"):
        with pytest.raises(CosmosHttpResponseError) as caught:
            await rows(container, query)
        assert caught.value.status_code == 400


async def test_pages_hold_at_most_4_mb(container, pk):
    """A page ends before 4 MB, whatever number of items was asked for."""
    for n in range(6):
        await container.create_item({"id": str(n), "pk": pk, "t": "x" * 900_000})
    pages = [
        [row["id"] async for row in page]
        async for page in container.query_items("SELECT * FROM c", partition_key=pk).by_page()
    ]
    assert [len(page) for page in pages] == [4, 2]


def test_the_query_plan_leaves_all_to_the_server(stand_in):
    """SDKs that plan every query get one range and no rewriting, unless they say that they cannot carry it out."""
    status, _, body = stand_in.http(
        "POST",
        "/dbs/everscore/colls/events/docs",
        json.dumps({"query": "SELECT * FROM c ORDER BY c.x"}).encode(),
        {"x-ms-cosmos-is-query-plan-request": "True", "content-type": "application/json"},
    )
    plan = json.loads(body)
    assert status == 200
    assert plan["queryInfo"]["orderBy"] == []
    able = {"x-ms-cosmos-supported-query-features": "GroupBy, NonValueAggregate"}
    query = json.dumps({"query": "SELECT c.x, COUNT(1) AS n FROM c GROUP BY c.x"}).encode()
    headers = {"x-ms-cosmos-is-query-plan-request": "True", "content-type": "application/json"}
    path = "/dbs/everscore/colls/events/docs"
    assert stand_in.http("POST", path, query, {**headers, **able})[0] == 200
    assert stand_in.http("POST", path, query, headers)[0] == 400
    assert stand_in.http("POST", path, b"[]", headers)[0] == 400
    assert [(r["min"], r["max"]) for r in plan["queryRanges"]] == [("", "FF")]


def test_a_query_over_all_partitions_has_to_be_asked_for(stand_in):
    """Without a key and without the header that allows it, the query is refused as the service does."""
    query = json.dumps({"query": "SELECT * FROM c"}).encode()
    headers = {"content-type": "application/query+json", "x-ms-documentdb-isquery": "true"}
    status, _, body = stand_in.http("POST", "/dbs/everscore/colls/events/docs", query, headers)
    assert status == 400
    assert "enablecrosspartition" in json.loads(body)["message"]


async def test_sorting_by_what_is_not_indexed_is_refused(start):
    """ORDER BY on a path that the indexing policy excludes is 400 as in the service; what it includes, id and _ts sort."""
    running = start("--index", "/pk/?", "--index", "/scores/*")
    async with CosmosClient(running.url, KEY) as client:
        container = client.get_database_client("everscore").get_container_client("events")
        for n in (2, 1):
            await container.create_item(
                {"id": str(n), "pk": "a", "scores": {"m": {"value": n}}, "event": {"x": n}}
            )
        for path in ("c.scores.m['value']", "c['scores']['m']['value']", "c.id", "c._ts", "c.pk"):
            assert len(await rows(container, f"SELECT * FROM c ORDER BY {path}")) == 2
        assert await rows(
            container, "SELECT VALUE c.id FROM c WHERE c.event.x = 2 ORDER BY c.scores.m['value']"
        ) == ["2"]
        for path in ("c.event.x", "c.event", "c.pk.deeper"):
            with pytest.raises(CosmosHttpResponseError, match="order-by item is excluded") as caught:
                await rows(container, f"SELECT * FROM c ORDER BY {path}", partition_key="a")
            assert caught.value.status_code == 400
