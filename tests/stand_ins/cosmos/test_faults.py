"""Faults set through the control port."""

import asyncio
import json

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import DecodeError, ServiceRequestError, ServiceResponseError
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import (
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceNotFoundError,
)

from .conftest import KEY


@pytest.fixture
async def bare(stand_in):
    """The container through a client that does not repeat anything, so that each fault is seen."""
    stand_in.control("DELETE", "/faults")
    async with CosmosClient(
        stand_in.url, KEY, retry_throttle_total=1, retry_throttle_backoff_max=0, retry_connect=0, retry_read=0
    ) as client:
        container = client.get_database_client("everscore").get_container_client("events")
        await container.read()
        yield container
    stand_in.control("DELETE", "/faults")


def batch(pk, *ids):
    """Return a batch of creates."""
    return [("create", ({"id": item_id, "pk": pk},)) for item_id in ids]


async def ids(container, pk):
    """Return the ids under a partition key."""
    return sorted([x async for x in container.query_items("SELECT VALUE c.id FROM c", partition_key=pk)])


@pytest.mark.parametrize(
    ("status", "substatus"),
    [
        (400, 0),
        (401, 0),
        (403, 5301),
        (403, 1014),
        (404, 1003),
        (408, 0),
        (413, 0),
        (429, 3200),
        (449, 0),
        (500, 0),
    ],
)
async def test_a_status_is_answered_and_nothing_written(stand_in, bare, pk, status, substatus):
    """Each status and sub-status reaches the client as the service would send it; the write is not made."""
    action = {"status": status, "substatus": substatus, "message": "by order"}
    stand_in.control("POST", "/faults", {"match": {"operation": "batch", "pk": pk}, "action": action})
    with pytest.raises(CosmosHttpResponseError) as caught:
        await bare.execute_item_batch(batch(pk, "a"), partition_key=pk)
    assert (caught.value.status_code, caught.value.sub_status or 0) == (status, substatus)
    assert "by order" in caught.value.message
    assert await ids(bare, pk) == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((403, 0), "This is blocked by your Cosmos DB account firewall settings."),
        ((403, 1014), "Partition key reached maximum size"),
        ((403, 5301), "does not have required RBAC permissions"),
        ((404, 1002), "The read session is not available for the input session token."),
        ((404, 1003), "Owner resource does not exist"),
    ],
)
async def test_hole_23_hole_24_a_fault_speaks_as_the_service_does(stand_in, bare, pk, answer, says):
    """Holes 23 and 24: without a message of its own a fault has the service's sentence for its sub-status."""
    action = dict(zip(("status", "substatus"), answer, strict=True))
    stand_in.control("POST", "/faults", {"match": {"operation": "batch", "pk": pk}, "action": action})
    with pytest.raises(CosmosHttpResponseError) as caught:
        await bare.execute_item_batch(batch(pk, "a"), partition_key=pk)
    assert (caught.value.status_code, caught.value.sub_status or 0) == answer
    assert says in caught.value.message


async def test_hole_40_conditions_of_a_batch_can_be_ignored(stand_in, bare, pk):
    """Hole 40: with ignoreIfMatch a batch overwrites what has changed, as the official emulator does.

    A single operation keeps its condition, and without the rule the batch does too.
    """
    old = await bare.create_item({"id": "a", "pk": pk, "n": 1})
    await bare.replace_item("a", {"id": "a", "pk": pk, "n": 2})
    stale = [("replace", ("a", {"id": "a", "pk": pk, "n": 3}), {"if_match_etag": old["_etag"]})]
    stand_in.control("POST", "/faults", {"match": {"pk": pk}, "action": {"ignoreIfMatch": True}})
    with pytest.raises(CosmosHttpResponseError) as caught:
        await bare.replace_item(
            "a", {"id": "a", "pk": pk}, etag=old["_etag"], match_condition=MatchConditions.IfNotModified
        )
    assert caught.value.status_code == 412
    await bare.execute_item_batch(stale, partition_key=pk)
    assert (await bare.read_item("a", pk))["n"] == 3
    stand_in.control("DELETE", "/faults")
    stale = [("replace", ("a", {"id": "a", "pk": pk, "n": 4}), {"if_match_etag": old["_etag"]})]
    with pytest.raises(CosmosBatchOperationError) as refused:
        await bare.execute_item_batch(stale, partition_key=pk)
    assert refused.value.status_code == 412
    assert (await bare.read_item("a", pk))["n"] == 3


