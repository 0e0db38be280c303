"""The document store against the Cosmos DB stand-in: what it writes, and what each refusal becomes."""

from __future__ import annotations

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import azure.cosmos.aio
import pytest
from aiohttp import web
from azure.cosmos import CosmosClient, PartitionKey

from everscore.adapters import cosmos
from everscore.adapters.cosmos import CosmosStore
from everscore.adapters.credentials import Credentials
from everscore.clock.deadline import Deadline
from everscore.config.connections import Connection
from everscore.config.settings import load_settings
from everscore.event.event import Done
from everscore.failures import (
    Configuration,
    Conflict,
    Failure,
    PartitionTransient,
    Permanent,
    Throttled,
    Transient,
)
from everscore.ports import Document, Write, WriteRefusedError
from everscore.store.breaker import BreakingStore, State
from everscore.store.documents import READ
from everscore.store.writer import Writer
from everscore_cli.clients.store import documents
from everscore_local.endpoints import Names
from everscore_local.provision import provision_cosmos
from tests.fakes import event_of
from tests.support.answering import answering
from tests.support.services import Gateway, Services, cosmos_gateway, free_port

Make = Callable[..., CosmosStore]


@pytest.fixture
async def make(services: Services) -> AsyncIterator[Make]:
    """Makes stores on the test's own container; they are closed at its end."""
    async with AsyncExitStack() as stack:
        credentials = await stack.enter_async_context(Credentials())

        def factory(connection: str | None = None, **names: Any) -> CosmosStore:
            store = CosmosStore(
                Connection("COSMOS", connection_string=connection or services.gateway.connection_string),
                names.get("database", services.names.database),
                names.get("container", services.names.container),
                timeout=names.get("timeout", 30.0),
                credentials=credentials,
            )
            stack.push_async_callback(store.close)
            return store

        yield factory


@pytest.fixture
def pk() -> str:
    """A partition key of the test's own, with a character that headers do not hold as it is."""
    return f"é|{uuid.uuid4()}"


def document(pk: str, id_: str, **fields: Any) -> Document:
    """A document with that identity."""
    return {"id": id_, "pk": pk, "event": {"name": "Zürich 東京"}, "time": "2026-01-01T00:00:00Z", **fields}


async def refusal(store: CosmosStore, pk: str, *writes: Write) -> WriteRefusedError:
    """How the store refuses these writes; creates of ``a`` and ``b`` where none are given."""
    with pytest.raises(WriteRefusedError) as caught:
        await store.write(pk, writes or [Write(document(pk, "a")), Write(document(pk, "b"))])
    return caught.value


def test_a_provisioned_container_is_that_of_the_deployment(services: Services) -> None:
    """`everscore provision` makes it with the key, the index and the expiry that infra/modules/cosmos.bicep gives it."""
    with CosmosClient.from_connection_string(services.gateway.connection_string) as client:
        database = client.get_database_client(services.names.database)
        definition = database.get_container_client(services.names.container).read()
    assert definition["partitionKey"]["paths"] == ["/pk"]
    assert definition["indexingPolicy"] == {
        "indexingMode": "consistent",
        "automatic": True,
        "includedPaths": [{"path": "/pk/?"}, {"path": "/time/?"}, {"path": "/scores/*"}],
        "excludedPaths": [{"path": "/*"}],
    }
    assert definition["defaultTtl"] == -1


async def test_a_batch_is_written_and_read_back_without_its_payload(make: Make, pk: str) -> None:
    """A batch of creates costs request units, and a read gives of the ids that exist all but the payload."""
    store = make()
    made = {name: {"flights": {"value": 0.5}} for name in READ if name not in ("id", "_etag", "time")}
    charge = await store.write(pk, [Write(document(pk, "a", **made)), Write(document(pk, "b"))])
    found = await store.read(pk, ["a", "b", "never"])
    assert charge > 0
    assert set(found) == {"a", "b"}
    assert set(found["a"]) == set(READ)
    assert {name: found["a"][name] for name in made} == made
    assert found["a"]["_etag"]
    assert "event" not in found["a"]
    assert await store.read("another", ["a"]) == {}


