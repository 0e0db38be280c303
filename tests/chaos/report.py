"""The table of a run, and its progress."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.chaos.reckoning import SHOWN, Row
from tests.support.services import ROOT

if TYPE_CHECKING:
    from tests.chaos.plan import Outcome

out = Console(width=None if sys.stdout.isatty() else 150)
err = Console(stderr=True)

COLUMNS = ("sent", "stored", "superseded", "retried", "dead_lettered", "lost", "doubled", "stale")


def progress() -> Progress:
    """A line for each group."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
        console=err,
    )


def print_table(seed: int, outcomes: Sequence[Outcome], seconds: float) -> None:
    """One row a fault, then what went wrong, if anything did."""
    table = Table(title=f"seed {seed}, {seconds:.0f} s", title_justify="left")
    table.add_column("group")
    table.add_column("fault")
    for column in COLUMNS:
        table.add_column(column.replace("_", "-"), justify="right")
    total = Row()
    for outcome in outcomes:
        for name, row in outcome.rows.items():
            table.add_row(outcome.group, name, *_cells(row), style=None if row.good else "red")
            total += row
        table.add_section()
    table.add_row("", "all", *_cells(total), style="bold")
    out.print(table)
    for outcome in outcomes:
        for note in outcome.notes:
            out.print(f"{outcome.group} {note}", highlight=False, soft_wrap=True)
        for problem in _problems(outcome):
            out.print(f"[red]{outcome.group}[/red] {problem}", markup=True, highlight=False, soft_wrap=True)


def _commit() -> str | None:
    """What was run: the commit's hash, ``-dirty`` after it where files differ; None outside of a clone."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _cells(row: Row) -> list[str]:
    return [f"{getattr(row, column):,}" for column in COLUMNS]


def _problems(outcome: Outcome) -> list[str]:
    found = list(outcome.problems)
    for name, row in outcome.rows.items():
        found += [f"{name}: {problem}" for problem in row.problems[:SHOWN]]
        if len(row.problems) > SHOWN:
            found.append(f"{name}: and {len(row.problems) - SHOWN} more")
    return [problem.replace("[", r"\[") for problem in found]


def print_json(seed: int, outcomes: Sequence[Outcome], seconds: float) -> None:
    """The same as one JSON document."""
    groups = [
        {
            "group": outcome.group,
            "title": outcome.title,
            "seconds": round(outcome.seconds, 1),
            "good": outcome.good,
            "problems": outcome.problems,
            "notes": outcome.notes,
            "rows": {name: asdict(row) for name, row in outcome.rows.items()},
        }
        for outcome in outcomes
    ]
    good = all(outcome.good for outcome in outcomes)
    about = {"seed": seed, "commit": _commit(), "seconds": round(seconds, 1), "good": good}
    json.dump({**about, "groups": groups}, sys.stdout, indent=2)
    sys.stdout.write("\n")
