"""Every call of every adapter ends within its time, whatever the service does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web

from everscore.adapters import hub
from everscore.adapters.blobs import StorageBlobs
from everscore.adapters.bounds import bounded
from everscore.adapters.cosmos import CosmosStore
from everscore.adapters.credentials import Credentials
from everscore.adapters.host_checkpoints import HostCheckpoints
from everscore.adapters.hub import HubReader
from everscore.adapters.queue import StoragePoisonQueue, StorageQueue
from everscore.clock.deadline import Deadline, within
from everscore.config.connections import Connection
from everscore.failures import Failure, OutOfTime, Stage, Transient
from everscore.ports import PoisonMessage, Write, WriteRefusedError
from everscore_local import azurite
from everscore_local.endpoints import EVENTHUBS_KEY, EVENTHUBS_KEY_NAME
from tests.fakes import source_of
from tests.support.answering import answering, dripping, silent
from tests.support.services import Services, free_port

BOUND = 1.0
# Far above the bound, for a busy machine; far below what the SDKs would wait, which is minutes or for ever.
PATIENCE = 60.0
MESSAGE = PoisonMessage("id", "text", "receipt", "")

type Call = Callable[[], Awaitable[object]]


class Adapters:
    """All adapters, at addresses of a test's own."""

    def __init__(self, stack: AsyncExitStack, credentials: Credentials, *, timeout: float = BOUND) -> None:
        self._stack = stack
        self._options: dict[str, Any] = {"timeout": timeout, "credentials": credentials}

    def _kept[T](self, made: T) -> T:
        self._stack.push_async_callback(made.close)  # type: ignore[attr-defined]
        return made

    def store(self, connection: Connection) -> dict[str, Call]:
        """Every call of the store."""
        made = self._kept(CosmosStore(connection, "d", "c", **self._options))
        return {
            "write": lambda: made.write("p", [Write({"id": "a", "pk": "p"})]),
            "read": lambda: made.read("p", ["a"]),
            "check store": made.check,
        }

    def storage(self, connection: Connection) -> dict[str, Call]:
        """Every call of queue, poison queue, blobs and checkpoints."""
        queue = self._kept(StorageQueue(connection, "queue", **self._options))
        poison = self._kept(StoragePoisonQueue(connection, "queue", **self._options))
        blobs = self._kept(
            StorageBlobs(connection, dead_letters="letters", claim_checks="checks", **self._options)
        )
        checkpoints = self._kept(
            HostCheckpoints(lambda: connection, namespace="n", hub="h", group="g", **self._options)
        )
        return {
            "send": lambda: queue.send(b"x", 0),
            "depth": queue.depth,
            "peek": queue.peek,
            "receive": poison.receive,
            "delete": lambda: poison.delete(MESSAGE),
            "release": lambda: poison.release(MESSAGE),
            "poison depth": poison.depth,
            "put letter": lambda: blobs.put_dead_letter("x", b"x", {}),
            "get letter": lambda: blobs.get_dead_letter("x"),
            "delete letter": lambda: blobs.delete_dead_letter("x"),
            "list letters": lambda: anext(blobs.list_dead_letters()),
            "put check": lambda: blobs.put_claim_check("x", b"x"),
            "get check": lambda: blobs.get_claim_check("x"),
            "put status": lambda: blobs.put_status("x", b"x"),
            "get status": lambda: blobs.get_status("x"),
            "check blobs": blobs.check,
            "checkpoints": checkpoints.read,
        }


@pytest.fixture
async def adapters() -> AsyncIterator[Adapters]:
    """Adapters that are closed at the test's end."""
    async with AsyncExitStack() as stack:
        yield Adapters(stack, await stack.enter_async_context(Credentials()))


