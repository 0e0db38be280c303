"""R43: affinity errors, a crash or a slow-down in containers with limited CPUs.

Condition: the number of threads is taken from the host's cores.
Right: intra-op and inter-op threads are set explicitly, from a setting, by default 1.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Threads of the process after a score; numpy's own are kept out by its variable.
CODE = """
import os, sys
from pathlib import Path
from everscore.score.onnx import open_session
from everscore.score.loading import load_model

before = len(os.listdir("/proc/self/task"))
threads = int(sys.argv[1])
model = load_model(Path("models/flights"), **({} if threads == 0 else {"threads": threads}))
model.score([{}])
options = model._session.get_session_options()
print(model.threads, options.intra_op_num_threads, options.inter_op_num_threads)
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.parametrize(("given", "threads"), [(0, 1), (1, 1), (3, 3)])
def test_threads_are_those_that_were_asked_for(given: int, threads: int) -> None:
    """By default 1, else as set, whatever the cores of the host; onnxruntime starts no others."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(given)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"OPENBLAS_NUM_THREADS": "1", "PATH": ""},
    )
    told, started = done.stdout.splitlines()
    assert told == f"{threads} {threads} {threads}"
    if Path("/proc/self/task").is_dir():
        # The calling thread is one of them.
        assert int(started) == threads - 1
