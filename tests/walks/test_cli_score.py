"""`everscore score`: all scores of a file without a stack, and tables in place of JSON lines."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everscore.score.loading import load_named
from tests.support.cli import cli_in
from tests.support.flights import real_flights

COUNT = 600


@pytest.fixture(scope="module")
def events():
    """Some flights; their numbers as an id that only a text keeps."""
    return [{**event, "id": f"{number:05}"} for number, event in enumerate(real_flights(COUNT))]


@pytest.fixture
def cli(tmp_path, events):
    """The command in a copy of the app, with the flights in each format."""
    with cli_in(tmp_path) as cli:
        names = list(events[0])
        (cli.app / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        with (cli.app / "events.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(names)
            rows.writerows([event[name] for name in names] for event in events)
        pq.write_table(pa.Table.from_pylist(events), cli.app / "events.parquet")
        yield cli


def of_json_lines(path):
    """Id, label and values of each row."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        (row["id"], row["scores"]["flights"]["label"], row["scores"]["flights"]["values"]) for row in rows
    ]


@pytest.mark.parametrize("name", ["events.jsonl", "events.csv", "events.parquet"])
def test_each_format_has_the_scores_that_production_gives(cli, events, name) -> None:
    """The same events give the same ids and scores, whatever file they come in."""
    said = cli.json("score", name, "--out", "scores.jsonl")
    assert (said["events"], said["scored"]) == (COUNT, COUNT)
    found = of_json_lines(cli.app / "scores.jsonl")
    wanted = load_named(cli.app / "models" / "flights").score(events)
    assert [(id_, label) for id_, label, _ in found] == [
        (event["id"], scores.label) for event, scores in zip(events, wanted, strict=True)
    ]
    for (_, _, values), scores in zip(found, wanted, strict=True):
        assert values == pytest.approx(scores.values, abs=1e-6)


def test_scores_as_csv_and_parquet(cli) -> None:
    """Columns are named by model and value, and hold the same as JSON lines."""
    for name in ("scores.csv", "scores.parquet", "scores.jsonl"):
        cli.run("score", "events.csv", "--out", name)
    wanted = of_json_lines(cli.app / "scores.jsonl")
    columns = ["row", "id", "flights.label", "flights.value"]
    columns += ["flights.values.late", "flights.values.on time", "error"]
    with (cli.app / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == columns
    assert [(row["row"], row["id"]) for row in rows[:2]] == [("1", "00000"), ("2", "00001")]
    table = pq.read_table(cli.app / "scores.parquet").to_pylist()
    assert list(table[0]) == columns
    for row, other, (id_, label, values) in zip(rows, table, wanted, strict=True):
        assert (row["id"], row["flights.label"]) == (other["id"], other["flights.label"]) == (id_, label)
        assert float(row["flights.value"]) == other["flights.value"] == values["late"]
        assert (row["error"], other["error"]) == ("", None)


def test_what_would_not_be_stored_has_its_row_and_its_reason(cli, events) -> None:
    """No row is left out: neither one that is no JSON, nor one that the model refuses."""
    lines = [json.dumps(events[0]), "hello", json.dumps({**events[1], "hour": "late"}), json.dumps(events[2])]
    (cli.app / "some.jsonl").write_text("\n".join(lines))
    said = cli.json("score", "some.jsonl", "--out", "scores.jsonl", code=1)
    assert (said["events"], said["scored"]) == (4, 2)
    rows = [json.loads(line) for line in (cli.app / "scores.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rows] == [1, 2, 3, 4]
    assert "not JSON" in rows[1]["error"]
    assert "[/hour]" in rows[2]["error"]
    cli.run("score", "some.jsonl", "--out", "scores.csv", code=1)
    assert "row 2: decode: not JSON" in cli.said


def test_standard_input_is_scored(cli, events) -> None:
    """JSON lines from another program."""
    lines = "".join(json.dumps(event) + "\n" for event in events[:3])
    said = cli.json("score", "-", "--out", "scores.jsonl", stdin=lines)
    assert (said["events"], said["scored"]) == (3, 3)


def test_one_model_alone_needs_no_id(cli, events) -> None:
    """--model asks one model, whatever stream.json says of events."""
    bare = {name: value for name, value in events[0].items() if name not in ("id", "time", "date")}
    (cli.app / "bare.jsonl").write_text(json.dumps(bare) + "\n")
    cli.run("score", "bare.jsonl", "--out", "scores.csv", code=1)
    cli.run("score", "bare.jsonl", "--out", "scores.csv", "--model", "flights")
    with (cli.app / "scores.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert row["flights.label"] in ("late", "on time")


def test_nothing_is_half_written(cli) -> None:
    """A file that cannot be read to its end leaves the scores of an earlier run."""
    (cli.app / "scores.csv").write_text("earlier")
    (cli.app / "wrong.csv").write_text("a,b\n1,2\n1,2,3\n")
    cli.run("score", "wrong.csv", "--out", "scores.csv", code=1)
    assert "wrong.csv, row 2 has 3 cells" in cli.said
    assert (cli.app / "scores.csv").read_text() == "earlier"
    assert not list(cli.app.glob("scores.csv.*"))
    cli.run("score", "events.csv", "--out", "events.csv", code=1)
    assert "events.csv holds the events" in cli.said
    cli.run("score", "events.csv", "--out", "scores.xlsx", code=1)
    assert "scores.xlsx has an unknown format" in cli.said
    cli.run("score", "events.csv", "--out", "scores.csv", "--model", "none", code=1)
    assert "The model 'none' cannot be used" in cli.said


def test_a_table_is_sent_as_the_json_of_its_rows(cli, events) -> None:
    """`send` reads CSV and Parquet by the models' types: its dry run has the bodies, ids and scores of JSON lines."""
    wanted = cli.json("send", "events.jsonl", "--dry-run")
    for name in ("events.csv", "events.parquet"):
        found = cli.json("send", name, "--dry-run")
        assert (found["events"], found["scored"]) == (COUNT, COUNT)
        assert found["first"]["id"] == events[0]["id"] == "00000"
        assert found["first"]["scores"] == wanted["first"]["scores"]
        assert found["partitionKey"] == wanted["partitionKey"]