async def test_a_document_that_exists_refuses_the_whole_batch_and_is_named(make: Make, pk: str) -> None:
    """A 409 within a batch is a conflict at its index, and none of the batch is written."""
    store = make()
    await store.write(pk, [Write(document(pk, "b"))])
    refused = await refusal(store, pk)
    assert isinstance(refused.failure, Conflict)
    assert refused.index == 1
    assert set(await store.read(pk, ["a", "b"])) == {"b"}


async def test_a_replace_holds_only_while_nobody_else_has_written(make: Make, pk: str) -> None:
    """An ETag lets one replace through; the same ETag again is a conflict (412), and so is a second create."""
    store = make()
    await store.write(pk, [Write(document(pk, "a", time="1"))])
    etag = (await store.read(pk, ["a"]))["a"]["_etag"]
    newer = [Write(document(pk, "a", time="2"), etag)]
    await store.write(pk, newer)
    refused = await refusal(store, pk, Write(document(pk, "c")), Write(document(pk, "a", time="3"), etag))
    assert isinstance(refused.failure, Conflict)
    assert refused.failure.reason == "changed meanwhile"
    assert refused.index == 1
    assert (await store.read(pk, ["a", "c"]))["a"]["time"] == "2"


@pytest.mark.parametrize("index", [None, 1])
async def test_throttling_keeps_the_services_hint(
    gateway: Gateway, make: Make, pk: str, index: int | None
) -> None:
    """A 429 is throttling with the hint in seconds, as a response of its own or inside a 207."""
    action = {"status": 429, "substatus": 3200, "retryAfterMs": 250, "inBatchIndex": index}
    with gateway.faults({"match": {"operation": "batch"}, "action": action}):
        refused = await refusal(make(), pk)
    assert isinstance(refused.failure, Throttled)
    assert refused.failure.retry_after == 0.25
    assert refused.index == index


async def test_a_container_short_of_request_units_throttles(gateway: Gateway, make: Make, pk: str) -> None:
    """Throttling comes back at once with its hint, however long: the SDK never waits it out in our place."""
    store = make()
    await store.write(pk, [Write(document(pk, "before"))])
    gateway.control("POST", "/throttle", {"rus": 1})
    try:
        await store.write(pk, [Write(document(pk, "overdraws"))])
        refused = await refusal(store, pk)
    finally:
        gateway.control("POST", "/throttle", {"rus": None})
    assert isinstance(refused.failure, Throttled)
    assert refused.failure.retry_after
    assert refused.failure.retry_after > 1
    await store.write(pk, [Write(document(pk, "after"))])