async def test_after_the_commit(stand_in, bare, pk):
    """With afterCommit the client sees 408 and the write is there all the same."""
    fault = {
        "match": {"operation": "write", "pk": pk},
        "action": {"status": 408, "afterCommit": True},
        "count": 1,
    }
    stand_in.control("POST", "/faults", fault)
    with pytest.raises(CosmosHttpResponseError) as caught:
        await bare.execute_item_batch(batch(pk, "a", "b"), partition_key=pk)
    assert caught.value.status_code == 408
    assert await ids(bare, pk) == ["a", "b"]
    with pytest.raises(CosmosBatchOperationError):
        await bare.execute_item_batch(batch(pk, "a", "b"), partition_key=pk)


async def test_within_a_207(stand_in, bare, pk):
    """A status at an index of the batch, by number or by the item's id, with 424 for the others."""
    stand_in.control(
        "POST",
        "/faults",
        [
            {
                "match": {"pk": pk},
                "action": {"status": 429, "substatus": 3200, "inBatchIndex": 1, "retryAfterMs": 250},
                "count": 1,
            },
            {"match": {"pk": pk, "id": "c"}, "action": {"status": 413, "inBatchIndex": "id"}, "count": 1},
        ],
    )
    with pytest.raises(CosmosBatchOperationError) as caught:
        await bare.execute_item_batch(batch(pk, "a", "b", "c"), partition_key=pk)
    assert (caught.value.status_code, caught.value.error_index) == (429, 1)
    assert caught.value.operation_responses[1]["retryAfterMilliseconds"] == 250
    assert caught.value.operation_responses[1]["subStatusCode"] == 3200
    with pytest.raises(CosmosBatchOperationError) as caught:
        await bare.execute_item_batch(batch(pk, "a", "b", "c"), partition_key=pk)
    assert (caught.value.status_code, caught.value.error_index) == (413, 2)
    assert await ids(bare, pk) == []
    await bare.execute_item_batch(batch(pk, "a", "b", "c"), partition_key=pk)


@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_reset_in_mid_response(stand_in, bare, pk, after_commit):
    """The connection breaks within the answer; whether the write was made is as ordered."""
    action = {"reset": True, "afterCommit": after_commit}
    if not after_commit:
        action["status"] = 503
    stand_in.control("POST", "/faults", {"match": {"pk": pk, "operation": "batch"}, "action": action})
    with pytest.raises((ServiceRequestError, ServiceResponseError, DecodeError)):
        await bare.execute_item_batch(batch(pk, "a"), partition_key=pk)
    assert await ids(bare, pk) == (["a"] if after_commit else [])


@pytest.mark.parametrize("place", [{}, {"delayInBody": True}])
async def test_an_answer_later_than_the_client_waits(stand_in, bare, pk, place):
    """An answer, or its second half, that comes after the time-out: the client gives up, the write is there."""
    action = {"delaySeconds": 20, "afterCommit": True, **place}
    stand_in.control("POST", "/faults", {"match": {"pk": pk, "operation": "batch"}, "action": action})
    with pytest.raises((ServiceRequestError, ServiceResponseError, DecodeError)):
        await bare.execute_item_batch(batch(pk, "a"), partition_key=pk, read_timeout=1)
    stand_in.control("DELETE", "/faults")
    assert await ids(bare, pk) == ["a"]


async def test_a_short_delay_is_followed_by_the_true_answer(stand_in, bare, pk):
    """A delay alone changes nothing but the time."""
    stand_in.control("POST", "/faults", {"match": {"pk": pk}, "action": {"delaySeconds": 0.2}, "count": 1})
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await bare.create_item({"id": "a", "pk": pk})
    assert loop.time() - begin >= 0.2


async def test_a_write_that_is_held_up_comes_after_later_ones(stand_in, bare, pk):
    """A request delayed before its commit is carried out late, after one that was sent later."""
    rule = {"match": {"pk": pk}, "action": {"delaySeconds": 3}, "count": 1}
    stand_in.control("POST", "/faults", rule)
    late = asyncio.create_task(bare.upsert_item({"id": "a", "pk": pk, "n": 1}))
    while not stand_in.control("GET", "/faults")["rules"][0]["acted"]:
        await asyncio.sleep(0)
    await bare.upsert_item({"id": "a", "pk": pk, "n": 2})
    await late
    assert (await bare.read_item("a", pk))["n"] == 1


