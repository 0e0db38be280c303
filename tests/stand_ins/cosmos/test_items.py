"""Single items: create, upsert, replace, read, delete, patch, and the service's rules for them."""

import json

import pytest
from azure.core import MatchConditions
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

DOCS = "/dbs/everscore/colls/events/docs"


def post(stand_in, pk, body, **headers):
    """Create an item with a body of one's own; return status and decoded answer."""
    key = {"x-ms-documentdb-partitionkey": json.dumps([pk]), "content-type": "application/json"}
    status, _, answer = stand_in.http("POST", DOCS, body, {**key, **headers})
    return status, json.loads(answer)


async def test_create_read_replace_delete(container, pk):
    """An item goes through its life, keeps its _rid and changes its _etag with each write."""
    created = await container.create_item({"id": "a", "pk": pk, "n": 1})
    assert {"_rid", "_self", "_etag", "_ts", "_attachments"} <= set(created)
    with pytest.raises(CosmosResourceExistsError):
        await container.create_item({"id": "a", "pk": pk})
    replaced = await container.replace_item("a", {"id": "a", "pk": pk, "n": 2})
    assert replaced["_rid"] == created["_rid"]
    assert replaced["_etag"] != created["_etag"]
    assert dict(await container.read_item("a", pk)) == dict(replaced)
    upserted = await container.upsert_item({"id": "a", "pk": pk, "n": 3})
    assert upserted["n"] == 3
    await container.delete_item("a", pk)
    for call in (
        container.read_item("a", pk),
        container.delete_item("a", pk),
        container.replace_item("a", {"id": "a", "pk": pk}),
    ):
        with pytest.raises(CosmosResourceNotFoundError):
            await call


async def test_conditions(container, pk):
    """If-Match with a stale tag gives 412 on replace, upsert and delete; with the present one it goes through."""
    first = await container.create_item({"id": "a", "pk": pk})
    second = await container.replace_item(
        "a", {"id": "a", "pk": pk}, etag=first["_etag"], match_condition=MatchConditions.IfNotModified
    )
    stale = {"etag": first["_etag"], "match_condition": MatchConditions.IfNotModified}
    for call in (
        container.replace_item("a", {"id": "a", "pk": pk}, **stale),
        container.upsert_item({"id": "a", "pk": pk}, **stale),
        container.delete_item("a", pk, **stale),
    ):
        with pytest.raises(CosmosAccessConditionFailedError):
            await call
    await container.delete_item("a", pk, etag=second["_etag"], match_condition=MatchConditions.IfNotModified)


async def test_no_response_leaves_the_body_out(container, pk):
    """With Prefer: return=minimal a write is answered without the item."""
    created = await container.create_item({"id": "a", "pk": pk}, no_response=True)
    assert dict(created) == {}
    assert (await container.read_item("a", pk))["id"] == "a"


async def test_charges_are_plausible(container, pk):
    """Reads of 1 KB cost 1 RU, writes about 5, larger items more, replaces more than creates."""

    def charge(answer):
        return float(answer.get_response_headers()["x-ms-request-charge"])

    small = charge(await container.create_item({"id": "small", "pk": pk, "t": "x" * 500}))
    large = charge(await container.create_item({"id": "large", "pk": pk, "t": "x" * 100_000}))
    read = charge(await container.read_item("small", pk))
    replaced = charge(await container.upsert_item({"id": "small", "pk": pk, "t": "x" * 500}))
    assert read == 1
    assert 5 <= small <= 7
    assert small < replaced < 3 * small
    assert 40 <= large <= 80


async def test_patch(container, pk):
    """Partial updates change what they name and are refused where the path is not there."""
    await container.create_item({"id": "a", "pk": pk, "n": 1, "list": [1, 2], "old": "x"})
    patched = await container.patch_item(
        "a",
        pk,
        [
            {"op": "incr", "path": "/n", "value": 2},
            {"op": "add", "path": "/list/0", "value": 0},
            {"op": "set", "path": "/new", "value": {"b": 1}},
            {"op": "replace", "path": "/new/b", "value": 2},
            {"op": "move", "from": "/old", "path": "/moved"},
            {"op": "remove", "path": "/list/2"},
        ],
    )
    kept = {name: patched[name] for name in ("n", "list", "new", "moved")}
    assert kept == {"n": 3, "list": [0, 1], "new": {"b": 2}, "moved": "x"}
    assert "old" not in patched
    with pytest.raises(CosmosHttpResponseError) as caught:
        await container.patch_item("a", pk, [{"op": "replace", "path": "/none", "value": 1}])
    assert caught.value.status_code == 400
    with pytest.raises(CosmosHttpResponseError) as caught:
        await container.patch_item(
            "a", pk, [{"op": "set", "path": "/n", "value": 1}], filter_predicate="from c"
        )
    assert "filter_predicate" in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "a", "pk": "PK", "v": NaN}',
        b'{"id": "a", "pk": "PK", "v": -Infinity}',
        b'{"id": "a", "pk": "PK", "v": 1e999}',
        b'{"id": "a", "pk": "PK", "v": [-1' + b"0" * 400 + b"]}",
        b'{"id": "a", "pk": 1' + b"0" * 400 + b"}",
        b'{"id": "a", "pk": "PK"',
        b'{"id": "a", "pk": "PK", "v": "\xff"}',
        b"",
        b"[" * 100_000,
        b'{"id": 7, "pk": "PK"}',
        b'{"id": "", "pk": "PK"}',
        b'{"id": null, "pk": "PK"}',
        b'{"pk": "PK"}',
        b'{"id": "a/b", "pk": "PK"}',
        b'{"id": "a\\\\b", "pk": "PK"}',
        b'{"id": "a?b", "pk": "PK"}',
        b'{"id": "a#b", "pk": "PK"}',
        b'{"id": "' + b"x" * 1024 + b'", "pk": "PK"}',
        b'{"id": "' + "é".encode() * 512 + b'", "pk": "PK"}',
        b'{"id": "a", "pk": "PK", "ttl": null}',
        b'{"id": "a", "pk": "PK", "ttl": 0}',
        b'{"id": "a", "pk": "PK", "ttl": -2}',
        b'{"id": "a", "pk": "PK", "ttl": 2147483648}',
        b'{"id": "a", "pk": "PK", "ttl": "60"}',
        b'{"id": "a", "pk": "PK", "v": ' + b"[" * 128 + b"]" * 128 + b"}",
        b'{"id": "a", "pk": "another"}',
        b'{"id": "a"}',
    ],
)
def test_what_the_service_refuses_with_400(stand_in, pk, body):
    """Broken JSON, wrong ids, ttl, nesting and keys are 400 with the service's body, never 500."""
    status, answer = post(stand_in, pk, body.replace(b"PK", pk.encode()))
    assert status == 400
    assert answer["code"] == "BadRequest"
    assert answer["message"]


