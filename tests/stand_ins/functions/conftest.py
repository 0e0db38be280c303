"""The host as a process, against the project's Event Hubs server and Azurite."""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.extensions.checkpointstoreblob import BlobCheckpointStore
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from everscore_local.azurite import connection_string

TINY_APP = Path(__file__).parent / "tiny_app"
GROUP = "everscore"
KEY = base64.b64encode(b"k" * 32).decode()
CONTAINER = "azure-webjobs-eventhub"
NAMESPACE = "127.0.0.1"
HUBS = 40


@dataclass
class Hub:
    """One event hub of the server, and its checkpoints as the Python SDK's own store sees them."""

    name: str
    connection: str
    storage: str
    group: str = GROUP
    namespace: str = NAMESPACE

    @cached_property
    def _producer(self) -> EventHubProducerClient:
        # One for all sends: a connection with its token exchange takes most of a second.
        return EventHubProducerClient.from_connection_string(self.connection, eventhub_name=self.name)

    @cached_property
    def store(self) -> BlobCheckpointStore:
        return BlobCheckpointStore.from_connection_string(self.storage, CONTAINER)

    def send(self, *bodies: bytes, partition: str = "0", properties: dict[str, Any] | None = None) -> None:
        batch = self._producer.create_batch(partition_id=partition)
        for body in bodies:
            event = EventData(body)
            event.properties = properties or {}
            batch.add(event)
        self._producer.send_batch(batch)

    def checkpoints(self) -> dict[str, int]:
        """Sequence number of each partition's checkpoint; none before a host has made the container."""
        try:
            found = self.store.list_checkpoints(self.namespace, self.name, self.group)
        except ResourceNotFoundError:
            return {}
        return {item["partition_id"]: item["sequence_number"] for item in found}

    def owners(self) -> dict[str, str]:
        """Id of the host that has each partition; none before a host has made the container."""
        try:
            found = self.store.list_ownership(self.namespace, self.name, self.group)
        except ResourceNotFoundError:
            return {}
        return {item["partition_id"]: item["owner_id"] for item in found}

    def send_events(self, events: list[Any], partition: str = "0") -> None:
        """Send events of the SDK's own types, in one batch."""
        batch = self._producer.create_batch(partition_id=partition)
        for event in events:
            batch.add(event)
        self._producer.send_batch(batch)

    def move_checkpoint(self, number: int, offset: str, partition: str = "0") -> None:
        """Write a checkpoint as an operator would."""
        prefix = f"{self.namespace}/{self.name}/{self.group}".lower()
        with BlobServiceClient.from_connection_string(self.storage) as service:
            blob = service.get_blob_client(CONTAINER, f"{prefix}/checkpoint/{partition}")
            metadata = {"offset": offset, "sequencenumber": str(number)}
            blob.upload_blob(b"", overwrite=True, metadata=metadata)

    def take(self, partition: str = "0", owner: str = "somebody else") -> bool:
        """Take the ownership of a partition as another host would, or release it (owner empty)."""
        found = self.store.list_ownership(self.namespace, self.name, self.group)
        present = next(item for item in found if item["partition_id"] == partition)
        return bool(self.store.claim_ownership([{**present, "owner_id": owner}]))

    def disconnect(self) -> None:
        """Close the producer; the next send makes a new one."""
        self._producer.close()
        del self._producer

    def close(self) -> None:
        self.disconnect()
        self.store.close()


class HostProcess:
    """One host of the tiny app."""

    def __init__(self, app: Path, environment: dict[str, str], arguments: tuple[str, ...]) -> None:
        self.seen_file = Path(environment["SEEN"])
        self._log = app.parent / f"host-{uuid.uuid4().hex[:6]}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "everscore_local.functions",
                    "--app",
                    str(app),
                    "--port",
                    "0",
                    *arguments,
                ],
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the host did not start: {self.log()}"
        self.ready = json.loads(line)

    def log(self) -> str:
        return self._log.read_text()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.ready['port']}{path}"

    def open_gate(self) -> None:
        """Let the functions go on that wait (``do:gate`` and ``do:late``)."""
        Path(f"{self.seen_file}.open").touch()

    def ask(self, path: str, method: str = "GET") -> Any:
        """What /admin answers, None without a body."""
        with urllib.request.urlopen(urllib.request.Request(self.url(path), method=method)) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def seen(self, function: str = "events") -> list[dict[str, Any]]:
        """What the functions noted, in order; a line half written is left out."""
        if not self.seen_file.exists():
            return []
        lines = self.seen_file.read_text().splitlines(keepends=True)
        notes = [json.loads(line) for line in lines if line.endswith("\n")]
        return [note for note in notes if note["function"] == function]

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        return _wait_for(condition, what, self.log)

    def wait_seen(self, count: int, function: str = "events") -> list[dict[str, Any]]:
        self.wait(
            lambda: len(self.seen(function)) >= count,
            f"{count} notes of {function}, has {len(self.seen(function))}",
        )
        return self.seen(function)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)


def _wait_for(
    condition: Callable[[], Any], what: str, log: Callable[[], str] = lambda: "", seconds: float = 120
) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}\n{log()}")