async def test_hole_03_the_other_keys_are_stored_while_hot_ones_wait(
    gateway: Gateway, make: Make, pk: str
) -> None:
    """While sixteen throttled keys wait as the service asks, with sixteen slots, another batch is stored."""
    hot, cold = ([event_of(n, pk=f"{kind}{n}{pk}") for n in range(16)] for kind in ("hot", "cold"))
    rules = [
        {
            "match": {"operation": "batch", "pk": event.item.pk},
            "action": {"status": 429, "substatus": 3200, "retryAfterMs": 600_000},
        }
        for event in hot
    ]
    writer = Writer(make(), parallel=16, patience=3600)
    before = gateway.state()["faultedRequests"]
    with gateway.faults(*rules):
        waiting = asyncio.create_task(writer.store(hot, Deadline.after(3600)))
        try:
            async with asyncio.timeout(60):
                while gateway.state()["faultedRequests"] < before + len(hot):
                    await asyncio.sleep(0.05)
                await writer.store(cold, Deadline.after(3600))
            assert {event.done for event in cold} == {Done.STORED}
            assert not waiting.done()
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize(
    ("action", "kind", "says"),
    [
        ({"status": 500}, Transient, "500"),
        ({"status": 503}, Transient, "503"),
        ({"status": 502, "body": "html"}, Transient, "502"),
        ({"status": 504, "body": "empty"}, Transient, "504"),
        ({"status": 408}, Transient, "408"),
        ({"status": 410, "substatus": 1022}, Transient, "410"),
        ({"status": 449}, Transient, "449"),
        ({"status": 401}, Configuration, "check the key"),
        ({"status": 404, "substatus": 1002}, PartitionTransient, "404"),
        ({"status": 403}, Configuration, "network rules"),
        ({"status": 403, "substatus": 5301}, Configuration, "Cosmos DB Built-in Data Contributor"),
        ({"status": 403, "substatus": 1014}, Permanent, "finer partitionKey"),
        ({"status": 413}, Permanent, "too large"),
        ({"status": 400, "message": "One of the inputs is invalid"}, Permanent, "refused by the store"),
        ({"status": 400, "substatus": 1001, "message": "key mismatch"}, Configuration, "/pk"),
        ({"status": 418, "body": "text"}, Failure, "418"),
        ({"reset": True}, Transient, "store"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
async def test_an_answer_to_the_whole_batch_becomes_a_failure_of_its_class(
    gateway: Gateway, make: Make, *, pk: str, action: dict[str, Any], kind: type[Failure], says: str
) -> None:
    """Every status that refuses a batch as a whole has its class, names no operation, and says what to do."""
    with gateway.faults({"match": {"operation": "batch"}, "action": action}):
        refused = await refusal(make(), pk)
    assert isinstance(refused.failure, kind)
    assert refused.index is None
    assert says in str(refused.failure)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, Permanent), (413, Permanent), (403, Configuration), (500, Transient)]
)
async def test_the_guilty_operation_of_a_batch_is_named(
    gateway: Gateway, make: Make, pk: str, status: int, kind: type[Failure]
) -> None:
    """What one operation is refused for comes with its index, whatever the status."""
    rule = {"match": {"operation": "batch", "id": "b"}, "action": {"status": status, "inBatchIndex": "id"}}
    with gateway.faults(rule):
        refused = await refusal(make(), pk)
    assert isinstance(refused.failure, kind)
    assert refused.index == 1


async def test_a_time_out_after_the_write_leaves_the_outcome_open(
    gateway: Gateway, make: Make, pk: str
) -> None:
    """A store that writes and answers too late is transient; the same write again meets its own document."""
    store = make(timeout=3.0)
    await store.write(pk, [Write(document(pk, "before"))])
    late = {"match": {"operation": "batch"}, "action": {"afterCommit": True, "delaySeconds": 30}}
    with gateway.faults(late):
        refused = await refusal(store, pk)
    assert isinstance(refused.failure, Transient)
    again = await refusal(store, pk)
    assert isinstance(again.failure, Conflict)
    assert set(await store.read(pk, ["a", "b"])) == {"a", "b"}


async def test_a_reset_after_the_write_meets_its_own_document(gateway: Gateway, make: Make, pk: str) -> None:
    """The SDK sends again after a reset, so that a batch which was written comes back as a conflict."""
    reset = {"match": {"operation": "batch"}, "action": {"afterCommit": True, "reset": True}, "count": 1}
    store = make()
    with gateway.faults(reset):
        refused = await refusal(store, pk)
    assert isinstance(refused.failure, Transient | Conflict)
    assert set(await store.read(pk, ["a", "b"])) == {"a", "b"}


async def test_a_wrong_key_is_a_configuration_failure(gateway: Gateway, make: Make, pk: str) -> None:
    """A key that the account refuses says which setting to check, and shows neither key nor string."""
    store = make(f"AccountEndpoint=http://127.0.0.1:{gateway.port}/;AccountKey=d3Jvbmcga2V5;")
    refused = await refusal(store, pk)
    assert isinstance(refused.failure, Configuration)
    assert "COSMOS" in refused.failure.detail
    assert "d3Jvbmcga2V5" not in str(refused.failure)


async def test_a_key_that_is_none_is_a_configuration_failure(gateway: Gateway, make: Make, pk: str) -> None:
    """A key cut short in copying is no event's fault: no event is held to be guilty of it."""
    store = make(f"AccountEndpoint=http://127.0.0.1:{gateway.port}/;AccountKey=d3Jvbmcga2V5X;")
    refused = await refusal(store, pk)
    assert isinstance(refused.failure, Configuration)
    assert "the AccountKey in COSMOS is no base64" in refused.failure.detail
    assert "d3Jvbmcga2V5" not in str(refused.failure)
    with pytest.raises(Configuration):
        await store.read(pk, ["a"])


