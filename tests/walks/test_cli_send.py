"""`everscore send`: application properties, and bodies that are no JSON; nothing of it needs a stack."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import sys

import pytest

from everscore_cli.errors import CliError
from everscore_cli.properties import property_rule
from everscore_cli.sources import read_chunks, read_raw_files, read_raw_lines
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


def test_properties_are_texts_or_fields_of_the_event() -> None:
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
def test_a_wrong_property_is_one_sentence(given, words) -> None:
    """What is no property is named, with what is expected."""
    with pytest.raises(CliError, match=words):
        property_rule(given)


def test_dry_run_knows_the_properties(cli) -> None:
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
    assert 'properties {"a": "b", "message-id": "k0"}' in cli.run(*arguments)


def test_raw_lines_and_files_are_bodies_as_they_are(cli) -> None:
    """Of lines nothing but the end goes; a file is a body with all its bytes; both reach the own decoder alike."""
    line = b'x; {"id": 1, "carrier": "UA"} \t'
    (cli.app / "events.txt").write_bytes(line + b"\r\n\n" + b"\xff\n" + line)
    lines = [(1, line), (3, b"\xff"), (4, line)]
    assert [each[:2] for chunk in read_raw_lines(str(cli.app / "events.txt")) for each in chunk] == lines
    packed = gzip.compress((cli.app / "events.txt").read_bytes(), mtime=0)
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
    said = cli.run("send", "1.bin", *raw, "files", code=1)
    assert "1 event would not be, file 1: decode: not an object" in said
    assert "\nhex:ff3b5b5d\n" in said


def test_hole_36_a_dry_run_s_result_goes_to_stdout(cli) -> None:
    """Hole 36: what a dry run finds can be piped; stderr has nothing of it, and no byte steers the terminal."""
    events = cli.app / "events.jsonl"
    events.write_text(json.dumps({**FLIGHT, "note": "\x7f\x9b"}, ensure_ascii=False) + "\n")
    said = cli.run("send", "events.jsonl", "--dry-run", "--property", "message-id=m")
    for part in (
        "partition key UA|2013-12-31",
        "body (",
        '"note": "\\u007f\\u009b"',
        "id m",
        "1 of 1 events would",
    ):
        assert part in said
    assert cli.said == ""


@pytest.mark.parametrize("packed", [False, True])
def test_hole_32_a_byte_order_mark_is_the_file_s(cli, packed) -> None:
    """Hole 32: a file of UTF-8 that begins with a byte order mark is sent without it, packed or not, or by stdin."""
    line = json.dumps(FLIGHT).encode()
    raw = codecs.BOM_UTF8 + line + b"\n" + line + b"\n"
    name = str(cli.app / ("events.jsonl.gz" if packed else "events.jsonl"))
    (cli.app / name).write_bytes(gzip.compress(raw, mtime=0) if packed else raw)
    assert [each.body for chunk in read_chunks(name) for each in chunk] == [line, line]
    assert [each.body for chunk in read_raw_lines(name) for each in chunk] == [line, line]
    found = cli.json("send", "-", "--dry-run", "--property", "message-id=m", stdin=raw.decode())
    assert (found["scored"], found["body"]) == (2, line.decode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_hole_32_utf_16_is_named(cli, encoding) -> None:
    """Hole 32: a file in another encoding of JSON is called what it is, whether it has a byte order mark or not."""
    (cli.app / "events.jsonl").write_text(json.dumps(FLIGHT) + "\n", encoding=encoding)
    cli.run("send", "events.jsonl", "--dry-run", code=1)
    assert cli.said == f"error events.jsonl is {encoding[:6].upper()}: save it as UTF-8.\n"


DEEP = "[" * 5_000 + "]" * 5_000
ODD = {
    "digits": '{"x": ' + "7" * 5_000 + "}",
    "deep": '{"x": ' + DEEP + "}",
    "surrogate": json.dumps({**FLIGHT, "note": "\ud800"}),
}


@pytest.mark.parametrize(("odd", "reason"), [("digits", "number"), ("deep", "deep"), ("surrogate", None)])
def test_hole_47_odd_json_is_sent_as_it_is(cli, odd, reason) -> None:
    """Hole 47: a number of 5,000 digits, deep nesting and half a surrogate pair are JSON: the app says what becomes."""
    lines = [json.dumps(FLIGHT), ODD[odd], json.dumps(FLIGHT)]
    (cli.app / "events.jsonl").write_text("\n".join(lines))
    read = [each for chunk in read_chunks(str(cli.app / "events.jsonl")) for each in chunk]
    assert [each.body.decode() for each in read] == lines
    found = cli.json(
        "send", "events.jsonl", "--dry-run", "--property", "message-id=m", code=None if reason is None else 1
    )
    assert found["events"] == 3
    assert (found["scored"], len(found["refused"])) == ((3, 0) if reason is None else (2, 1))
    if reason is not None:
        assert found["refused"][0]["line"] == 2
        assert reason in found["refused"][0]["reason"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"id": NaN}', "line 2 is not JSON: it holds NaN"),
        (b'{"id": 1', "line 2 is not JSON: "),
        (b'{"id": "\xff"}', "line 2 is not UTF-8: byte 9 of it is 0xff"),
    ],
)
def test_hole_47_what_is_no_json_is_named(cli, line, words) -> None:
    """Hole 47: NaN, a cut line and bytes that are no UTF-8 are named as such, with their line."""
    events = cli.app / "events.jsonl"
    events.write_bytes(b"\n".join([json.dumps(FLIGHT).encode(), line, json.dumps(FLIGHT).encode()]))
    with pytest.raises(CliError, match=re.escape(words)):
        list(read_chunks(str(events)))
    found = cli.json("send", "events.jsonl", "--dry-run", "--property", "message-id=m", code=1)
    assert (found["events"], found["scored"], [each["line"] for each in found["refused"]]) == (3, 2, [2])


def test_hole_47_half_a_surrogate_pair_fits_into_no_property() -> None:
    """Hole 47: a property that would hold half of a surrogate pair is refused in a sentence."""
    of = property_rule(["site=/site"])
    assert of is not None
    with pytest.raises(CliError, match="--property site: a text with half of a surrogate pair"):
        of({"site": "\udc00"})


def test_a_compressed_file_may_grow_as_in_the_app(cli) -> None:
    """--dry-run unpacks a body up to DECOMPRESSED_LIMIT_MIB, as the app does."""
    (cli.app / "large.json.gz").write_bytes(
        gzip.compress(json.dumps({**FLIGHT, "x": "x" * 1_900_000}).encode(), mtime=0)
    )
    arguments = ("send", "large.json.gz", "--raw", "files", "--dry-run", "--property", "message-id=m")
    assert cli.json(*arguments)["scored"] == 1
    cli.environment["DECOMPRESSED_LIMIT_MIB"] = "1"
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
def test_a_mistake_in_what_to_send_is_one_sentence(cli, arguments, words) -> None:
    """Files that do not go together or are not there, and options that contradict each other."""
    (cli.app / "full").write_text("body")
    (cli.app / "empty").write_text("")
    cli.run("send", "--dry-run", *arguments, code=1)
    assert words in cli.said
    assert len(cli.said.splitlines()) == 1
