"""What the command writes to a terminal: nothing that others wrote may steer it."""

from __future__ import annotations

import json

import pytest

from everscore.adapters.blobs import Letter
from everscore_cli.console import escape, json_fields, print_json, readable, visible
from everscore_cli.stack_health import PartHealth


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä €\ttab\nline", "plain ä €\ttab\nline"),
        ("\x1b[2J\x07", "\\u001b[2J\\u0007"),
        ("\x9b31m\x7f\r", "\\u009b31m\\u007f\\u000d"),
        ("\ud800", "\\ud800"),
    ],
)
def test_hole_36_no_control_character_reaches_the_terminal(text: str, shown: str):
    """Hole 36: what would steer a terminal, or has no form in its encoding, is spelt out."""
    assert visible(text) == shown
    assert shown.encode()


def test_hole_36_the_same_in_what_rich_prints():
    """Hole 36: words in square brackets and control characters are both taken as text."""
    assert escape("[red]\x1b[0m") == "\\[red]\\u001b[0m"


def test_hole_36_json_stays_the_same_document(capsys):
    """Hole 36: `--json` is written without control characters and half pairs, and reads as what was given."""
    value = {"a": "\x1b\x7f\x9b\ud800 ä"}
    print_json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()


def test_a_body_that_is_no_text_is_hexadecimal():
    """Bytes that are no UTF-8 are shown as such."""
    assert (readable("ä".encode()), readable(b"\xff\x00")) == ("ä", "hex:ff00")


def test_the_names_in_json_are_in_camel_case():
    """`--json` names the fields of letters and parts as documents and dead letters do, with their values."""
    assert json_fields(Letter("n", "decode", "not JSON", "t2", "t1", 7)) == {
        "name": "n",
        "stage": "decode",
        "reason": "not JSON",
        "failedAt": "t2",
        "enqueuedAt": "t1",
        "size": 7,
    }
    assert list(json_fields(PartHealth("azurite", healthy=False, detail="not started"))) == [
        "part",
        "healthy",
        "detail",
        "pid",
        "uptimeSeconds",
        "memoryMb",
    ]