ACCOUNT = {
    "id": "x",
    "writableLocations": [{"name": "here", "databaseAccountEndpoint": "http://127.0.0.1:%d/"}],
    "readableLocations": [{"name": "here", "databaseAccountEndpoint": "http://127.0.0.1:%d/"}],
    "enableMultipleWriteLocations": False,
}
COLLECTION = {
    "id": "c",
    "_rid": "AAAAAAAAAAA=",
    "_self": "",
    "partitionKey": {"paths": ["/pk"], "kind": "Hash"},
}


@asynccontextmanager
async def store_answering(status: int, text: str, *, connects: bool) -> AsyncIterator[str]:
    """A server with one answer to everything, or to all but the questions for account and container."""

    async def answer(request: web.Request) -> web.Response:
        if connects and request.method == "GET":
            found = COLLECTION if "colls" in request.path else ACCOUNT
            return web.Response(text=json.dumps(found).replace("%d", str(request.url.port)))
        return web.Response(status=status, text=text, headers={"Location": "/"} if status == 302 else {})

    async with answering(answer) as port:
        yield f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey=d3Jvbmcga2V5;"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, "<html>maintenance</html>"),
        (200, "{}"),
        (200, '{"message":"maintenance"}'),
        (200, "null"),
        (200, "[]"),
        (200, '[{"statusCode":201}]'),
        (200, '[{"ok":true},{"ok":true}]'),
        (200, '[{"statusCode":201},{"statusCode":304}]'),
    ],
    ids=["html", "empty", "object", "null", "no results", "fewer results", "other results", "odd status"],
)
async def test_a_success_that_is_none_stores_nothing(make: Make, pk: str, status: int, text: str) -> None:
    """A batch whose answer does not speak of each operation was not stored, as far as anybody knows."""
    async with store_answering(status, text, connects=True) as connection:
        store = make(connection)
        refused = await refusal(store, pk)
        assert isinstance(refused.failure, Transient)
        assert refused.failure.reason == "answer not readable"
        assert refused.index is None
        await store.close()


@pytest.mark.parametrize(
    "results",
    [
        [{"statusCode": 424}, {"statusCode": 424}],
        [{"statusCode": 424}, {"statusCode": 424}, {"statusCode": 400}],
        [{"statusCode": 424}, {"statusCode": 409, "retryAfterMilliseconds": 10**400}],
    ],
    ids=["nobody guilty", "one too many", "no wait"],
)
async def test_a_refusal_that_is_none_makes_no_event_guilty(
    make: Make, pk: str, results: list[dict[str, int]]
) -> None:
    """A batch whose answer refuses it in a way of its own is to be tried again, and no exception."""
    async with store_answering(207, json.dumps(results), connects=True) as connection:
        store = make(connection)
        refused = await refusal(store, pk)
        assert isinstance(refused.failure, Transient)
        assert refused.failure.reason == "answer not readable"
        assert refused.index is None
        await store.close()


@pytest.mark.parametrize("text", ["The collection cannot hold it", "The partition key is odd"])
async def test_a_strange_document_stops_neither_its_batch_nor_the_store(
    gateway: Gateway, make: Make, pk: str, text: str
) -> None:
    """A batch refused in words about the container is narrowed down; the one guilty waits, as its own fault alone."""
    breaking = BreakingStore(make(), failures=1, longest_pause=60.0)
    writer = Writer(breaking, parallel=4, patience=3600)
    events = [event_of(number) for number in range(8)]
    for event in events:
        event.item.pk = pk
    guilty = events[5]
    rule = {"match": {"operation": "batch", "id": guilty.item.id}, "action": {"status": 400, "message": text}}
    with gateway.faults(rule):
        await writer.store(events, Deadline.after(3600))
    assert [event for event in events if event.failure] == [guilty]
    assert isinstance(guilty.failure, Configuration)
    assert sum(event.done is Done.STORED for event in events) == 7
    assert breaking.state is State.CLOSED


