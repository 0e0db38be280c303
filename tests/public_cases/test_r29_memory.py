"""R29: python exits with code 137 and starts again in a loop.

Condition: the model once for each worker process, times their number, is more than the instance's memory.
Right: one session a process and one process, a memory budget that is stated and kept; killed in mid-batch means that
the batch comes again, and that changes nothing.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.app import copy_app, plain_environment
from tests.support.read_back import dead_letters, documents, queued
from tests.support.services import ROOT, Services

# Scores and stores real flights in a process of its own, says what memory that took, and is killed where asked.
_SCRIPT = """
import asyncio, json, os, resource, signal, sys
sys.path.insert(0, sys.argv[1])
from everscore.event.item import Item, Source
from everscore.flow.score_events import RetryState
from function_app import runtime
from tests.support.flights import body, real_flights

async def main():
    made = runtime.get()
    flights = real_flights(1_000)
    items = [
        Item(body=body(each), source=Source("ns", "events", "0", number, str(number), "2026-01-01T00:00:00.000Z"))
        for number, each in enumerate(flights)
    ]
    found = {"stored": 0, "superseded": 0}
    for start in range(0, 1_000, 250):
        summary = await made.pipeline.score_events(items[start:start + 250], RetryState(endless=True))
        found["stored"] += summary.stored
        found["superseded"] += summary.superseded
        if sys.argv[2] == "killed" and start == 250:
            os.kill(os.getpid(), signal.SIGKILL)
    await runtime.close()
    print(json.dumps(found | {"megabytes": megabytes()}))

def megabytes():
    # Linux hands ru_maxrss on from the process that started this one; VmHWM is of this program alone.
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024

asyncio.run(main())
"""


def run(app: Path, services: Services, how: str) -> subprocess.CompletedProcess[str]:
    """The script with the app's settings."""
    return subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(app), how],
        cwd=ROOT,
        env={**plain_environment(), **services.settings()},
        capture_output=True,
        text=True,
        check=False,
    )


def test_killed_in_mid_stream_it_stays_within_its_memory_and_repeats_nothing(
    tmp_path: Path, services: Services
) -> None:
    """After a SIGKILL (137) the same events come again: none is stored twice, and memory stays within what is stated."""
    app = copy_app(tmp_path / "app")
    killed = run(app, services, "killed")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = {each["id"]: each["_etag"] for each in documents(services)}
    assert len(before) == 500
    again = run(app, services, "whole")
    assert again.returncode == 0, again.stderr
    found: dict[str, Any] = json.loads(again.stdout)
    assert (found["stored"], found["superseded"]) == (500, 500)
    after = {each["id"]: each["_etag"] for each in documents(services)}
    assert len(after) == 1_000
    assert before.items() <= after.items()
    assert queued(services) == 0
    assert dead_letters(services) == []
    assert found["megabytes"] < stated_megabytes()


def stated_megabytes() -> float:
    """What infra/sizes.bicep says that model and SDKs take."""
    text = (ROOT / "infra" / "sizes.bicep").read_text()
    stated = re.search(r"the model and the SDKs take about (\d+) MB", text)
    assert stated is not None
    return float(stated[1])


def test_one_process_an_instance() -> None:
    """Nothing deployed raises the number of worker processes, each of which would hold a model of its own."""
    files = [*(ROOT / "infra").rglob("*.bicep"), ROOT / "host.json", ROOT / "local.settings.example.json"]
    assert [path.name for path in files if "FUNCTIONS_WORKER_PROCESS_COUNT" in path.read_text()] == []
