"""Events a second of `everscore score`, beside pandas with scikit-learn's own predict, as a ratio.

``python benchmarks/score_file.py [EVENTS]`` trains the flights' pipeline anew. Each command then reads a file
of flights, scores it and writes the scores, in a process of its own on one core; start and imports are in its
time, and loading or unpickling the model. Rounds of them take turns; the medians count.
"""

import gzip
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from everscore_models.trained import load_training

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
PANDAS = """
import pickle, sys
from pathlib import Path
import pandas as pd
events, model, to = sys.argv[1:]
pipeline, columns = pickle.loads(Path(model).read_bytes())
frame = pd.read_json(events, lines=True, convert_dates=False)
scores = pipeline.predict_proba(frame[columns])
labels = pipeline.classes_[scores.argmax(axis=1)]
table = pd.DataFrame({"id": frame["id"], "label": labels, "value": scores[:, 1]})
table.to_csv(to, index=False)
"""


def seconds(*command: str) -> tuple[float, float]:
    """Of a command on one core: time that went by, and processor time."""
    core = min(os.sched_getaffinity(0))
    before, began = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, *command],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return time.perf_counter() - began, cpu


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 111_866
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        events = folder / "events.jsonl"
        with gzip.open(ROOT / "models" / "flights" / "events.jsonl.gz") as lines:
            events.write_bytes(b"".join(islice(lines, count)))
        trained = load_training(ROOT / "models" / "flights")()
        columns = [each.name for each in trained.inputs]
        model = folder / "model.pickle"
        model.write_bytes(pickle.dumps((trained.pipeline, columns)))
        script = folder / "with_pandas.py"
        script.write_text(PANDAS)
        ours = ["-m", "everscore_cli.main", "score", str(events), "--out", str(folder / "ours.csv")]
        commands = {
            "everscore score, both models": ours,
            "everscore score --model flights": [*ours, "--model", "flights"],
            "pandas and scikit-learn": [str(script), str(events), str(model), str(folder / "theirs.csv")],
        }
        found = [[seconds(*command) for command in commands.values()] for _ in range(ROUNDS)]
    baseline = statistics.median(times[-1][1] for times in found)
    for name, times in zip(commands, zip(*found, strict=True), strict=True):
        wall, cpu = (statistics.median(each) for each in zip(*times, strict=True))
        print(
            f"{name:32} {count / wall:9,.0f} events/s   {cpu / count * 1e6:6.1f} µs of CPU an event"
            f"   {cpu / baseline:5.2f}"
        )


if __name__ == "__main__":
    main()
