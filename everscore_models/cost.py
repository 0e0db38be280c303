"""What a model costs: microseconds an event, size, and the memory of a session."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from everscore.score.loading import load_model
from everscore.score.manifest import MODEL_FILE
from everscore.score.model import Model
from everscore_models.trained import Payload

BATCHES = (1, 256)
_LEAST_SECONDS = 0.05
_LONGEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model costs.

    Attributes:
        microseconds: of one event, by the size of the batch; CPU time of reading, scoring and all around it.
        size: of model.onnx in bytes.
        memory: by which a process grows when it loads the model, in bytes; None: not measured.
    """

    microseconds: dict[int, float]
    size: int
    memory: int | None

    def document(self) -> dict[str, Any]:
        """As metrics.json has it."""
        each = {str(batch): round(value, 1) for batch, value in self.microseconds.items()}
        return {"microsecondsPerEvent": each, "modelBytes": self.size, "sessionBytes": self.memory}


def cost_of(folder: Path, model: Model, payloads: Sequence[Payload], *, memory: bool = True) -> Cost:
    """Measures a loaded model on some events, which are repeated as often as is needed."""
    each = {batch: _microseconds(model, payloads, batch) for batch in BATCHES}
    return Cost(each, (folder / MODEL_FILE).stat().st_size, _memory(folder) if memory else None)


def stored(folder: Path) -> float | None:
    """The microseconds of an event in batches of 256 that metrics.json has; None: it has none."""
    try:
        found = json.loads((folder / "metrics.json").read_bytes())["cost"]["microsecondsPerEvent"]["256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(found)


def _microseconds(model: Model, payloads: Sequence[Payload], batch: int) -> float:
    """The best of several calls, since a busy machine only ever makes one slower."""
    events = [payloads[place % len(payloads)] for place in range(batch)]
    model.score(events)
    best, began = float("inf"), time.perf_counter()
    while True:
        start = time.perf_counter()
        model.score(events)
        now = time.perf_counter()
        best = min(best, now - start)
        if now - began > (_LEAST_SECONDS if best < _LEAST_SECONDS else _LONGEST_SECONDS):
            return best / batch * 1e6


def _memory(folder: Path) -> int | None:
    """Measured in a process of its own: in this one, memory that was freed before would serve again."""
    command = [sys.executable, "-m", "everscore_models.cost", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False, cwd=Path(__file__).parents[1])
    return int(json.loads(done.stdout)) if done.returncode == 0 else None


def _grown(folder: Path) -> int:
    # What any model needs is there before this one is loaded.
    import everscore.score.onnx  # noqa: F401, PLC0415

    process = psutil.Process()
    before = process.memory_info().rss
    model = load_model(folder)
    grown = process.memory_info().rss - before
    del model
    return max(0, int(grown))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_grown(Path(sys.argv[1]))))
