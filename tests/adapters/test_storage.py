"""The retry queue, the poison queue and the blobs against Azurite, and what each refusal becomes."""

from __future__ import annotations

import asyncio
import base64
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest
from aiohttp import web
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from everscore.adapters import queue as queue_adapter
from everscore.adapters.blobs import StorageBlobs
from everscore.adapters.credentials import Credentials
from everscore.adapters.queue import StoragePoisonQueue, StorageQueue
from everscore.config.connections import Connection
from everscore.failures import Configuration, Conflict, Failure, Throttled, Transient, Unexpected
from everscore.ports import VerdictBlobs
from everscore_local import azurite as stand_in
from tests.fakes import FakeBlobs
from tests.support.answering import answering
from tests.support.read_back import queued
from tests.support.services import Services, free_port


class Clients:
    """The three adapters on one storage account."""

    def __init__(self, stack: AsyncExitStack, credentials: Credentials) -> None:
        self._stack = stack
        self._credentials = credentials

    def queue(self, connection: str, name: str, timeout: float = 30.0) -> StorageQueue:
        made = StorageQueue(_connection(connection), name, timeout=timeout, credentials=self._credentials)
        self._stack.push_async_callback(made.close)
        return made

    def poison(self, connection: str, name: str) -> StoragePoisonQueue:
        made = StoragePoisonQueue(_connection(connection), name, timeout=30.0, credentials=self._credentials)
        self._stack.push_async_callback(made.close)
        return made

    def blobs(self, connection: str, letters: str, checks: str, timeout: float = 30.0) -> StorageBlobs:
        made = StorageBlobs(
            _connection(connection),
            dead_letters=letters,
            claim_checks=checks,
            timeout=timeout,
            credentials=self._credentials,
        )
        self._stack.push_async_callback(made.close)
        return made


def _connection(text: str) -> Connection:
    return Connection("STORAGE", connection_string=text)


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    """Makes adapters that are closed at the test's end."""
    async with AsyncExitStack() as stack:
        yield Clients(stack, await stack.enter_async_context(Credentials()))


@pytest.fixture
def poison(services: Services) -> Iterator[QueueClient]:
    """The poison queue through Microsoft's client."""
    with QueueClient.from_connection_string(services.storage, f"{services.names.queue}-poison") as client:
        yield client


async def failure_of_send(queue: StorageQueue) -> Failure:
    """How the queue refuses a message."""
    with pytest.raises(Failure) as caught:
        await queue.send(b"message", 0)
    return caught.value


async def test_a_message_lies_in_the_queue_as_base64_and_never_expires(
    services: Services, clients: Clients
) -> None:
    """What is sent comes back byte for byte, is base64 on the way (R04), and outlives any outage."""
    body = bytes(range(256))
    await clients.queue(services.storage, services.names.queue).send(body, 0)
    with QueueClient.from_connection_string(services.storage, services.names.queue) as client:
        message = client.receive_message()
    assert message is not None
    assert base64.b64decode(message.content, validate=True) == body
    assert message.expires_on is not None
    assert message.expires_on.year == 9999


async def test_a_delayed_message_counts_and_is_not_seen_yet(services: Services, clients: Clients) -> None:
    """A delay hides a message; the depth counts it."""
    queue = clients.queue(services.storage, services.names.queue)
    await queue.send(b"now", 0.0)
    await queue.send(b"late", 900.0)
    assert await queue.depth() == 2
    with QueueClient.from_connection_string(services.storage, services.names.queue) as client:
        async with asyncio.timeout(120):
            while not (found := list(client.receive_messages())):  # a queue may show it a moment later
                await asyncio.sleep(0.1)
    assert [base64.b64decode(each.content) for each in found] == [b"now"]


async def test_a_delay_beyond_the_services_limit_is_cut(services: Services, clients: Clients) -> None:
    """The service hides a message for 7 days at most and would refuse more."""
    await clients.queue(services.storage, services.names.queue).send(b"late", 30 * 86_400)
    assert queued(services) == 1


