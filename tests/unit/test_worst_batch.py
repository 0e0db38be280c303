"""The memory of a worker on the worst batches that are legal, as benchmarks/memory.py measures it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.app import plain_environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("kind", "one_event"),
    [("one event a body", True), ("lists of large records", False), ("lists of small records", False)],
)
def test_hole_06_a_worker_stays_within_its_memory_on_the_worst_batch(kind, one_event) -> None:
    """Below 150 MB plus three times the bodies, with four partitions of 256 bodies of 24 KB at once, of which a tenth
    is gzip of 1:1,000 and a tenth lists of 12,000 records.
    """
    done = subprocess.run(
        [sys.executable, "benchmarks/memory.py", "--json", "--kind", kind, "--budget", "0"],
        cwd=ROOT,
        env=plain_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    [found] = json.loads(done.stdout)
    assert found["bodies"] > 20
    assert found["peak"] < 150 + 3 * found["bodies"]
    # Of 1,024 bodies 103 are too large once unpacked, and 103 hold too many records, or are no single event.
    assert found["letters"] == 103 + 103
    assert found["stored"] == found["received"] - 206
    assert (found["received"] == 1_024) is one_event
    assert found["queued"] == 0
