"""The account of a run: it must see what is lost, doubled, superseded or nobody's."""

from __future__ import annotations

import json

import pytest

from everscore_cli.demo.figures import latency, throughput
from everscore_cli.demo.malformed import WAYS, break_event, is_malformed
from everscore_cli.demo.plan import Planned
from everscore_cli.demo.read_back import Letter, StoredDocument
from everscore_cli.demo.reconcile import reconcile
from everscore_cli.producer import Outgoing

GOOD = [Planned(number, f"flight-{number}", None, Outgoing(b"{}", "k")) for number in range(3)]
BAD = [Planned(3, None, "empty body", Outgoing(b"", "k"))]
HUB = {("0", 10): 0, ("0", 11): 1, ("1", 10): 2, ("1", 11): 3}


def document(
    number: int, place: tuple[str, int], pk: str = "UA|2013-09-01", attempts: int = 1
) -> StoredDocument:
    """The document of a flight, made of the event at this place."""
    return StoredDocument(pk, f"flight-{number}", place, "2026-01-01T00:00:00.000Z", attempts)


def letter(place: tuple[str, int]) -> Letter:
    """The dead letter of the event at this place."""
    return Letter(f"2026/01/01/00/events-{place[0]}-{place[1]}-0.json", place, "decode", "empty body")


STORED = [document(0, ("0", 10)), document(1, ("0", 11)), document(2, ("1", 10), attempts=3)]
LETTERS = [letter(("1", 11))]


def test_all_is_well() -> None:
    """Every flight stored and every malformed event dead-lettered adds up."""
    account = reconcile([*GOOD, *BAD], HUB, STORED, LETTERS, waiting=0)
    assert account.adds_up
    assert (account.total.sent, account.total.stored, account.total.dead_lettered) == (4, 3, 1)
    assert account.retried == 1


def test_something_waits() -> None:
    """What is still on its way keeps the account open, even where all seems to be there."""
    assert not reconcile([*GOOD, *BAD], HUB, STORED, LETTERS, waiting=1).adds_up


@pytest.mark.parametrize(
    ("documents", "letters", "row", "column"),
    [
        (STORED[:2], LETTERS, "flights", "lost"),
        (STORED, [], "malformed", "lost"),
        ([*STORED, document(1, ("0", 11), pk="UA|2013-09-02")], LETTERS, "flights", "doubled"),
        (STORED, [*LETTERS, letter(("0", 10))], "flights", "doubled"),
        (STORED[:2], [*LETTERS, letter(("1", 10))], "flights", "dead_lettered"),
    ],
)
def test_what_must_not_be_is_seen(documents, letters, row, column) -> None:
    """An event lost, stored twice, stored and dead-lettered, or dead-lettered without need is counted as that."""
    account = reconcile([*GOOD, *BAD], HUB, documents, letters, waiting=0)
    assert getattr(getattr(account, row), column) == 1
    assert not account.adds_up


def test_an_event_that_the_sdk_sent_twice() -> None:
    """Of an event that stands in the hub twice one is stored; the other is superseded, not doubled."""
    account = reconcile(
        [*GOOD, *BAD], {**HUB, ("0", 12): 1, ("1", 12): 3}, STORED, [*LETTERS, letter(("1", 12))], 0
    )
    assert account.adds_up
    assert account.sent_again == 2


def test_a_newer_version_supersedes() -> None:
    """A flight whose document was made of another event of the same id is superseded."""
    version = Planned(4, "flight-1", None, Outgoing(b"{}", "k"))
    account = reconcile([*GOOD, version, *BAD], {**HUB, ("0", 13): 4}, STORED, LETTERS, 0)
    assert account.adds_up
    assert account.flights.superseded == 1


@pytest.mark.parametrize(
    ("documents", "letters"),
    [([*STORED, document(7, ("0", 99))], LETTERS), (STORED, [*LETTERS, letter(("0", 99))])],
)
def test_strangers_are_seen(documents, letters) -> None:
    """A document or a dead letter of an event that nobody sent does not add up."""
    account = reconcile([*GOOD, *BAD], HUB, documents, letters, waiting=0)
    assert account.strangers == 1
    assert not account.adds_up


def test_every_way_of_being_malformed_changes_the_bytes() -> None:
    """One event in a hundred is broken, each time in the next way, until all ways were taken."""
    payload = {"id": "UA-1", "flight": 1, "date": "2013-09-01", "distance": 5, "dep_delay": 1.0}
    body = json.dumps(payload, separators=(",", ":")).encode()
    broken = [break_event(index, body, payload) for index in range(len(WAYS))]
    assert [way for way, _ in broken] == list(WAYS)
    assert all(json_or_none(changed) != payload for _, changed in broken)
    assert sum(is_malformed(index, 100) for index in range(20_000)) == 200


def json_or_none(data: bytes):
    """The JSON value, or None where it is none."""
    try:
        return json.loads(data)
    except ValueError:
        return None


def test_percentiles_are_by_nearest_rank() -> None:
    """Of waits of 1 to 100 ms half are at most 50 ms, 95 % at most 95 ms, 99 % at most 99 ms."""
    begin = 1_767_225_600.0
    documents = [StoredDocument("pk", str(n), ("0", n), "2026-01-01T00:00:00.000Z", 1) for n in range(1, 101)]
    found = latency(documents, {("pk", str(n)): begin + n / 1000 for n in range(1, 101)})
    assert found is not None
    milliseconds = [round(value * 1000) for value in (found.p50, found.p95, found.p99, found.worst)]
    assert milliseconds == [50, 95, 99, 100]
    assert latency(documents, {}) is None
    assert throughput([begin + 1, begin + 2, begin + 9], begin, begin + 4).per_second == 0.5