@pytest.mark.parametrize("body", ["html", "text", "empty"])
async def test_bodies_that_are_no_json(stand_in, bare, pk, body):
    """A proxy's page, plain text or nothing instead of the service's body; the status still arrives."""
    stand_in.control("POST", "/faults", {"match": {"pk": pk}, "action": {"status": 502, "body": body}})
    with pytest.raises(CosmosHttpResponseError) as caught:
        await bare.execute_item_batch(batch(pk, "a"), partition_key=pk)
    assert caught.value.status_code == 502
    _, _, raw = stand_in.http(
        "GET",
        "/dbs/everscore/colls/events/docs/a",
        headers={"x-ms-documentdb-partitionkey": json.dumps([pk])},
    )
    with pytest.raises(json.JSONDecodeError):
        json.loads(raw)


async def outcomes(bare, pk, number):
    """Return, for each of a number of reads, whether it met a fault."""
    met = []
    for _ in range(number):
        try:
            await bare.read_item("none", pk)
        except CosmosResourceNotFoundError:
            met.append(False)
        except CosmosHttpResponseError:
            met.append(True)
    return met


async def test_which_requests_are_met(stand_in, bare, pk):
    """By turn, by every n-th, by count, by operation and by a chance that a seed repeats."""

    async def met(match, **more):
        stand_in.control("DELETE", "/faults")
        rule = {"match": {"operation": "read", "pk": pk, **match}, "action": {"status": 400}, **more}
        stand_in.control("POST", "/faults", rule)
        return await outcomes(bare, pk, 12)

    assert [i for i, hit in enumerate(await met({"nth": [2, 5]}), 1) if hit] == [2, 5]
    assert [i for i, hit in enumerate(await met({"every": 4}), 1) if hit] == [4, 8, 12]
    assert await met({}, count=3) == [True] * 3 + [False] * 9
    assert not any(await met({}, seconds=0))
    assert not any(await met({"operation": ["query", "create"]}))
    assert not any(await met({"pk": "another"}))
    chance = await met({"probability": 0.5, "seed": 3})
    assert 0 < sum(chance) < 12
    assert await met({"probability": 0.5, "seed": 3}) == chance
    assert await met({"probability": 0.5, "seed": 4}) != chance


async def test_the_account_and_metadata_can_fail_too(stand_in, pk):
    """The account read and the container read are operations that a rule can name."""
    stand_in.control(
        "POST", "/faults", {"match": {"operation": "account"}, "action": {"status": 503}, "count": 1}
    )
    assert stand_in.http("GET", "/")[0] == 503
    assert stand_in.http("GET", "/")[0] == 200
    stand_in.control(
        "POST", "/faults", {"match": {"operation": "metadata"}, "action": {"status": 404}, "count": 1}
    )
    assert stand_in.http("GET", "/dbs/everscore/colls/events")[0] == 404
    assert stand_in.http("GET", "/dbs/everscore/colls/events")[0] == 200


def test_rules_are_listed_with_what_they_did_and_removed(stand_in):
    """GET shows each rule and its counters; DELETE empties the list."""
    stand_in.control("DELETE", "/faults")
    stand_in.control(
        "POST", "/faults", [{"match": {"operation": "account"}, "action": {"status": 500}, "count": 2}]
    )
    stand_in.http("GET", "/")
    [rule] = stand_in.control("GET", "/faults")["rules"]
    assert (rule["action"]["status"], rule["matched"], rule["acted"], rule["over"]) == (500, 1, 1, False)
    assert stand_in.control("DELETE", "/faults") == {"rules": []}
    assert stand_in.http("GET", "/")[0] == 200


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"action": {"status": "x"}},
        {"action": {"status": 500, "unknown": 1}},
        {"action": {"status": 500}, "match": {"operation": "drop"}},
        {"action": {"status": 500, "inBatchIndex": "id"}},
        {"action": {"inBatchIndex": 0}},
        {"action": {}, "match": {"every": 0}},
    ],
)
def test_wrong_rules_are_refused(stand_in, rule):
    """A rule with a mistake is 400 with a sentence, and is not set."""
    stand_in.control("DELETE", "/faults")
    status, answer = stand_in.control_raw("POST", "/faults", rule)
    assert status == 400
    assert answer["error"]
    assert stand_in.control("GET", "/faults") == {"rules": []}


def test_the_control_port_serves_this_machine_only(stand_in):
    """A request that names another host, as a web page's would, is refused; so is what does not exist."""
    assert stand_in.control_raw("GET", "/state", host=f"evil.example:{stand_in.control_port}")[0] == 403
    assert stand_in.control_raw("GET", "/state", host=f"localhost:{stand_in.control_port}")[0] == 200
    assert stand_in.control_raw("GET", "/nothing")[0] == 404
