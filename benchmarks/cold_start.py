"""How long a fresh process takes until the app is loaded, its settings are read, and it is ready to score.

The baseline of the same run is a bare interpreter and, with --against, another checkout, asked in turns:

    python benchmarks/cold_start.py
    python benchmarks/cold_start.py --against ../everscore-before
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
STEPS = {
    "a bare interpreter": "pass",
    "the app loaded": "import function_app",
    "its settings read": "import function_app\nfrom everscore.config import settings as s\ns.load_settings()",
    "ready for its first event": "from function_app import composition\ncomposition.build()",
}


def seconds(code: str, where: Path) -> float:
    """Wall-clock seconds of one process."""
    # -P and PYTHONPATH: that checkout's packages, not those installed with this environment.
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": str(where)}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", code], cwd=where, env=environment, check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds of a cold start, step by step.")
    parser.add_argument("--against", type=Path, help="folder of another checkout")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    places = {"here": ROOT} | ({"there": arguments.against.resolve()} if arguments.against else {})
    found: dict[tuple[str, str], list[float]] = {(step, place): [] for step in STEPS for place in places}
    for round_ in range(arguments.rounds + 1):
        for (step, place), times in found.items():
            took = seconds(STEPS[step], places[place])
            if round_:  # the first writes bytecode and warms the disk
                times.append(took * 1000)
    for step in STEPS:
        texts = [f"{place} {statistics.median(found[step, place]):6.0f} ms" for place in places]
        print(f"{step:26}", *texts, sep="  ")


if __name__ == "__main__":
    main()