async def test_what_is_just_within_the_limits(stand_in, container, pk):
    """An id of 1,023 bytes, 128 levels, a ttl of -1 and the longest, and a key of 2,048 bytes are taken."""
    for body in (
        b'{"id": "' + b"x" * 1023 + b'", "pk": "PK"}',
        b'{"id": "deep", "pk": "PK", "v": ' + b"[" * 127 + b"]" * 127 + b"}",
        b'{"id": "t1", "pk": "PK", "ttl": -1}',
        b'{"id": "t2", "pk": "PK", "ttl": 2147483647}',
    ):
        assert post(stand_in, pk, body.replace(b"PK", pk.encode()))[0] == 201
    await container.create_item({"id": "a", "pk": "k" * 2048})
    assert (await container.read_item("a", "k" * 2048))["id"] == "a"
    with pytest.raises(CosmosHttpResponseError) as caught:
        await container.create_item({"id": "a", "pk": "k" * 2049})
    assert caught.value.status_code == 400


# The SDK hands bodies over 1 MB to aiohttp in one piece, which aiohttp warns of.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_items_over_2_mb_are_413(container, pk):
    """An item just below 2 MB is taken, one above is refused."""
    await container.create_item({"id": "a", "pk": pk, "t": "x" * (2 * 1024 * 1024 - 200)})
    with pytest.raises(CosmosHttpResponseError) as caught:
        await container.create_item({"id": "b", "pk": pk, "t": "x" * (2 * 1024 * 1024)})
    assert caught.value.status_code == 413


async def test_ids_and_keys_of_any_script_are_found_again(container, pk):
    """Ids with spaces, quotes, percent signs and emoji come back by read and by query."""
    for item_id in ("a b", 'quote"', "50%", "UA|2013~2f", "zażółć", "✈️", "a+b", "a=b&c"):
        key = f"{pk} {item_id} ✈️"
        await container.create_item({"id": item_id, "pk": key})
        assert (await container.read_item(item_id, key))["id"] == item_id
        assert [x["id"] async for x in container.query_items("SELECT * FROM c", partition_key=key)] == [
            item_id
        ]
        await container.delete_item(item_id, key)


@pytest.mark.parametrize("key", [7, 7.5, True, None])
async def test_keys_that_are_no_text(container, key):
    """Numbers, booleans and null are partition keys of their own."""
    await container.upsert_item({"id": "typed", "pk": key})
    assert (await container.read_item("typed", key))["pk"] == key
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item("typed", str(key))


async def test_numbers_are_doubles(container, pk):
    """Integers beyond 2**53 come back rounded, as from the service; text that looks like them stays."""
    await container.create_item({"id": "a", "pk": pk, "n": 2**53 + 1, "big": 10**30, "t": "9007199254740993"})
    read = await container.read_item("a", pk)
    assert (read["n"], read["big"], read["t"]) == (2**53, 1e30, "9007199254740993")


async def test_system_properties_are_the_services_own(container, pk):
    """What a client puts into _ts, _etag and _rid is not kept."""
    created = await container.create_item({"id": "a", "pk": pk, "_ts": 1, "_etag": "mine", "_rid": "mine"})
    assert created["_ts"] > 1
    assert "mine" not in (created["_etag"], created["_rid"])
    assert dict(await container.read_item("a", pk)) == dict(created)


async def test_an_expired_item_is_gone(stand_in):
    """Where the container has a default time to live, an expired item is in no read and no query."""
    from azure.cosmos import PartitionKey
    from azure.cosmos.aio import CosmosClient

    from .conftest import KEY

    async with CosmosClient(stand_in.url, KEY) as client:
        database = client.get_database_client("everscore")
        container = await database.create_container("expiring", PartitionKey("/pk"), default_ttl=-1)
        await container.create_item({"id": "short", "pk": "p", "ttl": 1})
        await container.create_item({"id": "long", "pk": "p"})
        while [x async for x in container.query_items("SELECT VALUE c.id FROM c", partition_key="p")] != [
            "long"
        ]:
            pass
        with pytest.raises(CosmosResourceNotFoundError):
            await container.read_item("short", "p")
        await container.create_item({"id": "short", "pk": "p"})
        assert [x async for x in container.query_items("SELECT VALUE COUNT(1) FROM c")] == [2]