@pytest.mark.parametrize(("delay", "seconds"), [(0.0, "0"), (0.001, "1"), (1.0, "1"), (1.2, "2")])
async def test_a_delay_is_never_cut_below_what_was_asked(
    clients: Clients, delay: float, seconds: str
) -> None:
    """The service takes whole seconds: a part of one counts whole, so that nothing comes before its time."""
    asked: set[str] = set()

    async def answer(request: web.Request) -> web.Response:
        asked.add(request.query["visibilitytimeout"])
        return web.Response(status=403)

    async with answering(answer) as port:
        queue = clients.queue(stand_in.connection_string(port, port), "queue")
        with pytest.raises(Configuration):
            await queue.send(b"m", delay)
    assert asked == {seconds}


async def test_the_poison_queue_is_read_as_it_is(
    services: Services, clients: Clients, poison: QueueClient
) -> None:
    """Text that is no base64 is read unchanged, hidden from others, and gone once deleted."""
    poison.send_message("not base64: <é & msg2>")
    reader = clients.poison(services.storage, services.names.queue)
    (message,) = await reader.receive()
    assert message.text == "not base64: <é & msg2>"
    assert message.inserted_at.endswith("Z")
    assert await reader.receive() == []
    await reader.delete(message)
    assert queued(services, reader.name) == 0


async def test_a_page_of_the_poison_queue_is_32_messages(
    services: Services, clients: Clients, poison: QueueClient
) -> None:
    """One receive takes a page, so that nothing waits hidden behind what is being moved."""
    for number in range(34):
        poison.send_message(str(number))
    reader = clients.poison(services.storage, services.names.queue)
    assert [len(await reader.receive()), len(await reader.receive())] == [32, 2]


async def test_a_missing_poison_queue_is_empty(services: Services, clients: Clients) -> None:
    """The host makes the poison queue on demand, so its absence is no failure."""
    assert await clients.poison(services.storage, "never-made").receive() == []


