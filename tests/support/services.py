"""The stand-ins of Cosmos DB and Storage as processes of their own, and names of a test's own in them."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from everscore_local import processes
from everscore_local.endpoints import COSMOS_KEY, EVENTHUBS_KEY, EVENTHUBS_KEY_NAME, Names
from everscore_local.provision import provision_cosmos, provision_storage

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port on which nobody listens; whoever connects there is refused."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def part(name: str, folder: Path, *arguments: str) -> Iterator[processes.Running]:
    """One stand-in for as long as the block runs; it and what it started end with it."""
    mark = f"test-{os.getpid()}-{uuid.uuid4()}"
    launch = processes.Launch(
        name=name,
        command=[sys.executable, "-m", f"everscore_local.{name}", *arguments],
        folder=ROOT,
        environment={processes.MARK: mark},
        log=folder / f"{name}.log",
        dies_with_parent=True,
    )
    try:
        yield processes.Starting(launch).wait()
    finally:
        processes.end(processes.marked(mark), 20)


@dataclass(frozen=True)
class Gateway:
    """A running Cosmos DB stand-in.

    Attributes:
        port: of the account.
        control_port: for faults, throttling and state.
    """

    port: int
    control_port: int

    @property
    def connection_string(self) -> str:
        """For COSMOS."""
        return f"AccountEndpoint=http://127.0.0.1:{self.port}/;AccountKey={COSMOS_KEY};"

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the control port; its answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.control_port}{path}", data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def state(self) -> dict[str, Any]:
        """Documents, accepted writes, requests by operation, statuses."""
        return dict(self.control("GET", "/state"))

    def requests(self, operation: str) -> int:
        """How many requests of an operation came since the start."""
        return int(self.state()["requests"].get(operation, 0))

    @contextmanager
    def faults(self, *rules: Mapping[str, Any]) -> Iterator[None]:
        """These faults for as long as the block runs."""
        self.control("POST", "/faults", list(rules))
        try:
            yield
        finally:
            self.control("DELETE", "/faults")


@contextmanager
def cosmos_gateway(folder: Path, *options: str) -> Iterator[Gateway]:
    """A Cosmos DB stand-in without any database."""
    ports = ("--port", "0", "--control-port", "0")
    with part("cosmos", folder, *ports, "--data", str(folder / "data"), *options) as running:
        yield Gateway(running.ready["port"], running.ready["controlPort"])


class Relay:
    """A port that leads to a server as long as it is open, and refuses every connection while it is shut.

    For an outage that one client sees and others, which go to the server itself, do not.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def open(self) -> None:
        """Let connections through."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """Cut what is connected, and refuse what comes."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            cut = list(self._open)
        for each in cut:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            pair = _Pair(client, server, self._forget)
            threading.Thread(target=pair.pump, args=(client, server), daemon=True).start()
            threading.Thread(target=pair.pump, args=(server, client), daemon=True).start()

    def _forget(self, pair: _Pair) -> None:
        with self._lock:
            self._open -= {pair.client, pair.server}


class _Pair:
    """A connection and its other half; closed when both directions have ended."""

    def __init__(self, client: socket.socket, server: socket.socket, ended: Any) -> None:
        self.client, self.server = client, server
        self._ended = ended
        self._left = 2
        self._lock = threading.Lock()

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Copy one direction until it ends."""
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._ended(self)
            self.client.close()
            self.server.close()


@dataclass(frozen=True)
class Services:
    """A store and a storage account, with database, queue and containers of a test's own.

    Attributes:
        gateway: the store.
        storage: connection string of the storage account.
        names: of what was created in them.
        extra: further settings, which win.
    """

    gateway: Gateway
    storage: str
    names: Names
    extra: Mapping[str, str] = field(default_factory=dict)

    def settings(self, **changed: str) -> dict[str, str]:
        """The app's settings; the hub's address is one where nobody listens."""
        hub = (
            f"Endpoint=sb://127.0.0.1:{free_port()};SharedAccessKeyName={EVENTHUBS_KEY_NAME};"
            f"SharedAccessKey={EVENTHUBS_KEY};UseDevelopmentEmulator=true;"
        )
        return {
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "AzureWebJobsStorage": self.storage,
            "EVENTHUB": hub,
            "COSMOS": self.gateway.connection_string,
            "STORAGE": self.storage,
            **self.names.settings(),
            **self.extra,
            **changed,
        }


def own_names() -> Names:
    """Names that no other test uses."""
    mark = uuid.uuid4().hex[:10]
    return Names(
        database=f"db-{mark}",
        container="events",
        queue=f"retry-{mark}",
        dead_letters=f"letters-{mark}",
        claim_checks=f"checks-{mark}",
    )


def own_services(gateway: Gateway, storage: str) -> Services:
    """Everything that a deployment creates, under names of a test's own."""
    names = own_names()
    provision_cosmos(gateway.connection_string, names)
    provision_storage(storage, names)
    return Services(gateway, storage, names)
