"""Copies of the function app to change at will, and the real worker library that runs them without a host."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from everscore_local.functions.event_hub_data import PartitionIdentity, ReceivedEvent, build_many
from everscore_local.functions.worker_process import Result, WorkerProcess
from tests.support.services import ROOT

ENDLESS = -1
SOURCE = PartitionIdentity("127.0.0.1", "events", "everscore", "0")
# A moment in which no event was really enqueued.
ENQUEUED_MS = 1_767_225_600_000

# Bytes in an event that the fault below cannot read, and what it then says.
UNREADABLE = "unreadable to the library"
LIBRARY_SAYS = "int() with base 10"
_LIBRARY_FAULT = f"""
from azure.functions import eventhub as _eventhub

_decode = _eventhub.EventHubTriggerConverter.decode


def _fails(data, *, trigger_metadata):
    if b"{UNREADABLE}" in b"".join(data.value.bytes):
        raise ValueError("{LIBRARY_SAYS}")
    return _decode(data, trigger_metadata=trigger_metadata)


_eventhub.EventHubTriggerConverter.decode = _fails
"""


def break_library(app: Path) -> None:
    """Make the worker's library raise before the app sees a batch with an event that holds ``UNREADABLE``."""
    trigger = app / "function_app" / "__init__.py"
    trigger.write_text(trigger.read_text() + _LIBRARY_FAULT)


def copy_app(
    folder: Path,
    *,
    stream: Mapping[str, Any] | None = None,
    host: Mapping[str, Any] | None = None,
    model: bool = True,
) -> Path:
    """A copy of what is deployed, with the flights' own model alone.

    Args:
        folder: where to put it; it must not exist.
        stream: replaces fields of stream.json; None removes one.
        host: replaces sections of host.json's ``extensions``, setting by setting.
        model: whether the model's files are there.
    """
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "function_app", folder / "function_app", ignore=ignore)
    shutil.copy(ROOT / "function_app.py", folder)
    # Not the stream.json of the project, which its user replaces by that of events of their own.
    example = json.loads((ROOT / "models" / "flights" / "stream.json").read_text())
    del example["models"]
    manifest = {**example, "model": "flights", **(stream or {})}
    manifest = {name: value for name, value in manifest.items() if value is not None}
    (folder / "stream.json").write_text(json.dumps(manifest))
    settings = json.loads((ROOT / "host.json").read_text())
    for section, values in (host or {}).items():
        settings["extensions"].setdefault(section, {}).update(values)
    (folder / "host.json").write_text(json.dumps(settings))
    models = folder / "models" / "flights"
    models.mkdir(parents=True)
    if model:
        for name in ("manifest.json", "model.onnx", "golden.jsonl"):
            shutil.copy(ROOT / "models" / "flights" / name, models)
    return folder


def plain_environment() -> dict[str, str]:
    """This process's environment without any setting of the app."""
    from everscore.config.settings import setting_names

    ours = {*setting_names(), "AzureWebJobsStorage", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def received(*bodies: bytes, first: int = 0, key: str | None = None) -> list[ReceivedEvent]:
    """Events as the host's receiver gives them, numbered from ``first``."""
    return [
        ReceivedEvent(body, number, str(number * 100), ENQUEUED_MS + number, key, {}, {})
        for number, body in enumerate(bodies, first)
    ]


class Worker:
    """The worker library in a process of its own, with an app loaded, driven as the host drives it."""

    def __init__(self, process: WorkerProcess) -> None:
        self.process = process
        self.functions = {entry["name"]: entry for entry in process.functions}

    async def invoke(
        self,
        function: str,
        inputs: list[tuple[str, str | None, Any]],
        metadata: Sequence[tuple[str, str | None, Any]] | None = None,
        retry: tuple[int, int, str | None] = (0, 0, None),
    ) -> Result:
        """Run a function once; its result, failed or not."""
        entry = self.functions[function]
        return await self.process.invoke(
            str(uuid.uuid4()), (entry["id"], function), inputs, list(metadata or ()), retry
        )

    async def score(
        self,
        events: Sequence[ReceivedEvent],
        *,
        tries: int = 0,
        previous: str | None = None,
        source: PartitionIdentity = SOURCE,
    ) -> Result:
        """Run score_events under its endless policy."""
        trigger = build_many(events, "events", "BINARY", source)
        return await self.invoke("score_events", trigger.inputs, trigger.metadata, (tries, ENDLESS, previous))

    async def retry(self, message: bytes, dequeue_count: int = 1) -> Result:
        """Run retry_events on a message."""
        metadata: list[tuple[str, str | None, Any]] = [
            ("Id", "string", str(uuid.uuid4())),
            ("DequeueCount", "json", str(dequeue_count)),
        ]
        return await self.invoke("retry_events", [("message", "bytes", message)], metadata)

    async def details(self) -> tuple[int, dict[str, Any]]:
        """Status and body of health_details."""
        request: dict[str, Any] = {"method": "GET", "url": "http://127.0.0.1/api/health/details"}
        request |= {"headers": {}, "query": {}}
        request |= {"params": {}, "body": b"", "identities": []}
        result = await self.invoke("health_details", [("req", "http", request)])
        assert result.error is None, result.error
        value = result.return_value or next(data for name, data in result.outputs if name == "$return")
        assert value is not None
        kind, response = value
        assert kind == "http"
        body = response["body"]
        return int(response["status"]), json.loads(body[1] if isinstance(body, tuple) else body)


@asynccontextmanager
async def worker(app: Path, settings: Mapping[str, str]) -> AsyncIterator[Worker]:
    """The worker library with this app and these settings alone."""
    process = await WorkerProcess.start(
        sys.executable, app, {**plain_environment(), **settings}, verbose=False
    )
    try:
        yield Worker(process)
    finally:
        await process.stop()


def wait_until(met: Any, seconds: float, what: str) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: it is not met in time.
    """
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
