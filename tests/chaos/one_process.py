"""The Functions host without a child process: when the worker dies, so does the host, as if both were one.

For the proof that the harness notices; nothing else uses it.
"""

from __future__ import annotations

import os
import sys

from everscore_local.functions import __main__ as host
from everscore_local.functions.worker_process import WorkerProcess

_bury = WorkerProcess._bury


def _die(worker: WorkerProcess) -> None:
    _bury(worker)
    if worker._process.returncode:
        os._exit(139)


WorkerProcess._bury = _die  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    sys.exit(host.main())
