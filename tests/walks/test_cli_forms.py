"""What the command shows of ids, scores, connections and an app that is unwell, on one stack."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from pathlib import Path

import pytest

from everscore_cli.commands import query as query_command
from everscore_cli.commands.query import documents_table
from tests.support.app import wait_until
from tests.support.cli import Cli, cli_in

FLIGHT = {"carrier": "UA", "date": "2013-12-31", "time": "2013-12-31T23:58:00-05:00", "origin": "EWR"}
FLIGHT |= {"dest": "IAH", "distance": 1400, "hour": 23, "month": 12, "dep_delay": 75, "cancelled": False}
ROOT = Path(__file__).resolve().parents[2]
# What a query in the documents looks like that reads a score.
SCORE = re.compile(r"""everscore query --sql '(SELECT [^']*\["flights"\]\["value"\][^']*)'""")


@pytest.fixture(scope="module")
def cli(tmp_path_factory) -> Cli:
    """The command on a stack that holds flights of many forms of ids."""
    with cli_in(tmp_path_factory.mktemp("forms")) as cli:
        cli.run("up", "--free-ports")
        ids = [270, 271.5, "270 a", "N/1", "plain"]
        lines = "".join(json.dumps({**FLIGHT, "id": each}) + "\n" for each in ids)
        cli.run("send", "-", stdin=lines)
        cli.settled(documents=len(ids))
        yield cli


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("270", 270),
        ("~n270", 270),
        ("271.5", 271.5),
        ("270 a", "270 a"),
        ("270~20a", "270 a"),
        ("N/1", "N/1"),
        ("plain", "plain"),
    ],
)
def test_hole_33_an_id_is_found_as_it_was_sent_and_as_it_is_stored(
    cli: Cli, given: str, found: object
) -> None:
    """Hole 33: `query ID` takes a number, a text, and the stored form of either."""
    assert json.loads(cli.run("query", given))["event"]["id"] == found


def test_hole_33_ids_and_keys_are_shown_as_they_are_stored(cli: Cli) -> None:
    """Hole 33: the table has both in one form, with which `--sql` and `query ID` find them again."""
    rows = cli.json("query")
    table = documents_table(rows)
    shown = [list(column.cells) for column in table.columns[1:3]]
    assert shown == [[row["id"] for row in rows], [row["pk"] for row in rows]]
    assert "~n270" in shown[0]
    printed = cli.run("query").splitlines()  # to a pipe: whole, a row a line
    assert all(any(row["id"] in line and row["pk"] in line for line in printed) for row in rows)


def test_hole_35_the_documented_query_reads_scores(cli: Cli) -> None:
    """Hole 35: the example in docs/events.md gives a score for each document, and the help has one like it."""
    (sql,) = SCORE.findall((ROOT / "docs/events.md").read_text(encoding="utf-8"))
    rows = cli.json("query", "--sql", sql)
    assert rows
    assert all(isinstance(row["score"], float) for row in rows)
    example = re.search(r"--sql '([^']*)'", query_command.query.__doc__ or "")
    assert example
    assert len(cli.json("query", "--sql", example[1].replace('"m"', '"flights"'))) == 5
    assert '["m"]["value"]' in cli.run("query", "--help")


def test_hole_38_status_has_the_connections_of_a_stack_on_free_ports(cli: Cli) -> None:
    """Hole 38: with `--free-ports` they differ from the file's; what status prints leads to this stack."""
    found = cli.json("status")["connections"]
    stated = json.loads((cli.app / "local.settings.json").read_text())["Values"]
    assert found["EVENTHUB"] != stated["EVENTHUB"]
    text = cli.run("status")
    for name, connection in found.items():
        assert f"\n  {name}={connection}\n" in text
    elsewhere = Cli(cli.app, cli.state.parent / "another")
    elsewhere.environment |= found
    assert elsewhere.json("query", "--sql", "SELECT VALUE COUNT(1) FROM c") == [5]


def test_hole_48_status_fails_while_the_model_does_not_load(cli: Cli) -> None:
    """Hole 48: where a worker that starts finds no model, status names it and exits 1; 0 once it is back."""

    def functions(code: int | None) -> dict:
        parts = {part["part"]: part for part in cli.json("status", code=code)["parts"]}
        return parts["functions"]

    address = f"http://127.0.0.1:{cli.json('up')['ports']['functions']}/admin/host/status"
    assert functions(code=0)["healthy"] is True
    model = cli.app / "models" / "flights" / "model.onnx"
    aside = model.rename(model.with_suffix(".aside"))
    with urllib.request.urlopen(address) as answer:
        worker = json.load(answer)["worker"]["pid"]
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: "model:" in functions(code=None)["detail"], 120, "a worker that looked for its model")
    assert functions(code=1)["healthy"] is False
    assert "model:" in cli.run("status", code=1)
    aside.rename(model)
    wait_until(lambda: functions(code=None)["healthy"], 120, "the model is back")
    assert functions(code=0)["healthy"] is True
