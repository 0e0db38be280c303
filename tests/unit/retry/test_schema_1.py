"""What release 1 wrote, read as it meant it. The files of ``schema_1/`` were written by that release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from everscore.event.item import Braked, Item
from everscore.retry.claim_checks import decode_item
from everscore.retry.dead_letter import decode_dead_letter
from everscore.retry.envelope import decode_envelope

FILES = Path(__file__).parent / "schema_1"
# What that release made of its message and its claim check when it read them.
READ: dict[str, Any] = json.loads((FILES / "as-it-was-read.json").read_text())


def as_then(item: Item) -> dict[str, Any]:
    """An item as release 1 held it."""
    assert type(item) is Item
    fields = msgspec.to_builtins(item)
    if item.braked is not None:
        assert item.braked == Braked(at=item.queued_at or "", configuration="")
        fields["braked"] = True
    return fields


def test_a_message_reads_as_it_did() -> None:
    """What its items said alike, once, is each one's; a yes to braked counts from queuedAt."""
    envelope = decode_envelope((FILES / "message.json").read_bytes())
    assert envelope.schema == 1
    assert [as_then(item) for item in envelope.items] == READ["message"]
    assert [item.braked is not None for item in envelope.items] == [False, False, True, False, False, False]


def test_a_claim_check_reads_as_it_did() -> None:
    """The blob holds all of the item, and no schema number."""
    assert as_then(decode_item((FILES / "claim-check.json").read_bytes())) == READ["claimCheck"]


def test_a_dead_letter_reads_as_it_did() -> None:
    """Its item, the time at which it was written, and its number."""
    letter = decode_dead_letter((FILES / "dead-letter.json").read_bytes())
    assert (letter.schema, letter.failed_at) == (1, "2026-11-25T10:11:14.000Z")
    item = letter.item
    assert (item.id, item.reason, item.field, item.scores) == ("UA-7", "time missing", "/time", None)
    assert item.body == b'{"id":"UA-7","carrier":"UA","time":"2026-11-25T10:00:07Z"}'
    assert [step.reason for step in item.history] == ["model missing"]


def test_what_an_item_says_itself_is_never_what_others_say() -> None:
    """A shared field holds for an item that says nothing, an empty text being something."""
    items = b'{"exception":""},{"exception":"own"},{}'
    message = b'{"items":[%b],"schema":1,"shared":{"exception":"shared","stage":"store"}}' % items
    read = decode_envelope(message).items
    assert [item.exception for item in read] == ["", "own", "shared"]
    assert [item.stage for item in read] == ["store"] * 3
