"""Fixtures: the Cosmos stand-in as a process of its own, and Microsoft's clients for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.auth import _get_authorization_header

ROOT = Path(__file__).resolve().parents[3]
KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="


class _Signer:
    """What the SDK's own signing function asks for."""

    def __init__(self, key: str) -> None:
        self.master_key = key
        self.resource_tokens = None


class StandIn:
    """A running stand-in."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self._options = options
        self.start()

    def start(self) -> None:
        """Start the process and wait for its ready line."""
        command = [sys.executable, "-m", "everscore_local.cosmos", "--port", "0", "--control-port", "0"]
        command += [
            "--data",
            str(self.data),
            "--database",
            "everscore",
            "--container",
            "events",
            *self._options,
        ]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, "the stand-in did not start"
        ready = json.loads(line)
        assert ready["ready"] == "cosmos"
        self.port, self.control_port = ready["port"], ready["controlPort"]
        self.url = f"http://127.0.0.1:{self.port}/"

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Stop the process and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        code = self.process.wait(120)
        self.process.stdout.close()
        return code

    def control(self, method: str, path: str, body: Any = None, host: str | None = None) -> Any:
        """Send a request to the control port and return the answer."""
        status, answer = self.control_raw(method, path, body, host)
        assert status == 200, answer
        return answer

    def control_raw(
        self, method: str, path: str, body: Any = None, host: str | None = None
    ) -> tuple[int, Any]:
        """Send a request to the control port and return status and answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"host": host} if host else {}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control_port}{path}", data, headers, method=method
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def http(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        key: str = KEY,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request of one's own, signed as the SDK signs."""
        segments = [part for part in path.split("/") if part]
        named = len(segments) % 2 == 0
        kind = (segments[-2] if named else segments[-1]) if segments else ""
        link = "/".join(segments if named else segments[:-1])
        sent = {"x-ms-date": formatdate(usegmt=True), **(headers or {})}
        token = _get_authorization_header(
            _Signer(key), method, path, link, True, kind, {"x-ms-date": sent["x-ms-date"]}
        )
        sent.setdefault("authorization", quote(token, "-_.!~*'()"))
        request = urllib.request.Request(self.url.rstrip("/") + quote(path), body, sent, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """One stand-in for the tests of a file; each takes a partition key of its own."""
    running = StandIn(tmp_path_factory.mktemp("cosmos"))
    yield running
    assert running.stop() == 0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., StandIn]]:
    """Start stand-ins of a test's own; they are killed at its end."""
    running: list[StandIn] = []

    def factory(*options: str, data: Path | None = None) -> StandIn:
        running.append(StandIn(data or tmp_path / "data", *options))
        return running[-1]

    yield factory
    for one in running:
        one.stop(signal.SIGKILL)


@pytest.fixture
async def container(stand_in: StandIn) -> AsyncIterator[ContainerProxy]:
    """The container `events` through the asynchronous client, with no special options."""
    stand_in.control("DELETE", "/faults")
    async with CosmosClient(stand_in.url, KEY) as client:
        yield client.get_database_client("everscore").get_container_client("events")


@pytest.fixture
def pk() -> str:
    """A partition key that no other test uses."""
    return f"pk-{uuid.uuid4()}"


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Tell whether a process runs (a zombie does not)."""

    def check(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        stat = Path(f"/proc/{pid}/stat")
        return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")

    return check