@pytest.fixture(scope="session")
def hub_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of an Event Hubs server with hubs of one, two and four partitions."""
    hubs = [f"hub{n}x{count}:{count}:{GROUP}" for n in range(HUBS) for count in (1, 2, 4)]
    server = HubServer(tmp_path_factory.mktemp("eventhubs"), hubs)
    server.start()
    yield server.connection
    server.end(signal.SIGTERM)


class HubServer:
    """An Event Hubs server that can be started again on its port and its data."""

    def __init__(self, data: Path, hubs: list[str]) -> None:
        self._command = [sys.executable, "-m", "everscore_local.eventhubs", "--data", str(data), "--key", KEY]
        self._command += [part for hub in hubs for part in ("--hub", hub)]
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def connection(self) -> str:
        return (
            f"Endpoint=sb://127.0.0.1:{self._port};SharedAccessKeyName=RootManageSharedAccessKey;"
            f"SharedAccessKey={KEY};UseDevelopmentEmulator=true;"
        )

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*self._command, "--port", str(self._port)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._port = json.loads(self._process.stdout.readline())["port"]

    def end(self, number: int) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=120)
            self._process.stdout.close()


@pytest.fixture
def own_hub(tmp_path: Path, azurite: Any) -> Iterator[tuple[HubServer, Hub]]:
    """A server of one hub for tests that kill it."""
    name = f"own-{uuid.uuid4().hex[:8]}"
    server = HubServer(tmp_path / "hub", [f"{name}:1:{GROUP}"])
    server.start()
    hub = Hub(name, server.connection, azurite.connection_string)
    yield server, hub
    hub.close()
    server.end(signal.SIGTERM)


@pytest.fixture
def own_storage(tmp_path: Path) -> Iterator[str]:
    """The connection string of an Azurite for a test that deletes what all hosts share."""
    command = [sys.executable, "-m", "everscore_local.azurite", "--data", str(tmp_path / "azurite")]
    command += ["--blob-port", "0", "--queue-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield connection_string(ready["blobPort"], ready["queuePort"])
        finally:
            process.terminate()


_used: dict[int, int] = {1: 0, 2: 0, 4: 0}


@pytest.fixture
def new_hub(hub_server: str, azurite: Any) -> Iterator[Callable[..., Hub]]:
    """Makes a hub that nobody else uses."""
    hubs: list[Hub] = []

    def make(partitions: int = 1) -> Hub:
        _used[partitions] += 1
        hub = Hub(f"hub{_used[partitions]}x{partitions}", hub_server, azurite.connection_string)
        hubs.append(hub)
        return hub

    yield make
    for hub in hubs:
        hub.close()


@pytest.fixture
def new_host(tmp_path: Path, azurite: Any) -> Iterator[Callable[..., HostProcess]]:
    """Starts hosts of the tiny app; each test has its own settings, queue and notes."""
    hosts: list[HostProcess] = []
    queue = f"work-{uuid.uuid4().hex[:10]}"
    disabled = {f"AzureWebJobs.{name}.Disabled": "true" for name in ("events", "messages", "ticks")}

    def start(
        *arguments: str,
        hub: Hub | None = None,
        enable: tuple[str, ...] = (),
        host_json: dict[str, Any] | None = None,
        settings: dict[str, str] | None = None,
        **environment: str,
    ) -> HostProcess:
        app = tmp_path / "app"
        if not app.exists():
            shutil.copytree(TINY_APP, app, ignore=shutil.ignore_patterns("__pycache__"))
        if host_json is not None:
            document = json.loads((TINY_APP / "host.json").read_text())
            (app / "host.json").write_text(json.dumps(_merged(document, host_json)))
        if settings is not None:
            (app / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": settings}))
        switched = dict(disabled)
        for name in (*enable, *(("events",) if hub else ())):
            del switched[f"AzureWebJobs.{name}.Disabled"]
        host = HostProcess(
            app,
            {
                **switched,
                "AzureWebJobsStorage": azurite.connection_string,
                "STORAGE": azurite.connection_string,
                "QUEUE": queue,
                "GROUP": GROUP,
                "SCHEDULE": "* * * * * *",
                "SEEN": str(tmp_path / "seen.jsonl"),
                **({"HUB": hub.name, "EVENTHUB": hub.connection} if hub else {}),
                **environment,
            },
            arguments,
        )
        hosts.append(host)
        return host

    yield start
    for host in hosts:
        with contextlib.suppress(subprocess.TimeoutExpired):
            host.stop()
        host.kill()
        assert host.process.stdout is not None
        host.process.stdout.close()


@contextlib.contextmanager
def proxy_of(endpoint: str) -> Iterator[tuple[int, Callable[[dict[str, Any]], None]]]:
    """A proxy before an endpoint: its port, and what sets a fault on it."""
    command = [sys.executable, "-m", "everscore_local.proxy", "--route", f"way:0:{urlsplit(endpoint).port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            control = f"http://127.0.0.1:{ready['controlPort']}/way"

            def set_fault(fault: dict[str, Any]) -> None:
                body = json.dumps(fault).encode()
                urllib.request.urlopen(urllib.request.Request(control, body, method="PUT")).close()

            yield ready["ports"]["way"], set_fault
        finally:
            process.terminate()


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merged(base.get(key, {}), value) if isinstance(value, dict) else value
    return merged


@pytest.fixture
def new_queue(azurite: Any) -> Callable[[str], QueueClient]:
    """Opens a queue, making it where it is missing; texts go in and come out as they are."""
    clients: list[QueueClient] = []

    def open_queue(name: str) -> QueueClient:
        client = QueueClient.from_connection_string(azurite.connection_string, name)
        clients.append(client)
        return client

    yield open_queue  # type: ignore[misc]
    for client in clients:
        client.close()


@pytest.fixture
def blobs(azurite: Any) -> Iterator[BlobServiceClient]:
    """The blob service."""
    with BlobServiceClient.from_connection_string(azurite.connection_string) as client:
        yield client
