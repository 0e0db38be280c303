"""R42: memory climbs with every run() of the session.

Condition: batches of ever other sizes, texts that were never seen before.
Right: a call has a bounded number of rows, and a soak under a ceiling shows that nothing is kept.
"""

from __future__ import annotations

import gc
import os
import random
from pathlib import Path
from typing import Any

import psutil

from everscore.event.scores import Scores
from everscore.score.loading import load_model
from everscore.score.onnx import MAX_ROWS
from tests.support.flights import flight

ROOT = Path(__file__).resolve().parents[2]
CALLS = 200
CEILING = 24 * 1024 * 1024


def batch(draw: random.Random, rows: int) -> list[Any]:
    """Flights of which carrier, origin and destination are texts that no model has seen."""
    return [
        flight(
            number,
            carrier=f"{draw.getrandbits(64):x}",
            dest=f"{draw.getrandbits(64):x}" if number % 2 else "IAH",
            distance=draw.uniform(1, 5_000),
        )
        for number in range(rows)
    ]


def test_two_hundred_batches_of_any_size_stay_under_a_ceiling() -> None:
    """After a warm-up with the largest batch, batches of 1 to 300 rows with new texts add next to nothing."""
    model = load_model(ROOT / "models" / "flights")
    draw = random.Random(42)
    scored = sum(isinstance(each, Scores) for each in model.score(batch(draw, 300)))
    for _ in range(20):
        model.score(batch(draw, draw.randint(1, 300)))
    process = psutil.Process(os.getpid())
    gc.collect()
    before = process.memory_info().rss
    for _ in range(CALLS):
        scored += sum(isinstance(each, Scores) for each in model.score(batch(draw, draw.randint(1, 300))))
    gc.collect()
    assert process.memory_info().rss - before < CEILING
    assert scored > CALLS  # they were really scored, not refused one and all


def test_a_batch_beyond_the_bound_is_cut(monkeypatch: Any) -> None:
    """However many events come at once, no call of the session has more rows than the bound."""
    import onnxruntime

    model = load_model(ROOT / "models" / "flights")
    rows: list[int] = []
    run = onnxruntime.InferenceSession.run

    def counting(self: Any, names: Any, inputs: Any, *rest: Any) -> Any:
        rows.append(len(next(iter(inputs.values()))))
        return run(self, names, inputs, *rest)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", counting)
    results = model.score([flight(number) for number in range(MAX_ROWS + 10)])
    assert len(results) == MAX_ROWS + 10
    assert rows == [MAX_ROWS, 10]
