"""``python -m tests.chaos.measured RUN.json …``: runs that were printed with --json, as the tables of docs/chaos.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.report import COLUMNS

HEADINGS = [column.replace("_", "-") for column in COLUMNS]


def tables(runs: Sequence[Mapping[str, Any]]) -> str:
    """A table with a row for each run; and for each run one with a row for each group."""
    rows = [(str(run["seed"]), _commit(run), _seconds(run), *_totals(run["groups"])) for run in runs]
    parts = [_table(("seed", "commit"), rows)]
    for run in runs:
        groups = [(each["group"], _seconds(each), *_totals([each])) for each in run["groups"]]
        parts += [f"Seed {run['seed']} by group:", _table(("group",), groups)]
    return "\n\n".join(parts)


def _table(first: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    numbers = ["seconds", *HEADINGS]
    lines = [[*first, *numbers], ["---"] * len(first) + ["---:"] * len(numbers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _totals(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [row for group in groups for row in group["rows"].values()]
    return [f"{sum(row[column] for row in rows):,}" for column in COLUMNS]


def _commit(run: Mapping[str, Any]) -> str:
    return f"`{run['commit']}`" if run["commit"] else "unknown"


def _seconds(of: Mapping[str, Any]) -> str:
    return f"{of['seconds']:,.0f}"


if __name__ == "__main__":
    sys.stdout.write(
        tables([json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]) + "\n"
    )
