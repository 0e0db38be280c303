"""The function app as the worker library sees it, and what must never get into it."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import typing
from importlib import metadata
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from everscore_local.functions.worker_process import WorkerProcess

ROOT = Path(__file__).resolve().parents[3]

# Indexes the app with the library's own code and a real protobuf message for the retry options, as the
# worker in Azure has it; prints the two intervals in seconds.
_INDEX_WITH_PROTOBUF = """
import asyncio, json, sys
from types import SimpleNamespace

sys.path.append(sys.argv[1])
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory
from everscore_local.functions.worker import protos
import azure_functions_runtime as runtime

file = descriptor_pb2.FileDescriptorProto(name="retry.proto", package="test", syntax="proto3")
file.dependency.append("google/protobuf/duration.proto")
message = file.message_type.add(name="RpcRetryOptions")
for number, (name, kind) in enumerate(
    [("max_retry_count", 5), ("delay_interval", 11), ("minimum_interval", 11), ("maximum_interval", 11),
     ("retry_strategy", 9)], 1):
    field = message.field.add(name=name, number=number, type=kind, label=1)
    if kind == 11:
        field.type_name = ".google.protobuf.Duration"
pool = descriptor_pool.DescriptorPool()
pool.AddSerializedFile(duration_pb2.DESCRIPTOR.serialized_pb)
pool.AddSerializedFile(file.SerializeToString())
options = message_factory.GetMessageClass(pool.FindMessageTypeByName("test.RpcRetryOptions"))
protos.RpcRetryOptions = options

def request(verb, value):
    return SimpleNamespace(
        request=SimpleNamespace(**{verb: value}), properties={"protos": protos, "host": "127.0.0.1"}
    )

async def main():
    runtime.start_threadpool_executor()
    init = await runtime.worker_init_request(request(
        "worker_init_request", SimpleNamespace(capabilities={}, function_app_directory=sys.argv[1])))
    assert init.result.status == protos.StatusResult.Success, init.result.exception.message
    listing = await runtime.functions_metadata_request(request("functions_metadata_request", None))
    found = {each.name: each.retry_options for each in listing.function_metadata_results}
    policy = options.FromString(found["score_events"].SerializeToString())
    print(json.dumps({
        "functions": sorted(found),
        "strategy": policy.retry_strategy,
        "count": policy.max_retry_count,
        "minimum": policy.minimum_interval.ToTimedelta().total_seconds(),
        "maximum": policy.maximum_interval.ToTimedelta().total_seconds(),
        "is_duration": policy.minimum_interval.DESCRIPTOR.full_name,
    }))
    runtime.stop_threadpool_executor()