async def test_a_document_that_cannot_be_sent_is_no_answer(make: Make, pk: str) -> None:
    """What stops a batch before anything was asked is some document's own fault, whoever answers otherwise."""
    store = make()
    with pytest.raises(TypeError):
        await store.write(pk, [Write(document(pk, "a")), Write(document(pk, "b", odd=object()))])
    assert await store.read(pk, ["a", "b"]) == {}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, "<html>maintenance</html>"),
        (200, "[]"),
        (200, ""),
        (302, ""),
        (400, "<html>plain http</html>"),
        (418, ""),
    ],
)
async def test_what_answers_in_place_of_the_account_makes_no_event_guilty(
    make: Make, pk: str, status: int, text: str
) -> None:
    """Whatever answers when the store is first asked, writes and reads are to be tried again."""
    async with store_answering(status, text, connects=False) as connection:
        store = make(connection)
        refused = await refusal(store, pk)
        assert isinstance(refused.failure, Transient)
        assert refused.index is None
        with pytest.raises(Transient):
            await store.read(pk, ["a"])


@pytest.mark.parametrize("missing", [{"container": "none"}, {"database": "none"}])
async def test_a_missing_container_is_named_and_never_created(
    gateway: Gateway, make: Make, pk: str, missing: dict[str, str]
) -> None:
    """A missing database or container is a configuration failure on write, read and check."""
    store = make(**missing)
    before = gateway.state()["databases"]
    refused = await refusal(store, pk)
    assert isinstance(refused.failure, Configuration)
    assert "COSMOS_CONTAINER" in refused.failure.detail
    with pytest.raises(Configuration):
        await store.read(pk, ["a"])
    with pytest.raises(Configuration):
        await store.check()
    assert gateway.state()["databases"] == before


async def test_another_partition_key_path_is_a_configuration_failure(
    services: Services, make: Make, pk: str
) -> None:
    """A container whose key is not /pk is a mistake of the deployment, not of the event."""
    with CosmosClient.from_connection_string(services.gateway.connection_string) as client:
        client.get_database_client(services.names.database).create_container("other", PartitionKey("/other"))
    refused = await refusal(make(container="other"), pk)
    assert isinstance(refused.failure, Configuration)
    assert refused.index is None
    assert "/pk" in refused.failure.detail


@pytest.mark.parametrize("status", [429, 503, 401])
async def test_a_read_that_fails_has_its_class(gateway: Gateway, make: Make, pk: str, status: int) -> None:
    """Reads are translated as writes are."""
    store = make()
    await store.write(pk, [Write(document(pk, "a"))])
    with (
        gateway.faults({"match": {"operation": "query"}, "action": {"status": status, "retryAfterMs": 10}}),
        pytest.raises({429: Throttled, 503: Transient, 401: Configuration}[status]),
    ):
        await store.read(pk, ["a"])


async def test_nobody_listening_is_transient_and_passes(make: Make, pk: str, gateway: Gateway) -> None:
    """A store that is down is transient for write, read and check."""
    store = make(gateway.connection_string.replace(str(gateway.port), str(free_port())))
    refused = await refusal(store, pk)
    assert isinstance(refused.failure, Transient)
    with pytest.raises(Transient):
        await store.read(pk, ["a"])
    with pytest.raises(Transient):
        await store.check()