async def test_what_cannot_be_moved_on_appears_again_soon(
    services: Services, clients: Clients, poison: QueueClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is released comes again after the seconds of a release, not the minutes of its lease."""
    monkeypatch.setattr(queue_adapter, "_POISON_RELEASE", 1)
    poison.send_message("x")
    reader = clients.poison(services.storage, services.names.queue)
    (message,) = await reader.receive()
    assert await reader.receive() == []
    await reader.release(message)
    async with asyncio.timeout(120):
        while not (found := await reader.receive()):
            await asyncio.sleep(0.1)
    assert [each.text for each in found] == ["x"]


async def test_a_receipt_that_is_stale_is_a_failure(
    services: Services, clients: Clients, poison: QueueClient
) -> None:
    """A message that somebody else has taken meanwhile is not deleted in silence."""
    poison.send_message("x")
    reader = clients.poison(services.storage, services.names.queue)
    (message,) = await reader.receive()
    await reader.delete(message)
    with pytest.raises(Failure):
        await reader.delete(message)


async def test_a_missing_queue_is_a_configuration_failure_and_not_created(
    services: Services, clients: Clients
) -> None:
    """A queue that is not there is named; the app never makes it."""
    queue = clients.queue(services.storage, "never-made")
    for _ in range(2):
        failure = await failure_of_send(queue)
        assert isinstance(failure, Configuration)
        assert "never-made" in failure.detail
    with pytest.raises(Configuration):
        await queue.depth()


async def test_a_wrong_storage_key_is_a_configuration_failure(services: Services, clients: Clients) -> None:
    """A refused key says so for queue and blobs, and is not shown."""
    wrong = services.storage.replace(stand_in.KEY, base64.b64encode(b"wrong").decode())
    blobs = clients.blobs(wrong, services.names.dead_letters, services.names.claim_checks)
    failures = [await failure_of_send(clients.queue(wrong, services.names.queue))]
    for call in (blobs.put_claim_check("x", b"x"), blobs.get_claim_check("x"), blobs.check()):
        with pytest.raises(Failure) as caught:
            await call
        failures.append(caught.value)
    for failure in failures:
        assert isinstance(failure, Configuration)
        assert failure.reason == "storage refuses access"
        assert base64.b64encode(b"wrong").decode() not in str(failure)


async def test_storage_that_is_down_is_transient(services: Services, clients: Clients) -> None:
    """Nobody listening is a transient failure of queue, poison queue and blobs."""
    down = stand_in.connection_string(free_port(), free_port())
    names = services.names
    blobs = clients.blobs(down, names.dead_letters, names.claim_checks, timeout=0.5)
    calls = [
        clients.queue(down, names.queue, timeout=0.5).send(b"x", 0),
        clients.poison(down, names.queue).receive(),
        blobs.put_dead_letter("x", b"x", {}),
        blobs.get_claim_check("x"),
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [Transient] * 4


async def test_storage_that_never_answers_is_transient(services: Services, clients: Clients) -> None:
    """A black hole costs the time-outs of a few tries, and is transient."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        queue = clients.queue(stand_in.connection_string(port, port), services.names.queue, timeout=0.2)
        async with asyncio.timeout(120):
            assert isinstance(await failure_of_send(queue), Transient)


@asynccontextmanager
async def storage_answering(status: int, text: str, headers: dict[str, str]) -> AsyncIterator[str]:
    """A server with one answer to everything; its connection string."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    async with answering(answer) as port:
        yield stand_in.connection_string(port, port)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "ServerBusy", Throttled),
        (500, "InternalError", Transient),
        (403, "AuthorizationPermissionMismatch", Configuration),
        (400, "OutOfRangeInput", Failure),
    ],
)
async def test_an_answer_becomes_a_failure_of_its_class(
    clients: Clients, status: int, code: str, kind: type[Failure]
) -> None:
    """Answers that Azurite never gives, from a server that does, have their class, code and hint."""
    text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>No.</Message></Error>'
    headers = {"x-ms-error-code": code, "Retry-After": "0", "Content-Type": "application/xml"}
    async with storage_answering(status, text, headers) as connection:
        failure = await failure_of_send(clients.queue(connection, "queue"))
    assert isinstance(failure, kind)
    assert code in failure.detail
    if kind is Throttled:
        assert failure.retry_after == 0


@pytest.mark.parametrize(
    ("name", "metadata"), [("\ud800", {}), ("x", {"reason": "a\nb"}), ("x", {"reason": None})]
)
async def test_what_cannot_be_sent_is_no_fault_of_the_service(
    services: Services, clients: Clients, name: str, metadata: dict[str, str]
) -> None:
    """A blob that the SDK refuses before it asks anybody is not waited for like an outage."""
    blobs = clients.blobs(services.storage, services.names.dead_letters, services.names.claim_checks)
    with pytest.raises(Unexpected):
        await blobs.put_dead_letter(name, b"x", metadata)


@pytest.mark.parametrize(
    "use",
    [
        lambda blobs: blobs.put_dead_letter("", b"{}", {}),
        lambda blobs: blobs.get_dead_letter(""),
        lambda blobs: blobs.delete_dead_letter(""),
        lambda blobs: anext(blobs.list_dead_letters()),
        lambda blobs: blobs.put_claim_check("", b"{}"),
        lambda blobs: blobs.get_claim_check(""),
        lambda blobs: blobs.put_verdict("", b"{}", None),
        lambda blobs: blobs.list_verdicts(),
        lambda blobs: blobs.check(),
    ],
    ids=[
        "put letter",
        "get letter",
        "delete",
        "list",
        "put check",
        "get check",
        "verdict",
        "verdicts",
        "both",
    ],
)
async def test_an_empty_name_is_a_failure_like_any_other(
    services: Services, clients: Clients, use: Callable[[StorageBlobs], Awaitable[object]]
) -> None:
    """The SDK refuses a blob or container without a name before it asks: also that is a failure with its stage."""
    with pytest.raises(Unexpected, match="unexpected ValueError"):
        await use(clients.blobs(services.storage, "", ""))


async def test_blobs_are_written_overwritten_and_read(services: Services, clients: Clients) -> None:
    """A dead letter carries its metadata, a repeat overwrites it, and a claim check comes back as it was."""
    names = services.names
    blobs = clients.blobs(services.storage, names.dead_letters, names.claim_checks)
    await blobs.put_dead_letter("2026/01/x.json", b"old", {"stage": "decode"})
    await blobs.put_dead_letter("2026/01/x.json", b"new", {"stage": "store", "reason": "too large"})
    await blobs.put_claim_check("items/é?#.json", bytes(range(256)))
    await blobs.put_status("score_events", b"{}")
    assert await blobs.get_claim_check("items/é?#.json") == bytes(range(256))
    assert await blobs.get_status("score_events") == b"{}"
    with BlobServiceClient.from_connection_string(services.storage) as client:
        letter = client.get_blob_client(names.dead_letters, "2026/01/x.json")
        assert letter.download_blob().readall() == b"new"
        properties = letter.get_blob_properties()
    assert properties.metadata == {"stage": "store", "reason": "too large"}
    assert properties.content_settings.content_type == "application/json"


@pytest.mark.parametrize("where", ["Azurite", "the fake"])
async def test_a_verdict_is_written_only_over_what_was_read(
    services: Services, clients: Clients, where: str
) -> None:
    """Whoever read an older one, or read none where there is one by now, is told of the conflict."""
    names = services.names
    blobs = clients.blobs(services.storage, names.dead_letters, names.claim_checks)
    verdicts: VerdictBlobs = blobs if where == "Azurite" else FakeBlobs()
    assert await verdicts.get_verdict("c") is None
    await verdicts.put_verdict("c", b"1", None)
    first = await verdicts.get_verdict("c")
    assert first is not None
    assert first.data == b"1"
    for etag in (None, '"0x0"'):
        with pytest.raises(Conflict):
            await verdicts.put_verdict("c", b"lost", etag)
    await verdicts.put_verdict("c", b"2", first.etag)
    with pytest.raises(Conflict):
        await verdicts.put_verdict("c", b"lost", first.etag)
    second = await verdicts.get_verdict("c")
    assert second is not None
    assert (second.data, second.etag != first.etag) == (b"2", True)
    with pytest.raises(Conflict):
        await verdicts.put_verdict("gone", b"lost", first.etag)
    assert await verdicts.get_verdict("gone") is None
    if where == "Azurite":
        assert await blobs.list_verdicts() == [b"2"]


async def test_only_the_blob_may_be_missing(services: Services, clients: Clients) -> None:
    """A blob that is gone reads as None; a missing container is a failure, or all claim checks would look gone."""
    names = services.names
    blobs = clients.blobs(services.storage, names.dead_letters, names.claim_checks)
    assert await blobs.get_claim_check("never") is None
    assert await blobs.get_status("never") is None
    await blobs.check()
    gone = clients.blobs(services.storage, "never-made", "never-made")
    for call in (gone.get_claim_check("x"), gone.put_dead_letter("x", b"x", {}), gone.check()):
        with pytest.raises(Configuration, match="never-made"):
            await call


@pytest.mark.parametrize("code", ["", "ResourceNotFound"])
async def test_a_404_that_names_no_blob_makes_nothing_look_gone(clients: Clients, code: str) -> None:
    """A 404 of a proxy or of a wrong address is a failure: an event in a claim check is not given up for it."""
    headers = {"Content-Type": "text/html"} | ({"x-ms-error-code": code} if code else {})
    async with storage_answering(404, "<html>nothing here</html>", headers) as connection:
        blobs = clients.blobs(connection, "letters", "checks")
        for call in (blobs.get_claim_check("x"), blobs.get_status("x"), blobs.delete_dead_letter("x")):
            with pytest.raises(Configuration, match="404"):
                await call


@pytest.fixture
def strict_azurite(tmp_path: Path) -> Iterator[str]:
    """Azurite as people start it, without --skipApiVersionCheck; its connection string."""
    script = stand_in.find_script()
    command = [stand_in.find_node(script), str(script), "--silent", "--disableTelemetry"]
    command += ["--location", str(tmp_path)]
    for service in ("blob", "queue", "table"):
        command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        ports: dict[str, int] = {}
        assert process.stdout is not None
        for line in process.stdout:
            found = stand_in._LISTENING.search(line)
            if found:
                ports[found[1]] = int(found[2])
            if len(ports) == 3:
                break
        assert len(ports) == 3, "Azurite did not start"
        yield stand_in.connection_string(ports["Blob"], ports["Queue"])
        process.kill()


async def test_an_older_azurite_gets_a_hint_of_one_line(strict_azurite: str, clients: Clients) -> None:
    """An Azurite that refuses the SDK's API version is a configuration failure that names the option (R03)."""
    blobs = clients.blobs(strict_azurite, "letters", "checks")
    failures = await asyncio.gather(
        clients.queue(strict_azurite, "queue").send(b"x", 0),
        blobs.put_claim_check("x", b"x"),
        blobs.check(),
        return_exceptions=True,
    )
    for failure in failures:
        assert isinstance(failure, Configuration)
        assert "--skipApiVersionCheck" in failure.detail
        assert "\n" not in str(failure)


_USE = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from everscore.ports import Write
from function_app import runtime

async def main():
    made = runtime.get()
    assert runtime.get() is made
    await made.store.write("p", [Write({"id": "a", "pk": "p"})])
    await made.queue.send(b"x", 0)
    assert await made.poison.receive() == []
    await made.blobs.put_claim_check("x", b"x")
    if sys.argv[2] == "close":
        await runtime.close()
        assert runtime.get() is not made
        await runtime.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(("ending", "unclosed"), [("close", False), ("leave", True)])
def test_closing_leaves_nothing_open(services: Services, tmp_path: Path, ending: str, unclosed: bool) -> None:
    """Closing the app's clients leaves no session behind; the same without closing does, and would be seen."""
    root = Path(__file__).resolve().parents[2]
    script = tmp_path / "use.py"
    script.write_text(_USE)
    done = subprocess.run(
        [sys.executable, "-W", "default::ResourceWarning", str(script), str(root), ending],
        env={"PATH": str(Path(shutil.which("node") or "/usr/bin/node").parent), **services.settings()},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ("nclosed" in done.stderr) is unclosed, done.stderr


async def test_an_identity_asks_its_own_endpoint_once_and_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client id leads to the app's identity endpoint with that id; one credential an identity is made."""
    asked: list[dict[str, str]] = []

    async def token(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.json_response(
            {"access_token": "t", "expires_on": "4102444800", "resource": "r", "token_type": "Bearer"}
        )

    app = web.Application()
    app.router.add_get("/token", token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}/token")
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    try:
        async with Credentials() as credentials:
            identity = credentials.get("client-1")
            assert credentials.get("client-1") is identity
            assert credentials.get("client-2") is not identity
            assert (await identity.get_token("https://storage.azure.com/.default")).token == "t"
    finally:
        await runner.cleanup()
    assert [each.get("client_id") or each.get("clientid") for each in asked] == ["client-1"]


async def test_an_identity_without_a_token_is_a_failure_to_wait_out(
    monkeypatch: pytest.MonkeyPatch, services: Services
) -> None:
    """No token for queue, blobs or store is a transient failure, never an exception of the SDK."""
    from everscore.adapters.cosmos import CosmosStore

    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    where = f"https://127.0.0.1:{free_port()}"
    connection = Connection("X", endpoints={"account": where, "blob": where, "queue": where})
    async with Credentials() as credentials, AsyncExitStack() as stack:
        queue = StorageQueue(connection, "queue", timeout=30.0, credentials=credentials)
        blobs = StorageBlobs(
            connection, dead_letters="a-b", claim_checks="c-d", timeout=30.0, credentials=credentials
        )
        store = CosmosStore(connection, "d", "c", timeout=30.0, credentials=credentials)
        for client in (queue, blobs, store):
            stack.push_async_callback(client.close)
        results = await asyncio.gather(
            queue.send(b"x", 0),
            blobs.put_claim_check("x", b"x"),
            store.read("p", ["a"]),
            return_exceptions=True,
        )
    assert [(type(result), getattr(result, "reason", None)) for result in results] == [
        (Transient, "no token")
    ] * 3