async def ends(calls: dict[str, Call]) -> dict[str, object]:
    """What each call raises, all of them side by side; within the test's patience."""

    async def end(call: Call) -> object:
        try:
            await call()
        except WriteRefusedError as refused:
            return refused.failure
        except Failure as failure:
            return failure
        return "no failure"

    async with asyncio.timeout(PATIENCE):
        found = await asyncio.gather(*(end(call) for call in calls.values()))
    return dict(zip(calls, found, strict=True))


def kinds(found: dict[str, object]) -> set[tuple[type, str]]:
    """Class and reason of the failures."""
    return {(type(each), getattr(each, "reason", str(each))) for each in found.values()}


async def test_hole_16_an_answer_of_storage_that_drips_has_an_end(adapters: Adapters) -> None:
    """Queue, blobs and checkpoints give up an answer whose bytes come one by one, without end."""
    async with answering(dripping) as port:
        connection = Connection("STORAGE", connection_string=azurite.connection_string(port, port))
        found = await ends(adapters.storage(connection))
    assert kinds(found) == {(Transient, "storage timed out")}


@pytest.mark.parametrize("text", ["<html>maintenance</html>", "", "{}"])
async def test_a_success_that_is_none_of_storages_raises_nothing_but_failures(
    adapters: Adapters, text: str
) -> None:
    """What a proxy answers in place of the service is a failure to wait out, if anything."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    async with answering(answer) as port:
        connection = Connection("STORAGE", connection_string=azurite.connection_string(port, port))
        found = await ends(adapters.storage(connection))
    assert {type(each) for each in found.values()} <= {Transient, str}
    assert isinstance(found["get check"], Transient)


async def test_an_error_of_the_system_is_an_outage(
    adapters: Adapters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the SDKs let through, as without a file handle left, is of the machine, and no event is guilty of it."""

    async def no_handle(*_args: object, **_options: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(ClientSession, "_request", no_handle)
    connection = Connection("STORAGE", connection_string=azurite.connection_string(1, 1))
    found = await ends(adapters.storage(connection) | adapters.store(cosmos_at(1)))
    assert kinds(found) == {(Transient, "storage not reached"), (Transient, "store not reached")}


ACCOUNT = {
    "id": "x",
    "writableLocations": [],
    "readableLocations": [],
    "enableMultipleWriteLocations": False,
}
COLLECTION = {
    "id": "c",
    "_rid": "AAAAAAAAAAA=",
    "_self": "",
    "partitionKey": {"paths": ["/pk"], "kind": "Hash"},
}


def cosmos_at(port: int) -> Connection:
    """A connection to an account there."""
    text = f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey=d3Jvbmcga2V5;"
    return Connection("COSMOS", connection_string=text)


async def test_hole_16_an_answer_of_the_store_that_drips_has_an_end(adapters: Adapters) -> None:
    """A write whose answer never ends is of unknown outcome, to be tried again; so is a read."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            return await dripping(request)
        return web.json_response(COLLECTION if "colls" in request.path else ACCOUNT)

    async with answering(answer) as port:
        calls = adapters.store(cosmos_at(port))
        await calls.pop("check store")()
        found = await ends(calls)
    assert {type(each) for each in found.values()} == {Transient}


async def test_hole_16_an_account_that_drips_has_an_end(adapters: Adapters) -> None:
    """Connecting to the store for the first time is bounded like everything after it."""
    async with answering(dripping) as port:
        found = await ends(adapters.store(cosmos_at(port)))
    assert {type(each) for each in found.values()} == {Transient}


async def test_hole_16_a_token_that_does_not_come_has_an_end(
    adapters: Adapters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign-in whose answer drips holds up no call for longer than the call may take."""
    async with answering(dripping) as port:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "secret")
        where = f"https://127.0.0.1:{free_port()}"
        connection = Connection(
            "X", client_id="i", endpoints={"account": where, "blob": where, "queue": where}
        )
        found = await ends(adapters.storage(connection) | adapters.store(connection))
    assert {type(each) for each in found.values()} == {Transient}


