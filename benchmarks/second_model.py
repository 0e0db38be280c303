"""CPU that a second model adds to an event, as a ratio.

``python benchmarks/second_model.py [EVENTS]`` takes real flights through the pipeline as telemetry.py does,
in batches of 256: scored by the flights' model alone, by it and a copy of it, and by it and the second
model of the example. Rounds of the three take turns; the medians count.
"""

import asyncio
import gc
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import telemetry as one_model

from everscore.flow.score_events import RetryState
from everscore.score.loading import ModelSource
from everscore.score.used_models import ModelInUse
from everscore.watch.telemetry import Telemetry

MODELS = one_model.ROOT / "models"


def copy_of_flights(folder: Path) -> Path:
    """The flights' model under another name."""
    copy = folder / "again"
    copy.mkdir()
    for name in ("model.onnx", "golden.jsonl"):
        shutil.copy(MODELS / "flights" / name, copy)
    manifest = json.loads((MODELS / "flights" / "manifest.json").read_text()) | {"name": "again"}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def in_use(*folders: Path) -> list[ModelInUse]:
    return [
        ModelInUse(each.name, ModelSource(each, threads=1), required=number == 0)
        for number, each in enumerate(folders)
    ]


async def measure(count: int) -> None:
    events = one_model.bodies(count)
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of_flights(Path(folder))
        flights, unusual = MODELS / "flights", MODELS / "unusual"
        ways = {
            "flights": in_use(flights),
            "flights and a copy of it": in_use(flights, copy),
            "flights and unusual": in_use(flights, unusual),
        }
        pipelines = {name: one_model.pipeline(Telemetry(None), models) for name, models in ways.items()}
        found: dict[str, list[float]] = {name: [] for name in ways}
        for round_ in range(one_model.ROUNDS + 1):
            for name, pipeline in pipelines.items():
                work = one_model.batches(events)
                gc.collect()
                began = time.process_time()
                for batch in work:
                    summary = await pipeline.score_events(batch, RetryState(endless=True))
                    assert summary.stored == len(batch), str(summary)
                if round_:  # the first loads the models
                    found[name].append((time.process_time() - began) / len(events) * 1e6)
    alone = statistics.median(found["flights"])
    for name, times in found.items():
        median = statistics.median(times)
        print(
            f"{name:26} {median:5.1f} µs of CPU an event, {median - alone:+5.1f}, ratio {median / alone:.2f}"
        )


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