asyncio.run(main())
"""


@pytest.fixture
async def indexed() -> dict[str, dict[str, Any]]:
    """The functions by name, as the worker library reports them to the host, with no setting at all."""
    process = await WorkerProcess.start(sys.executable, ROOT, {"PATH": "/usr/bin:/bin"}, verbose=False)
    try:
        return {
            entry["name"]: {**entry, "bindings": [json.loads(text) for text in entry["bindings"]]}
            for entry in process.functions
        }
    finally:
        await process.stop()


async def test_the_worker_finds_these_functions_with_these_bindings(indexed: dict[str, Any]) -> None:
    """The app has exactly five functions, with these bindings; all names come from settings."""
    assert {name: entry["bindings"] for name, entry in indexed.items()} == {
        "score_events": [
            {
                "direction": "IN",
                "dataType": "BINARY",
                "type": "eventHubTrigger",
                "name": "events",
                "connection": "EVENTHUB",
                "eventHubName": "%EVENTHUB_NAME%",
                "cardinality": "MANY",
                "consumerGroup": "%EVENTHUB_CONSUMER_GROUP%",
            }
        ],
        "retry_events": [
            {
                "direction": "IN",
                "dataType": "BINARY",
                "type": "queueTrigger",
                "name": "message",
                "queueName": "%RETRY_QUEUE%",
                "connection": "STORAGE",
            }
        ],
        "housekeeping": [
            {
                "direction": "IN",
                "type": "timerTrigger",
                "name": "timer",
                "schedule": "0 * * * * *",
                "runOnStartup": False,
                "useMonitor": False,
            }
        ],
        "health": [
            {
                "direction": "IN",
                "type": "httpTrigger",
                "name": "req",
                "methods": ["GET"],
                "authLevel": "ANONYMOUS",
                "route": "health",
            },
            {"direction": "OUT", "type": "http", "name": "$return"},
        ],
        "health_details": [
            {
                "direction": "IN",
                "type": "httpTrigger",
                "name": "req",
                "methods": ["GET"],
                "authLevel": "FUNCTION",
                "route": "health/details",
            },
            {"direction": "OUT", "type": "http", "name": "$return"},
        ],
    }


async def test_only_score_events_is_retried_by_the_host_and_without_end(indexed: dict[str, Any]) -> None:
    """score_events has an endless exponential policy from 1 s to 1 minute, and no other function has any."""
    assert indexed.pop("score_events")["retry"] == {
        "strategy": "exponential_backoff",
        "max_retry_count": -1,
        "delay": None,
        "minimum": 1.0,
        "maximum": 60.0,
    }
    assert [entry["retry"] for entry in indexed.values()] == [None] * 4


def test_the_policy_survives_protobufs_own_duration() -> None:
    """The worker's real message type takes the policy, which once kept apps from starting on Python 3.13."""
    command = [sys.executable, "-c", _INDEX_WITH_PROTOBUF, str(ROOT)]
    found = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    assert found == {
        "functions": ["health", "health_details", "housekeeping", "retry_events", "score_events"],
        "strategy": "exponential_backoff",
        "count": -1,
        "minimum": 1.0,
        "maximum": 60.0,
        "is_duration": "google.protobuf.Duration",
    }


async def test_annotation_and_cardinality_agree(
    indexed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cardinality many goes with a list of events, in the one spelling that the worker accepts."""
    monkeypatch.syspath_prepend(str(ROOT))
    import function_app

    (trigger,) = indexed["score_events"]["bindings"]
    annotation = inspect.signature(function_app.score_events._function.get_user_function()).parameters[
        trigger["name"]
    ]
    assert (trigger["cardinality"], annotation.annotation) == ("MANY", typing.List[func.EventHubEvent])  # noqa: UP006


async def test_what_each_function_says_of_itself_is_logged(indexed: dict[str, Any]) -> None:
    """The host's lines for each invocation are left out, and every function has a level for its own."""
    levels = json.loads((ROOT / "host.json").read_text())["logging"]["logLevel"]
    assert levels["Function"] == "Warning"
    own = {name: level for name, level in levels.items() if name.endswith(".User")}
    assert own == {f"Function.{name}.User": "Information" for name in indexed}


def test_the_marker_file_holds_only_its_comment() -> None:
    """Python imports the package beside function_app.py, so code that ends up in the file would never run."""
    lines = (ROOT / "function_app.py").read_text().splitlines()
    assert lines
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_the_pipeline_knows_no_flights() -> None:
    """Nothing in the pipeline or its triggers is made for the example's data."""
    files = [*(ROOT / "everscore").rglob("*.*"), *(ROOT / "function_app").rglob("*.py")]
    read = [path for path in files if path.suffix in {".py", ".json"}]
    assert len(read) > 20
    assert [path.name for path in read if re.search("flight", path.read_text(), re.IGNORECASE)] == []


def test_the_installed_package_never_exposes_the_app() -> None:
    """An installed function_app would shadow the folder that is deployed."""
    files = metadata.files("everscore")
    assert files
    names = {Path(str(file)).parts[0].removesuffix(".py") for file in files}
    found = subprocess.run(
        [sys.executable, "-P", "-c", "import importlib.util as u; print(u.find_spec('function_app'))"],
        cwd="/",
        check=True,
        capture_output=True,
        text=True,
    )
    assert "function_app" not in names
    assert found.stdout.strip() == "None"