async def test_a_token_is_asked_for_once_and_comes_though_nobody_could_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A token that takes longer than a request is there for a later one: its asking is not begun anew each time."""
    asked = 0
    let_go = asyncio.Event()

    async def token(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        await let_go.wait()
        return web.json_response(
            {"access_token": "t", "expires_on": "4102444800", "resource": "r", "token_type": "Bearer"}
        )

    async with answering(token) as port, Credentials() as credentials:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "secret")
        identity = credentials.get("client")
        for ask in (identity.get_token, identity.get_token_info):
            asked = 0
            let_go.clear()
            scope = f"https://{ask.__name__}/.default"
            for _ in range(3):
                with pytest.raises(Transient):
                    async with bounded(Stage.RETRY, "token", "the identity", 0.3):
                        await ask(scope)
            let_go.set()
            async with asyncio.timeout(PATIENCE):
                assert (await ask(scope)).token == "t"
            assert asked == 1


async def test_hole_16_a_hub_that_never_answers_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions to the hub, which the SDK would wait for without end, and looking for an event are bounded."""
    monkeypatch.setattr(hub, "_ANSWER", BOUND)
    with silent() as port:
        async with hub_reader(port) as reader:
            calls: dict[str, Call] = {
                "partitions": reader.partitions,
                "fetch": lambda: reader.fetch(source_of(1, hub="h")),
            }
            found = await ends(calls)
    assert kinds(found) == {(Transient, "hub timed out")}


@asynccontextmanager
async def hub_reader(port: int) -> AsyncIterator[HubReader]:
    """A reader of a hub at that port."""
    text = (
        f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName={EVENTHUBS_KEY_NAME};"
        f"SharedAccessKey={EVENTHUBS_KEY};UseDevelopmentEmulator=true;"
    )
    async with Credentials() as credentials:
        reader = HubReader(Connection("EVENTHUB", connection_string=text), "h", credentials=credentials)
        try:
            yield reader
        finally:
            await reader.close()


async def test_hole_15_the_deadline_of_a_step_cuts_its_requests_short() -> None:
    """Within a deadline no call takes longer than what is left, and one that has nothing left asks nobody."""
    async with AsyncExitStack() as stack:
        credentials = await stack.enter_async_context(Credentials())
        adapters = Adapters(stack, credentials, timeout=600.0)
        with silent() as port:
            connection = Connection("STORAGE", connection_string=azurite.connection_string(port, port))
            calls = adapters.storage(connection) | adapters.store(cosmos_at(port))
            with within(Deadline.after(BOUND)):
                cut_short = await ends(calls)
                began = time.monotonic()
                late = await ends(calls)
                took = time.monotonic() - began
    assert {type(each) for each in cut_short.values()} == {OutOfTime}
    assert {reason.split(" ", 1)[1] for _, reason in kinds(cut_short)} == {"timed out"}
    assert kinds(late) == {(OutOfTime, "no time left")}
    assert took < PATIENCE / 2


async def test_what_was_written_before_the_time_ended_is_found_again(services: Services) -> None:
    """Half an answer after a write means an unknown outcome; the same write again meets its own document."""
    connection = Connection("COSMOS", connection_string=services.gateway.connection_string)
    writes = [Write({"id": "a", "pk": "p"})]
    async with AsyncExitStack() as stack:
        credentials = await stack.enter_async_context(Credentials())
        store = CosmosStore(
            connection,
            services.names.database,
            services.names.container,
            timeout=3.0,
            credentials=credentials,
        )
        stack.push_async_callback(store.close)
        await store.check()
        half = {"match": {"operation": "batch"}, "action": {"delaySeconds": 30, "delayInBody": True}}
        with services.gateway.faults(half), pytest.raises(WriteRefusedError) as refused:
            await store.write("p", writes)
        assert isinstance(refused.value.failure, Transient)
        assert set(await store.read("p", ["a"])) == {"a"}
