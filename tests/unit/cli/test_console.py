"""What the command writes to a terminal: nothing that others wrote may steer it."""

from __future__ import annotations

import json

import pytest

from everscore_cli.console import escape, print_json, readable, visible


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