async def test_a_server_that_accepts_and_never_answers_is_transient(
    make: Make, pk: str, gateway: Gateway
) -> None:
    """A black hole costs one time-out, not the SDK's minutes."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        store = make(gateway.connection_string.replace(str(gateway.port), str(port)), timeout=0.5)
        async with asyncio.timeout(120):
            refused = await refusal(store, pk)
    assert isinstance(refused.failure, Transient)


async def test_a_store_that_was_down_at_first_is_used_once_it_is_up(
    gateway: Gateway, make: Make, pk: str
) -> None:
    """A failed connect leaves nothing behind that would keep later writes from succeeding."""
    store = make()
    with gateway.faults({"match": {"operation": "account"}, "action": {"status": 503}}):
        refused = await refusal(store, pk)
        assert isinstance(refused.failure, Transient)
    assert await store.write(pk, [Write(document(pk, "a"))]) > 0


async def test_one_attempt_to_connect_answers_all_that_wait_for_it(
    make: Make, gateway: Gateway, pk: str
) -> None:
    """While the account cannot be had, ten first writes at once ask no more often than one: their waits do not add up."""
    with gateway.faults({"match": {"operation": "account"}, "action": {"status": 503}}):
        start = gateway.requests("account")
        await refusal(make(), pk)
        asked = gateway.requests("account") - start
        store = make()
        refusals = await asyncio.gather(*(refusal(store, f"{pk}{number}") for number in range(10)))
        assert gateway.requests("account") - start == 2 * asked
    assert {refused.failure.failure_class for refused in refusals} == {"transient"}
    assert await store.write(pk, [Write(document(pk, "a"))]) > 0


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[Gateway, Gateway]]:
    """Two accounts with the same container, of which the first one's metadata name the second's address."""
    with (
        cosmos_gateway(tmp_path / "other") as other,
        cosmos_gateway(tmp_path / "named", "--endpoint", f"http://127.0.0.1:{other.port}/") as named,
    ):
        for account in (other, named):
            provision_cosmos(account.connection_string, Names())
        yield named, other


async def test_hole_26_documents_go_to_the_account_that_the_settings_name(
    make: Make, elsewhere: tuple[Gateway, Gateway]
) -> None:
    """Hole 26: whatever address its metadata name, all 100 are in that account, and nothing asks at the other."""
    named, other = elsewhere
    before = other.state()["requests"]
    names = Names()
    store = make(named.connection_string, database=names.database, container=names.container)
    for start in range(0, 100, 20):
        pk = f"pk{start}"
        await store.write(pk, [Write(document(pk, str(start + n))) for n in range(20)])
        assert len(await store.read(pk, [str(start + n) for n in range(20)])) == 20
    await store.check()
    async with documents(
        load_settings(Services(named, "UseDevelopmentStorage=true", names).settings())
    ) as container:
        counted: list[Any] = [count async for count in container.query_items("SELECT VALUE COUNT(1) FROM c")]
    assert counted == [100]
    assert (named.state()["documents"], other.state()["documents"]) == (100, 0)
    assert other.state()["requests"] == before


@pytest.mark.parametrize(
    "action", [{"status": 403, "substatus": 3}, {"status": 503}, {"status": 404, "substatus": 1002}]
)
async def test_hole_26_off_this_machine_the_sdk_asks_regions_again(
    make: Make, pk: str, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, action: dict[str, int]
) -> None:
    """Hole 26: elsewhere discovery stays on, and the SDK's own retries end with the adapter's time-out."""
    monkeypatch.setattr(cosmos, "on_loopback", lambda _address: False)
    store = make(timeout=4.0)
    await store.check()
    with gateway.faults({"match": {"operation": "batch", "pk": pk}, "action": action}):
        await refusal(store, pk)
        (rule,) = gateway.control("GET", "/faults")["rules"]
    assert rule["acted"] > 1
    assert await store.read(pk, ["a", "b"]) == {}


async def test_one_client_serves_all_calls_at_once(
    make: Make, pk: str, monkeypatch: pytest.MonkeyPatch, gateway: Gateway
) -> None:
    """Fifty first writes at once make one client, which does not ask for the account each time."""
    made: list[object] = []

    class Counted(azure.cosmos.aio.CosmosClient):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            made.append(self)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(cosmos, "CosmosClient", Counted)
    start = gateway.requests("account")
    store = make()
    await asyncio.gather(*(store.write(f"{pk}{n}", [Write(document(f"{pk}{n}", "a"))]) for n in range(50)))
    await store.check()
    assert len(made) == 1
    # One to connect; the SDK's own refresh in the background may ask again.
    assert 1 <= gateway.requests("account") - start < 10


async def test_text_is_sent_as_utf_8_and_comes_back_as_it_was(
    make: Make, pk: str, services: Services
) -> None:
    """Text of any script survives the store."""
    store = make()
    written = document(pk, "a", text="日本語 😀 \u2028 \x00")
    await store.write(pk, [Write(written)])
    async with azure.cosmos.aio.CosmosClient.from_connection_string(
        services.gateway.connection_string
    ) as client:
        database = client.get_database_client(services.names.database)
        found = await database.get_container_client(services.names.container).read_item("a", pk)
    assert found["text"] == written["text"]
