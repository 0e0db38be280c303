"""`everscore send`: application properties, and bodies that are no JSON; nothing of it needs a stack."""

from __future__ import annotations

import gzip
import json
import sys

import pytest

from everscore_cli.errors import CliError
from everscore_cli.properties import property_rule
from everscore_cli.sources import read_raw_files, read_raw_lines
from tests.support.cli import cli_in

FLIGHT = {"carrier": "UA", "date": "2013-12-31", "time": "2013-12-31T23:58:00-05:00", "origin": "EWR"}
FLIGHT |= {"dest": "IAH", "distance": 1400, "hour": 23, "month": 12, "dep_delay": 75, "cancelled": False}


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """The command in a copy of the app whose ids stand in a property, with a decoder of lines of `id;JSON`."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    with cli_in(tmp_path, stream={"id": {"property": "message-id"}}) as cli:
        (cli.app / "own_lines.py").write_text(
            "import json\ndef decode(bodies):\n    return [json.loads(body.partition(b';')[2]) for body in bodies]\n"
        )
        yield cli


def test_properties_are_texts_or_fields_of_the_event():
    """Texts and fields of the event become properties; what AMQP has no form for is left out, or sent as a text."""
    of = property_rule(["site=north", "id=/a/b", "big=/c", "flag=/d", "none=/e", "list=/f", "eq=x=/y"])
    assert of is not None
    event = {"a": {"b": 7}, "c": 2**63, "d": True, "e": None, "f": [1]}
    assert of(event) == {"site": "north", "id": 7, "big": str(2**63), "flag": True, "eq": "x=/y"}
    assert of([1]) == {"site": "north", "eq": "x=/y"}
    same = property_rule(["site=north"])
    assert same is not None
    assert same(event) == {"site": "north"}
    assert property_rule([]) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["site"], "give NAME=VALUE"),
        (["=north"], "give NAME=VALUE"),
        (["site="], "give NAME=VALUE"),
        (["site=north", "site=/site"], "--property site is given twice"),
        (["site=/a~2"], "--property site: the JSON Pointer '/a~2'"),
    ],
)
def test_a_wrong_property_is_one_sentence(given, words):
    """What is no property is named, with what is expected."""
    with pytest.raises(CliError, match=words):
        property_rule(given)


def test_dry_run_knows_the_properties(cli):
    """An id that stands in a property is found with --property, and missed without; the first event's are shown."""
    events = cli.app / "events.jsonl"
    events.write_text("".join(json.dumps({**FLIGHT, "key": f"k{number}"}) + "\n" for number in range(3)))
    found = cli.json("send", "events.jsonl", "--dry-run", code=1)
    assert [each["reason"] for each in found["refused"]] == ["id missing"]
    assert "properties" not in found
    arguments = ("send", "events.jsonl", "--dry-run", "--property", "message-id=/key", "--property", "a=b")
    found = cli.json(*arguments)
    assert (found["scored"], found["first"]["id"]) == (3, "k0")
    assert found["properties"] == {"a": "b", "message-id": "k0"}
    cli.run(*arguments)
    assert 'properties {"a": "b", "message-id": "k0"}' in cli.said


def test_raw_lines_and_files_are_bodies_as_they_are(cli):
    """Of lines nothing but the end goes; a file is a body with all its bytes; both reach the own decoder alike."""
    line = b'x; {"id": 1, "carrier": "UA"} \t'
    (cli.app / "events.txt").write_bytes(line + b"\r\n\n" + b"\xff\n" + line)
    lines = [(1, line), (3, b"\xff"), (4, line)]
    assert [each[:2] for chunk in read_raw_lines(str(cli.app / "events.txt")) for each in chunk] == lines
    packed = gzip.compress((cli.app / "events.txt").read_bytes())
    (cli.app / "events.txt.gz").write_bytes(packed)
    assert [each[:2] for chunk in read_raw_lines(str(cli.app / "events.txt.gz")) for each in chunk] == lines
    files = [str(cli.app / "events.txt.gz")] * 101
    assert [each[:2] for chunk in read_raw_files(files) for each in chunk] == [
        (number, packed) for number in range(1, 102)
    ]

    cli.environment["DECODER"] = "own_lines:decode"
    body = "x;" + json.dumps(FLIGHT)
    raw = ("--dry-run", "--property", "message-id=m", "--raw")
    found = cli.json("send", "-", *raw, "lines", stdin=f"{body}\n{body}\r\nx;1\n", code=1)
    assert (found["scored"], found["partitionKey"], found["body"]) == (2, None, body)
    assert [(each["reason"], each["line"]) for each in found["refused"]] == [("not an object", 3)]
    assert cli.json("send", "-", *raw, "files", stdin=body)["first"]["id"] == "m"
    (cli.app / "1.bin").write_bytes(b"\xff;[]")
    found = cli.json("send", "1.bin", "1.bin", *raw, "files", code=1)
    assert (found["events"], found["body"]) == (2, "hex:ff3b5b5d")
    cli.run("send", "1.bin", *raw, "files", code=1)
    assert "1 event would not be, file 1: decode: not an object" in cli.said


def test_a_compressed_file_may_grow_as_in_the_app(cli):
    """--dry-run unpacks a body up to DECOMPRESSED_LIMIT_MIB, as the app does."""
    (cli.app / "large.json.gz").write_bytes(
        gzip.compress(json.dumps({**FLIGHT, "x": "x" * 3_000_000}).encode())
    )
    arguments = ("send", "large.json.gz", "--raw", "files", "--dry-run", "--property", "message-id=m")
    assert cli.json(*arguments)["scored"] == 1
    cli.environment["DECOMPRESSED_LIMIT_MIB"] = "2"
    assert cli.json(*arguments, code=1)["refused"][0]["reason"] == "decompressed too large"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.jsonl", "b.jsonl"], "several files are taken by --raw files alone"),
        (["--raw", "lines", "a", "b"], "several files are taken by --raw files alone"),
        (["--raw", "lines"], "Lines are sent of one file at a time"),
        (["--raw", "files"], "--raw files needs the names of files"),
        (["--raw", "files", "full", "empty"], "empty is empty: expected the body of an event"),
        (["--raw", "files", "full", "gone"], "gone cannot be read: no such file"),
        (["--raw", "files", "models"], "models cannot be read: is a directory"),
        (["--raw", "lines", "empty"], "empty is empty: expected one event a line"),
        (["--raw", "files", "full", "--partition-key", "/id"], "--partition-key reads fields"),
        (["--raw", "files", "full", "--property", "id=/id"], "--property id=/id reads a field"),
        (["-", "--property", "id"], "--property id is none"),
    ],
)
def test_a_mistake_in_what_to_send_is_one_sentence(cli, arguments, words):
    """Files that do not go together or are not there, and options that contradict each other."""
    (cli.app / "full").write_text("body")
    (cli.app / "empty").write_text("")
    cli.run("send", "--dry-run", *arguments, code=1)
    assert words in cli.said
    assert len(cli.said.splitlines()) == 1
