"""Fixtures that start real servers on free ports of this machine."""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, settings

from everscore_cli.demo.example import is_of_example
from everscore_local import loopback, processes
from everscore_local.azurite import AzuriteError, connection_string, find_node, find_script
from everscore_local.endpoints import Ports
from everscore_local.stack import PARTS, Stack, StackOptions

ROOT = Path(__file__).resolve().parents[1]

# One profile for every property test. A machine that is busy makes an example slow, and that is no fault.
# Examples differ from run to run, so that many runs see more; a failure prints what brings it back.
settings.register_profile(
    "everscore", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("everscore")

# Whoever starts the tests in the background makes them, and all that they start, deaf to Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure() -> None:
    """Where the set-up is older than the checkout, say so once, not by hundreds of tests that start no server."""
    try:
        find_node(find_script())
    except AzuriteError as error:
        raise pytest.UsageError(f"{error} `make setup` brings what is missing.") from error


@pytest.fixture(scope="session", autouse=True)
def without_proxy_to_itself() -> None:
    """Whatever proxy the machine has, no test asks it for a server of its own."""
    os.environ.update(loopback.without_proxy(os.environ))


@dataclass(frozen=True)
class AzuriteProcess:
    """A running Azurite, its state in a temporary folder.

    Attributes:
        blob_port: port of the blob service.
        queue_port: port of the queue service.
        connection_string: for the storage SDKs, and for STORAGE and AzureWebJobsStorage.
        blob_endpoint: URL of the account's blobs, without a slash at its end.
        queue_endpoint: URL of the account's queues, without a slash at its end.
    """

    blob_port: int
    queue_port: int
    connection_string: str
    blob_endpoint: str
    queue_endpoint: str


class StartStack(Protocol):
    """Starts a local stack on free ports with a temporary state; it is stopped when the fixture ends.

    Args:
        parts: which parts; default all.
        host: replaces settings of host.json's ``extensions``, by section; makes a copy of the app.
        stream: replaces fields of stream.json; makes a copy of the app.
        environment: settings of the app besides the connections and names.
    """

    def __call__(
        self,
        *,
        parts: tuple[str, ...] = PARTS,
        host: Mapping[str, Any] | None = None,
        stream: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Stack: ...


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzuriteProcess]:
    """One Azurite for the test session (of each xdist worker). Use container and queue names of your own."""
    folder = tmp_path_factory.mktemp("azurite")
    mark = f"test-{os.getpid()}-{uuid.uuid4()}"
    arguments = ["--blob-port", "0", "--queue-port", "0", "--data", str(folder / "data")]
    launch = processes.Launch(
        name="azurite",
        command=[sys.executable, "-m", "everscore_local.azurite", *arguments],
        folder=ROOT,
        environment={processes.MARK: mark},
        log=folder / "azurite.log",
        dies_with_parent=True,
    )
    try:
        ready = processes.Starting(launch).wait().ready
        blob_port, queue_port = ready["blobPort"], ready["queuePort"]
        yield AzuriteProcess(
            blob_port,
            queue_port,
            connection_string(blob_port, queue_port),
            f"http://127.0.0.1:{blob_port}/devstoreaccount1",
            f"http://127.0.0.1:{queue_port}/devstoreaccount1",
        )
    finally:
        processes.end(processes.marked(mark), 20)


@pytest.fixture(scope="session", autouse=True)
def app_of_example(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where stream.json is of somebody's own events, the app that tests run in this process is one of flights."""
    if not is_of_example(ROOT):
        from function_app import composition
        from tests.support.app import copy_app

        composition.ROOT = copy_app(tmp_path_factory.mktemp("flights") / "app")


@pytest.fixture
def start_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartStack]:
    """Starts stacks of a test's own."""
    yield from _starter(tmp_path_factory)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole stack with the app as it is, shared by the tests of one file."""
    for start in _starter(tmp_path_factory):
        yield start()


def _starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartStack]:
    started: list[Stack] = []

    def start(
        *,
        parts: tuple[str, ...] = PARTS,
        host: Mapping[str, Any] | None = None,
        stream: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Stack:
        folder = tmp_path_factory.mktemp("stack")
        app = ROOT
        if host or stream or not is_of_example(ROOT):
            from tests.support.app import copy_app

            app = copy_app(folder / "app", host=host, stream=stream)
        # Not the developer's local.settings.json.
        values = folder / "settings.json"
        values.write_text(json.dumps({"Values": {}}))
        stack = Stack.new(
            StackOptions(
                state=folder / "state",
                app=app,
                ports=Ports.free(),
                host_environment=environment or {},
                host_settings=values,
                dies_with_parent=True,
            )
        )
        started.append(stack)
        stack.start(parts)
        return stack

    try:
        yield start
    finally:
        for each in started:
            each.stop()
