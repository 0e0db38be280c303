"""The local stack as its user has it: up, send, status, query, logs, restart, reset, down."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from everscore_local import processes
from everscore_local.state import read_state
from tests.support.cli import Cli, cli_in

ROOT = Path(__file__).resolve().parents[2]
OWN = [
    {"id": "walk-1", "carrier": "UA", "date": "2013-12-31", "time": "2013-12-31T23:58:00-05:00"},
    {"id": "walk/2", "carrier": "UA", "date": "2013-12-31", "time": "2013-12-31T23:59:00-05:00"},
]
INPUTS = {"origin": "EWR", "dest": "IAH", "distance": 1400, "hour": 23, "dep_delay": 75, "cancelled": False}


@pytest.fixture
def cli(tmp_path):
    """The command in a copy of the app; whatever it leaves running is ended."""
    with cli_in(tmp_path) as cli:
        yield cli


def settled(cli: Cli, documents: int) -> dict:
    """The status once the store holds so many documents and nothing waits."""
    deadline = time.monotonic() + 180
    while True:
        status = cli.json("status")
        waiting = status["lag"] + status["retryQueueMessages"] + status["poisonQueueMessages"]
        if status["documents"] >= documents and waiting == 0:
            return status
        assert time.monotonic() < deadline, json.dumps(status)
        time.sleep(0.3)


def test_a_day_with_the_local_stack(cli, tmp_path) -> None:
    """Every command does what its help says, on one stack, from up to down."""
    up = cli.json("up", "--free-ports")
    assert set(up["parts"]) == {"eventhubs", "cosmos", "azurite", "functions"}
    assert "local.settings.json was copied" in cli.said

    sent = cli.json("send", "--count", "300")
    assert sent["sent"] == 300
    lines = "".join(json.dumps({**INPUTS, **event}) + "\n" for event in OWN)
    assert cli.json("send", "-", "--rate", "50", stdin=lines)["sent"] == 2
    malformed = tmp_path / "malformed.jsonl"
    malformed.write_text('["no object"]\n\n')
    assert cli.json("send", str(malformed))["sent"] == 1

    status = settled(cli, 302)
    assert status["documents"] == 302
    assert status["deadLetters"] == 1
    assert [part["healthy"] for part in status["parts"]] == [True] * 4
    assert (
        sum(partition["last"] + 1 for partition in status["partitions"] if partition["last"] is not None)
        == 303
    )
    assert all(partition["checkpoint"] == partition["last"] for partition in status["partitions"])

    latest = cli.json("query")
    assert len(latest) == 10
    assert latest[0]["event"]["id"] == "walk/2"
    assert [row["time"] for row in latest] == sorted((row["time"] for row in latest), reverse=True)
    assert "walk-1" in cli.run("query", "-n", "2")
    by_id = json.loads(cli.run("query", "walk/2"))  # stored under its encoded id
    assert by_id["id"] == "walk~2f2"
    assert by_id["scores"]["flights"]["label"] == "late"
    assert cli.json("query", "--sql", "SELECT VALUE COUNT(1) FROM c") == [302]
    cli.run("query", "nobody", code=1)
    assert "There is no document with the id nobody" in cli.said

    assert "score_events" in cli.run("logs", "functions", "-n", "100")

    # Settings are taken up by a restart; the file that was copied is never written over.
    settings = cli.app / "local.settings.json"
    settings.write_text(settings.read_text().replace('"Values": {', '"Values": {"BRAKE_HOURS": "1",'))
    edited = settings.read_text()
    host = up["parts"]["functions"]["pid"]
    cli.run("restart")
    again = cli.json("up")
    assert settings.read_text() == edited
    assert again["ports"] == up["ports"]
    assert again["parts"]["functions"]["pid"] != host
    assert again["parts"]["eventhubs"]["pid"] == up["parts"]["eventhubs"]["pid"]
    cli.json("send", "--count", "20", "--skip", "300")
    assert settled(cli, 322)["documents"] == 322

    # What a stack holds outlives it.
    mark = read_state(cli.state).mark
    assert sorted(cli.json("down")["stopped"]) == sorted(up["parts"])
    assert processes.marked(mark) == []
    # Another stack may run on the ports of the settings: to port 1 nobody listens.
    settings.write_text(re.sub(r"(?<=127\.0\.0\.1:)\d+", "1", edited))
    cli.run("status", code=1)
    assert "The local stack is not running" in cli.said
    cli.run("services", "--detach", "--free-ports")
    assert cli.json("query", "--sql", "SELECT VALUE COUNT(1) FROM c") == [322]

    cli.run("reset", stdin="n\n", code=1)
    assert (cli.state / "cosmos").exists()
    mark = read_state(cli.state).mark
    cli.run("reset", "--yes")
    assert processes.marked(mark) == []
    assert not any(path.name != "lock" for path in cli.state.iterdir())
    assert cli.json("down")["stopped"] == []


def test_somebody_elses_stack_is_left_alone(cli) -> None:
    """A command does not stop, empty or send to a stack in its state folder that runs another app."""
    cli.run("services", "--detach", "--free-ports")
    mark = read_state(cli.state).mark
    other = Cli(ROOT, cli.state)
    for command in (["down"], ["reset", "--yes"], ["send", "--count", "1"]):
        other.run(*command, code=1)
        assert f"runs the app in {cli.app.resolve()}" in other.said
    assert len(processes.marked(mark)) >= 3
    cli.run("down")


def test_no_partition_is_skipped_before_a_host_has_run(cli):
    """Without the host's container there is no checkpoint: the command says so, and makes no dead letter first."""
    cli.run("services", "--detach", "--free-ports")
    cli.json("send", "--count", "1")
    (filled,) = (each for each in cli.json("status", code=None)["partitions"] if each["last"] is not None)
    cli.run("partition", "skip", filled["id"], "--to", "0", "--yes", code=1)
    assert "no Functions host has run with this storage yet: start it with `everscore up` first" in " ".join(
        cli.said.split()
    )
    assert cli.json("deadletters", "list")["total"] == 0
    cli.run("down")
