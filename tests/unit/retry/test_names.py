"""Names of blobs: what comes twice has one, what differs has two."""

from __future__ import annotations

import hashlib
import re

import pytest
from msgspec import structs

from everscore.event.item import Item, Source
from everscore.retry.names import blob_name, claim_check_name, suspect_name
from tests.fakes import ago, source_of


def test_names_tell_events_apart() -> None:
    """Events of different places have different names; one without a place is named by its content."""
    items = [
        Item(source=source_of(1)),
        Item(source=source_of(2)),
        Item(source=source_of(1, partition="1")),
        Item(source=source_of(1, hub="other")),
        Item(source=source_of(1, index=1)),
        Item(body=b"a"),
        Item(body=b"b"),
        Item(body=b"b", source=Source(index=1)),
    ]
    assert len({blob_name(item) for item in items}) == len(items)


@pytest.mark.parametrize("odd", ["\ud800", "a/../b", "a\nb", "h" * 5_000, "h?", "\u6771"])
def test_a_place_that_no_hub_has_makes_a_name_that_the_service_takes(odd: str) -> None:
    """Whatever a message names as an event's place, its letter can be written, and has a name of its own."""
    items = [
        Item(source=source_of(1, hub=odd)),
        Item(source=source_of(2, hub=odd)),
        Item(source=source_of(1, partition=odd)),
        Item(source=source_of(1, hub=odd, enqueued_at=None)),
    ]
    names = [blob_name(item) for item in items]
    assert len(set(names)) == len(items)
    assert all(
        re.fullmatch(r"(unknown/|\d{4}/\d\d/\d\d/\d\d/\d{4}-)[a-z0-9]{64}\.json", name) for name in names
    )
    assert names[0] == blob_name(Item(source=source_of(1, hub=odd)))


@pytest.mark.parametrize("unknown", ["hub", "partition", "sequence_number", "enqueued_at"])
def test_hole_09_letters_of_unknown_place_never_share_a_name(unknown) -> None:
    """Where any part of an event's place in the hub is unknown, dead letters, claim checks and suspects are
    named by its content: two events of equal numbers and times never write over one another.
    """
    source = source_of(1, **{unknown: None})
    items = [
        Item(body=b"a", source=source),
        Item(body=b"b", source=source),
        Item(body=b"a", source=source, properties={"id": 1}),
        Item(body=b"a", source=source, properties={"id": 2, "\ud800": float("nan")}),
        Item(body=b"a", source=structs.replace(source, index=1)),
        Item(blob="items/1.json", source=source),
        Item(blob="items/2.json", source=source),
    ]
    names = [blob_name(item) for item in items]
    assert len(set(names)) == len(items)
    assert hashlib.sha256(b"a").hexdigest() in names[0]
    again = Item(body=b"a", source=source, properties={"\ud800": float("nan"), "id": 2})
    assert blob_name(again) == names[3]
    assert len({suspect_name(item) for item in items}) == len(items)


def test_a_hub_made_anew_never_writes_over_what_the_old_one_left() -> None:
    """The same place of a hub that counts from 0 again has another name, even within the hour."""
    places = [
        Source(hub="h", partition="0", sequence_number=1, enqueued_at=f"2026-11-25T10:{at}Z")
        for at in ("07:08.009", "07:09.010")
    ]
    names = [blob_name(Item(source=place)) for place in places]
    assert names == [f"2026/11/25/10/{at}-h-0-1-0.json" for at in ("0708", "0709")]


def test_what_an_archive_kept_of_an_event_has_the_name_of_the_event() -> None:
    """A Capture file keeps whole seconds: a letter of the same event, replayed from there, overwrites."""
    from_hub = Source(hub="h", partition="0", sequence_number=1, enqueued_at="2026-11-25T10:07:08.999Z")
    from_archive = Source(hub="h", partition="0", sequence_number=1, enqueued_at="2026-11-25T10:07:08.000Z")
    assert blob_name(Item(source=from_hub)) == blob_name(Item(source=from_archive))


@pytest.mark.parametrize("enqueued", [None, "", "garbled"])
def test_hole_19_a_name_never_changes_with_the_time_of_the_try(enqueued: str | None) -> None:
    """Where no time of enqueuing is known none of ours stands in for it, or an event would have a letter an hour."""
    source = Source(hub="h", partition="0", sequence_number=1, enqueued_at=enqueued)
    names = {blob_name(Item(source=source, first_failed_at=at)) for at in (None, ago(hours=3), ago())}
    assert len(names) == 1
    assert names.pop().startswith("unknown/h-")


def test_a_record_its_body_and_what_is_kept_of_them_have_names_of_their_own() -> None:
    """The first record of a body never overwrites the claim check of the body that it came from."""
    items = [
        Item(source=source_of(1)),
        Item(source=source_of(1), unwrapped=True),
    ]
    names = {claim_check_name(item, whole=whole) for item in items for whole in (True, False)}
    assert len(names) == 4
    as_place = Item(source=source_of(1), record_index=0)
    assert claim_check_name(as_place, whole=True) == claim_check_name(items[1], whole=True)
