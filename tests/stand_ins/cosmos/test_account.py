"""The account: signature, metadata, databases and containers."""

import json
import urllib.request

import pytest
from azure.core import MatchConditions
from azure.cosmos import CosmosClient as SyncClient
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import (
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from .conftest import KEY


def test_metadata_names_the_address_that_the_client_used(stand_in):
    """An SDK that follows the locations in the metadata comes back to the stand-in, by whatever name it asked."""
    for host in ("127.0.0.1", "localhost"):
        _, _, body = stand_in.http("GET", "/", headers={"host": f"{host}:{stand_in.port}"})
        account = json.loads(body)
        for kind in ("writableLocations", "readableLocations"):
            assert [place["databaseAccountEndpoint"] for place in account[kind]] == [
                f"http://{host}:{stand_in.port}/"
            ]


async def test_hole_26_metadata_can_name_another_address(start, tmp_path):
    """Hole 26: with --endpoint the metadata names that address, and an SDK that follows it writes there."""
    there = start(data=tmp_path / "there")
    here = start("--endpoint", there.url, data=tmp_path / "here")
    account = json.loads(here.http("GET", "/")[2])
    for kind in ("writableLocations", "readableLocations"):
        assert [place["databaseAccountEndpoint"] for place in account[kind]] == [there.url]
    async with CosmosClient(here.url, KEY) as client:
        await (
            client.get_database_client("everscore")
            .get_container_client("events")
            .create_item({"id": "a", "pk": "p"})
        )
    assert [one.control("GET", "/state")["documents"] for one in (here, there)] == [0, 1]


def test_requests_without_the_right_key_are_refused(stand_in):
    """No signature, one with another key, one for another date and another token type all give 401."""
    wrong = "A" * 86 + "=="
    assert stand_in.http("GET", "/dbs", key=wrong)[0] == 401
    assert stand_in.http("GET", "/dbs", headers={"authorization": ""})[0] == 401
    assert (
        stand_in.http("GET", "/dbs", headers={"authorization": "type%3Daad%26ver%3D1.0%26sig%3Dx"})[0] == 401
    )
    status, _, body = stand_in.http("GET", "/dbs/everscore", key=wrong)
    assert (status, json.loads(body)["code"]) == (401, "Unauthorized")
    assert stand_in.http("GET", "/dbs")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "type%3Dmaster%26ver%3D1.0%26sig%3D%C3%A9"},
        {"x-ms-documentdb-partitionkey": "not json"},
        {"x-ms-documentdb-partitionkey": "[[1]]"},
        {"x-ms-documentdb-partitionkey": "\xff"},
        {"x-ms-documentdb-query-enablecrosspartition": "true", "x-ms-continuation": "\xff"},
        {"x-ms-documentdb-query-enablecrosspartition": "true", "x-ms-continuation": "token"},
        {"x-ms-documentdb-query-enablecrosspartition": "true", "x-ms-max-item-count": "many"},
        {"content-encoding": "gzip"},
    ],
)
def test_headers_that_make_no_sense_are_refused(stand_in, headers):
    """A broken header is the client's mistake, 400 or 401, never 500."""
    query = json.dumps({"query": "SELECT * FROM c"}).encode()
    sent = {"x-ms-documentdb-isquery": "true", "content-type": "application/query+json", **headers}
    assert stand_in.http("POST", "/dbs/everscore/colls/events/docs", query, sent)[0] in (400, 401)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"7",
        b"{}",
        b'{"id": "x", "partitionKey": 7}',
        b'{"id": "x", "partitionKey": {"paths": ["pk"]}}',
        b'{"id": "x", "indexingPolicy": 7}',
        b'{"id": "x", "uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/a"]}]}}',
    ],
)
def test_containers_that_make_no_sense_are_refused(stand_in, body):
    """A definition that the stand-in cannot keep to is 400."""
    assert stand_in.http("POST", "/dbs/everscore/colls", body)[0] == 400


async def test_async_client_connects_with_a_connection_string_alone(stand_in):
    """The asynchronous client needs nothing but the connection string."""
    text = f"AccountEndpoint={stand_in.url};AccountKey={KEY};"
    async with CosmosClient.from_connection_string(text) as client:
        names = [database["id"] async for database in client.list_databases()]
    assert "everscore" in names


