"""A train.py to fill in, for `everscore model new`."""

TRAIN = '''"""The model {name}: fill in what is marked, then `python -m everscore_models train {name}`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from everscore_models import Input, InputType, Trained, read_frame

# Fill in: JSON lines, each {{"event": the payload, "outcome": what came of it, "time": of the event}}.
ROWS = Path(__file__).parent / "rows.jsonl"

# Fill in: the fields that the model looks at, where they stand in an event, and what when they are missing.
INPUTS = [
    Input(name="temperature", pointer="/temperature", type=InputType.NUMBER, missing="nan"),
    Input(name="vibration", pointer="/vibration", type=InputType.NUMBER, missing="nan"),
]

# Fill in: the outcome whose probability is the value.
POSITIVE = "failed"


def train(rows: Path | None = None) -> Trained:
    """Fits the model to four fifths of the rows, the oldest; the rest are held out."""
    known = _read(rows or ROWS)
    cut = len(known) * 4 // 5
    events = [each["event"] for each in known]
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())  # fill in: your own
    pipeline.fit(read_frame(events[:cut], INPUTS), [each["outcome"] for each in known[:cut]])
    return Trained(
        version="1.0.0",
        pipeline=pipeline,
        inputs=INPUTS,
        held_out=events[cut:],
        data=(rows or ROWS).name,
        rows=cut,
        positive=POSITIVE,
        sample=events[cut:][:20],
    )


def _read(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda each: str(each["time"]))
'''
