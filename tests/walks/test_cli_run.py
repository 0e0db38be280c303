"""`everscore run`, small: the whole chain with its account, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 1_500


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start it; its temporary files go into this folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "everscore_cli.main", "run", "--events", str(EVENTS), *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def of_folder(folder: Path) -> list[psutil.Process]:
    """The live processes whose command line names this folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        named = any(str(folder) in part for part in process.info["cmdline"] or [])
        if named and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def test_a_run_adds_up_and_leaves_nothing(tmp_path) -> None:
    """Every flight is stored, every malformed event is a dead letter, and no process and no file remains."""
    with start(tmp_path, "--json") as process:
        output, said = process.communicate()
    assert process.returncode == 0, said
    found = json.loads(output)
    assert found["addsUp"] is True
    assert found["events"]["all"] == {
        "sent": EVENTS,
        "stored": EVENTS - EVENTS // 100,
        "superseded": 0,
        "deadLettered": EVENTS // 100,
        "lost": 0,
        "doubled": 0,
    }
    assert found["events"]["malformed"]["deadLettered"] == EVENTS // 100
    assert found["waiting"] == {"lag": 0, "retry": 0, "poison": 0}
    latency = found["latencySeconds"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["worst"]
    assert found["fullSpeed"]["stored"] > 0
    assert len(found["documents"]) == 5
    assert found["deadLetter"]["item"]["reason"]
    assert of_folder(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_nothing(tmp_path) -> None:
    """Ended in mid-run by SIGTERM, which it takes as Ctrl-C, it exits with 130; no process or file remains."""
    with start(tmp_path, "--rate", "20") as process:
        assert process.stderr is not None
        assert any("sending at a steady rate" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 130
    assert of_folder(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