def test_sync_client_writes_reads_and_queries(stand_in, pk):
    """The synchronous client works as the asynchronous one does."""
    with SyncClient(stand_in.url, KEY) as client:
        container = client.get_database_client("everscore").get_container_client("events")
        created = container.create_item({"id": "a", "pk": pk, "n": 1})
        container.replace_item(
            "a",
            {"id": "a", "pk": pk, "n": 2},
            etag=created["_etag"],
            match_condition=MatchConditions.IfNotModified,
        )
        results = container.execute_item_batch([("upsert", ({"id": "b", "pk": pk},))], partition_key=pk)
        assert [entry["statusCode"] for entry in results] == [201]
        assert container.read_item("a", pk)["n"] == 2
        found = container.query_items(
            "SELECT VALUE c.id FROM c WHERE c.pk = @pk",
            parameters=[{"name": "@pk", "value": pk}],
            enable_cross_partition_query=True,
        )
        assert sorted(found) == ["a", "b"]


async def test_databases_and_containers_are_made_listed_changed_and_deleted(stand_in):
    """The life of a database and a container through the SDK, with the errors of the service on the way."""
    async with CosmosClient(stand_in.url, KEY) as client:
        database = await client.create_database_if_not_exists("life")
        with pytest.raises(CosmosResourceExistsError):
            await client.create_database("life")
        container = await database.create_container("one", PartitionKey("/a/b"), default_ttl=60)
        with pytest.raises(CosmosResourceExistsError):
            await database.create_container("one", PartitionKey("/a/b"))
        read = await container.read()
        assert read["partitionKey"]["paths"] == ["/a/b"]
        assert read["defaultTtl"] == 60
        await container.create_item({"id": "x", "a": {"b": 7}})
        assert (await container.read_item("x", 7))["a"] == {"b": 7}
        await database.replace_container("one", PartitionKey("/a/b"), default_ttl=120)
        assert (await container.read())["defaultTtl"] == 120
        assert (await container.read_item("x", 7))["id"] == "x"
        assert [c["id"] async for c in database.list_containers()] == ["one"]
        await database.delete_container("one")
        with pytest.raises(CosmosResourceNotFoundError):
            await container.read()
        await client.delete_database("life")
        with pytest.raises(CosmosResourceNotFoundError):
            await database.read()


async def test_a_container_made_anew_is_noticed_by_the_client(stand_in):
    """A client that still knows the old container is told so (400/1024), reads it again and goes on."""
    async with CosmosClient(stand_in.url, KEY) as client, CosmosClient(stand_in.url, KEY) as other:
        database = await client.create_database("anew")
        container = await database.create_container("c", PartitionKey("/pk"))
        await container.create_item({"id": "1", "pk": "p"})
        theirs = other.get_database_client("anew")
        await theirs.delete_container("c")
        await theirs.create_container("c", PartitionKey("/pk"))
        await container.create_item({"id": "1", "pk": "p"})
        await client.delete_database("anew")


async def test_a_missing_container_is_404(stand_in):
    """Operations on a container that is not there give the SDK's not-found error, for requests within it 1003."""
    async with CosmosClient(stand_in.url, KEY) as client:
        container = client.get_database_client("everscore").get_container_client("nowhere")
        with pytest.raises(CosmosResourceNotFoundError):
            await container.upsert_item({"id": "a", "pk": "p"})
    _, headers, _ = stand_in.http("POST", "/dbs/everscore/colls/nowhere/docs", b"{}")
    assert headers["x-ms-substatus"] == "1003"


async def test_a_hierarchical_key_works(stand_in):
    """A container with two key paths takes and finds items by both values."""
    async with CosmosClient(stand_in.url, KEY) as client:
        database = await client.create_database_if_not_exists("deep")
        container = await database.create_container(
            "c", PartitionKey(["/carrier", "/date"], kind="MultiHash")
        )
        await container.create_item({"id": "1", "carrier": "UA", "date": "d1"})
        await container.execute_item_batch(
            [("create", ({"id": "1", "carrier": "UA", "date": "d2"},))], partition_key=["UA", "d2"]
        )
        assert (await container.read_item("1", ["UA", "d2"]))["date"] == "d2"
        with pytest.raises(CosmosHttpResponseError) as caught:
            await container.read_item("1", "UA")
        assert caught.value.status_code == 400
        await client.delete_database("deep")


def test_what_the_stand_in_has_not_is_said(stand_in):
    """Unknown resources and the change feed get a clear refusal instead of a wrong answer."""
    assert stand_in.http("GET", "/dbs/everscore/users")[0] == 404
    status, _, body = stand_in.http(
        "GET", "/dbs/everscore/colls/events/docs", headers={"a-im": "Incremental feed"}
    )
    assert status == 400
    assert "change feed" in json.loads(body)["message"]
    with pytest.raises(urllib.request.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(stand_in.url + "dbs", method="HEAD"))
    caught.value.close()
    assert caught.value.code == 401
