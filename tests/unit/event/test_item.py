"""An item's failures: what is kept of them, and how much."""

from __future__ import annotations

import msgspec

from everscore.event.item import Item
from everscore.failures import Stage
from everscore.retry.envelope import encode_item


def _fail(item: Item, reason: str, at: str = "t") -> None:
    item.record(at=at, stage=Stage.STORE, reason=reason, field=None, exception="", failure_class="transient")


def test_a_failure_that_differs_moves_the_one_before_into_history() -> None:
    """History holds what differs, oldest first, bounded; the first time is kept."""
    item = Item()
    for number in range(40):
        _fail(item, f"reason {number // 2}", at=f"t{number}")
    assert item.first_failed_at == "t0"
    assert item.reason == "reason 19"
    assert [step.reason for step in item.history] == [f"reason {number}" for number in range(19)]
    for number in range(30):
        _fail(item, f"more {number}")
    assert len(item.history) == 20
    assert item.history[-1].reason == "more 28"


def test_failures_that_alternate_do_not_push_out_what_came_before() -> None:
    """A long outage has two faces; what a redriven event first failed of stays in its history."""
    item = Item()
    for number in range(100):
        _fail(item, "id missing" if number == 0 else f"out {number % 2}", at=f"t{number}")
    assert [(step.reason, step.at) for step in item.history] == [
        ("id missing", "t0"),
        ("out 1", "t97"),
        ("out 0", "t98"),
    ]


def test_items_share_no_history() -> None:
    """A failure of one item, or of a copy, never shows in another's history."""
    one, other = Item(), Item()
    _fail(one, "a")
    copy = msgspec.structs.replace(one)
    _fail(copy, "b")
    assert (other.history, one.history) == ([], [])
    assert [step.reason for step in copy.history] == ["a"]


def test_texts_of_a_failure_are_bounded() -> None:
    """However long an exception's text is, an item stays small."""
    item = Item()
    item.record(
        at="t",
        stage=Stage.SCORE,
        reason="r" * 5_000,
        field=None,
        exception="e" * 1_000_000,
        failure_class="unexpected",
    )
    assert len(encode_item(item)) < 3_000
