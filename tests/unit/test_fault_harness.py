"""The fault harness itself: what it compares, and that the mechanisms it takes out are where it looks for them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.chaos.measured import tables
from tests.chaos.mutations import MECHANISMS
from tests.chaos.reckoning import same
from tests.chaos.report import COLUMNS
from tests.support.app import copy_app
from tests.support.services import ROOT


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_mechanism_is_taken_out_and_leaves_code_that_runs(name: str, tmp_path: Path) -> None:
    """Each mutation changes the app, its settings or its host, and what it changes is still Python."""
    app = copy_app(tmp_path / "app")
    settings: dict[str, str] = {}
    module = MECHANISMS[name].take_out(app, settings)
    trigger = (app / "function_app" / "__init__.py").read_text()
    copies = list((tmp_path / "without").rglob("*.py"))
    changed = [
        path
        for path in copies
        if path.read_text() != (ROOT / path.relative_to(tmp_path / "without")).read_text()
    ]
    for path in [*changed, app / "function_app" / "__init__.py"]:
        ast.parse(path.read_text())
    assert len(changed) == (1 if copies else 0)
    assert (
        changed
        or settings
        or module != "everscore_local.functions"
        or trigger != (ROOT / "function_app" / "__init__.py").read_text()
    )


def test_scores_are_compared_as_numbers() -> None:
    """The store writes 1.0 as 1; scores may differ in the last bits of a float32, and in nothing more."""
    assert same({"value": 1, "label": "late"}, {"value": 0.9999999403953552, "label": "late"})
    assert same({"value": 0}, {"value": 5.96e-08})
    assert not same({"value": 1}, {"value": 0.9999})
    assert not same({"value": 1.0, "label": "late"}, {"value": 1.0, "label": "on time"})
    assert not same({"value": 1.0}, {"value": 1.0, "more": 0.0})
    assert not same(None, 1.0)


def test_what_was_measured_is_printed_as_tables() -> None:
    """The runs' table adds up all rows of a run, and each run's own has a row for each group; columns as printed."""
    row = {name: number for number, name in enumerate(COLUMNS, 1_000)}
    groups = [
        {"group": "g01", "seconds": 5.2, "rows": {"a": row, "b": row}},
        {"group": "g02", "seconds": 7.0, "rows": {"c": row}},
    ]
    printed = tables([{"seed": 7, "commit": "abc", "seconds": 812.3, "groups": groups}])
    runs, title, by_group = printed.split("\n\n")
    heading, _, total = runs.splitlines()
    assert heading.startswith("| seed | commit | seconds | sent | stored |")
    assert heading.endswith("| lost | doubled | stale |")
    assert total.startswith("| 7 | `abc` | 812 | 3,000 | 3,003 |")
    assert title == "Seed 7 by group:"
    assert [line.split(" | ")[:3] for line in by_group.splitlines()[2:]] == [
        ["| g01", "5", "2,000"],
        ["| g02", "7", "1,000"],
    ]
