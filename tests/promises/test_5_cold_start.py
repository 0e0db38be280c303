"""Promise 5: importing the app needs no settings, no network and no model, and loads little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.app import copy_app, plain_environment, received, worker
from tests.support.flights import bodies
from tests.support.read_back import documents
from tests.support.services import ROOT, Gateway, Services

# Refuses sockets to anywhere and says which modules an import brought along.
_IMPORT = """
import json, socket, sys

def refuse(*_):
    raise AssertionError("an import opened a connection")

socket.socket.connect = socket.create_connection = refuse
sys.path.insert(0, sys.argv[1])
__import__(sys.argv[2])
print(json.dumps(sorted(sys.modules)))
"""


def modules_after(module: str, root: Path) -> set[str]:
    """Modules loaded by importing one in a fresh interpreter without settings."""
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, str(root), module],
        cwd="/",
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return set(json.loads(done.stdout))


def test_the_pipeline_loads_no_azure_sdk() -> None:
    """`import everscore.flow.score_events` finds the pipeline and nothing of azure."""
    loaded = modules_after("everscore.flow.score_events", ROOT)
    assert "everscore.flow.score_events" in loaded
    assert [name for name in loaded if name == "azure" or name.startswith("azure.")] == []


@pytest.mark.parametrize("without_model", [False, True])
def test_the_app_loads_without_settings_network_or_model(tmp_path: Path, without_model: bool) -> None:
    """`import function_app` succeeds with nothing there, and loads neither model libraries nor clients (R38, R02)."""
    root = copy_app(tmp_path / "app", model=not without_model)
    loaded = modules_after("function_app", root)
    assert "azure.functions" in loaded
    heavy = (
        "onnx",
        "onnxruntime",
        "numpy",
        "google.protobuf",
        "grpc",
        "azure.cosmos",
        "azure.storage",
        "azure.identity",
    )
    assert [name for name in loaded for each in heavy if name == each or name.startswith(each + ".")] == []


def test_scoring_loads_neither_onnx_nor_protobuf(tmp_path: Path, services: Services) -> None:
    """What the app needs to score and store an event brings in onnxruntime, but nothing of the converter (R38)."""
    script = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
from everscore.event.item import Item
from everscore.flow.score_events import RetryState
from function_app import runtime

async def main():
    made = runtime.get()
    item = Item(body=sys.argv[2].encode())
    summary = await made.pipeline.score_events([item], RetryState(endless=True))
    assert summary.stored == 1, summary
    await runtime.close()

asyncio.run(main())
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(copy_app(tmp_path / "app")), bodies(1)[0].decode()],
        env={**plain_environment(), **services.settings()},
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = set(json.loads(done.stdout))
    assert "onnxruntime" in loaded
    unwanted = ("onnx", "skl2onnx", "sklearn", "google.protobuf", "grpc", "pandas", "orjson")
    assert [name for name in loaded for each in unwanted if name == each or name.startswith(each + ".")] == []


async def test_the_first_batches_make_one_client_and_one_session(
    tmp_path: Path, services: Services, gateway: Gateway
) -> None:
    """Eight first invocations at once in a fresh worker ask the account as often as one does."""
    import asyncio

    app = copy_app(tmp_path / "app")
    asked = []
    for round_, at_once in enumerate((1, 8)):
        before = gateway.requests("account")
        async with worker(app, services.settings()) as running:
            results = await asyncio.gather(
                *(
                    running.score(received(*bodies(100 * round_ + number), first=100 * round_ + number))
                    for number in range(at_once)
                )
            )
        assert [result.error for result in results] == [None] * at_once
        asked.append(gateway.requests("account") - before)
    assert asked[0] == asked[1]
    assert len(documents(services)) == 9
