"""All promises at once: the short form of the fault harness, which ``python -m tests.chaos`` runs in full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.services import ROOT


def test_the_most_telling_fault_of_each_group(tmp_path: Path) -> None:
    """Under every kind of fault each event sent ends as exactly one of stored, superseded and dead-lettered, none stale."""
    command = [sys.executable, "-m", "tests.chaos", "short", "--json", "--keep", str(tmp_path / "chaos")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.stdout, run.stderr
    report = json.loads(run.stdout)
    (group,) = report["groups"]
    wrong = {name: row["problems"] for name, row in group["rows"].items() if row["problems"]}
    assert (group["problems"], wrong) == ([], {}), f"seed {report['seed']}"
    assert run.returncode == 0
    assert report["good"]
    assert len(group["rows"]) == 10
    assert all(row["sent"] and row["acted"] for row in group["rows"].values())
