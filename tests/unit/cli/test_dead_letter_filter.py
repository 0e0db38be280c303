"""Which dead letters a command is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from everscore.adapters.blobs import Letter
from everscore.event.item import Item, Source
from everscore.retry.names import blob_name
from everscore_cli.dead_letter_filter import Wanted
from tests.fakes import source_of

WRITTEN = "2026-11-25T12:00:00.000Z"


def letter(source: Source) -> Letter:
    """A letter as a listing shows it."""
    return Letter(blob_name(Item(source=source)), "decode", "not JSON", WRITTEN, source.enqueued_at or "", 1)


def test_letters_of_every_kind_of_name_are_found() -> None:
    """A range lists the folders of its letters, those of no known time included."""
    begin = datetime(2026, 11, 25, 10, tzinfo=UTC)
    wanted = Wanted(since=begin, until=begin + timedelta(days=2))
    by_day, without_time = letter(source_of(1)), letter(Source(hub="events"))
    of_release_1 = Letter("2026/11/25/10/3000000-events-0-1-0.json", "decode", "r", WRITTEN, WRITTEN, 1)
    for each in (by_day, without_time, of_release_1):
        assert wanted.takes(each)
        assert any(each.name.startswith(prefix) for prefix in wanted.prefixes())
    assert not Wanted(since=begin + timedelta(hours=3)).takes(without_time)
    assert Wanted().prefixes() == [""]
