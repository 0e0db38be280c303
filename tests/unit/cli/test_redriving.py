"""Dead letters sent back and events of the hub sent through once more, as items of the retry queue."""

from __future__ import annotations

import msgspec

from everscore.clock import times
from everscore.event.item import Braked, Item, Step
from everscore.event.scores import Scores
from everscore.ports import HubEvent
from everscore.retry.dead_letter import DeadLetter
from everscore_cli.redriving import From, redriven, replayed
from tests.fakes import ago, body_of, source_of

SCORES = {"toy": Scores("1", "0" * 64, None, 0.5, {})}


def letter() -> DeadLetter:
    """Of an event that was tried to the end, in every way."""
    item = Item(
        body=body_of(1),
        blob="items/x.json",
        source=source_of(1),
        id="id-1",
        pk="p",
        time="t",
        scores=SCORES,
        stage="store",
        reason="gave up",
        exception="e",
        attempts=50,
        unexpected=3,
        crashes=3,
        braked=Braked(at="t", configuration="c"),
        first_failed_at=ago(days=8),
        queued_at=ago(days=8),
        history=[Step("t", "store", "out of reach")],
        dead_letter=True,
    )
    return DeadLetter(item=item, failed_at=ago(days=1))


def test_a_redriven_event_begins_anew_and_keeps_what_was_made_of_it() -> None:
    """Age and counts start again, so that it is not given up at its first failure; identity and scores stay."""
    began = times.milliseconds_text(times.now())
    item = redriven(letter(), "2026/x.json", From.FAILED)
    assert (item.attempts, item.unexpected, item.crashes) == (0, 0, 0)
    assert (item.braked, item.dead_letter, item.blob) == (None, False, None)
    assert item.queued_at is not None
    assert item.queued_at >= began
    assert (item.id, item.pk, item.time, item.scores) == ("id-1", "p", "t", SCORES)
    assert (item.body, item.letter) == (body_of(1), "2026/x.json")
    assert (item.stage, item.reason) == ("store", "gave up")
    assert [step.reason for step in item.history] == ["out of reach"]


def test_from_decode_on_everything_is_made_anew() -> None:
    """A new rule or model is asked for by name: neither identity nor scores are kept, the place in the hub is."""
    item = redriven(letter(), "2026/x.json", From.DECODE)
    assert (item.id, item.pk, item.time, item.scores) == (None, None, None, None)
    assert (item.body, item.source) == (body_of(1), source_of(1))


def test_a_replayed_event_is_as_the_trigger_brings_it() -> None:
    """Body, properties and source are the hub's, and nothing is known of it yet."""
    event = HubEvent(b"x", {"key": "v"}, source_of(1))
    item = replayed(event)
    assert item.queued_at is not None
    assert msgspec.structs.replace(item, queued_at=None) == Item(
        body=b"x", properties={"key": "v"}, source=source_of(1)
    )
    assert replayed(HubEvent(b"x", {}, source_of(1))).properties is None
