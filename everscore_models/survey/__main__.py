"""``python -m everscore_models.survey``: tries every row, and writes the data file and docs/frameworks.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

try:
    from everscore_models.survey import boosters, from_elsewhere, scikit_learn
    from everscore_models.survey.case import Case
    from everscore_models.survey.page import page
    from everscore_models.survey.running import run, versions
except ModuleNotFoundError as error:
    sys.exit(f"The survey needs the package {error.name}: `python3 dev.py setup` installs it.")

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "frameworks.md"
# A conversion that hangs is a row of the page, and not the end of the survey.
_SECONDS = 600
_ELSEWHERE = {
    "ML.NET": "Microsoft.ML 5.0.1, FastTree 5.0.1, LightGbm 5.0.1, OnnxConverter 0.23.1",
    "PyTorch": "torch 2.14.1, onnxscript 0.7.2",
    "Keras": "keras 3.15.1",
}


def all_cases() -> list[Case]:
    """Every row, in the order of the page."""
    return [*scikit_learn.cases(), *boosters.cases(), *from_elsewhere.cases()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows, each in a process of its own, two at a time."""
    parser = argparse.ArgumentParser(prog="python -m everscore_models.survey", description=__doc__)
    parser.add_argument("--only", default="", help="only the rows whose name holds this; the rest are kept")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    cases = all_cases()
    if options.case:
        (case,) = [each for each in cases if each.id == options.case]
        sys.stdout.write(json.dumps(run(case)) + "\n")
        return 0
    wanted = [case for case in cases if options.only.lower() in case.id.lower()]
    if not wanted:
        parser.error(f"no row has {options.only!r} in its name")
    kept = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() and options.only else {}
    found = {f"{row['library']}: {row['name']}": row for row in kept.get("rows", [])}
    began = time.monotonic()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(2) as pool:
        task = progress.add_task("survey", total=len(wanted))
        for case, result in zip(wanted, pool.map(_in_a_process, wanted), strict=True):
            found[case.id] = {"library": case.library, "name": case.name, "instead": case.instead, **result}
            progress.update(task, advance=1, description=case.id)
    libraries = dict.fromkeys(case.library for case in cases)
    rows = [found[case.id] for case in cases if case.id in found]
    results = {
        "seconds": kept.get("seconds") or round(time.monotonic() - began),
        "versions": {name: _versions(name) for name in libraries},
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(page(results), "utf-8")
    refused = [row for row in rows if row["verdict"] != "agrees"]
    console.print(f"{len(rows)} rows, {len(refused)} refused: {PAGE}")
    return 0


def _in_a_process(case: Case) -> dict[str, Any]:
    """A row's result; a process that dies or does not end is one too."""
    command = [sys.executable, "-m", "everscore_models.survey", "--case", case.id]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return {"verdict": "failed", "reason": f"It did not end within {_SECONDS // 60} minutes."}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return {"verdict": "failed", "reason": last[0]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _versions(library: str) -> str:
    found = versions(library)
    return _ELSEWHERE.get(library) or ", ".join(f"{name} {number}" for name, number in found.items())


if __name__ == "__main__":
    sys.exit(main())
