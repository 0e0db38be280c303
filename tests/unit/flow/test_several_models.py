"""Several models on one stream: one call of each, and only what is required keeps an event from the store."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from everscore.failures import Failure, Permanent, Stage, Transient
from tests.fakes import World, item_of


def said(world: World, doc_id: str = "id-1") -> dict[str, Any]:
    """What a document holds under scores: the value of each model, or its error."""
    scores = world.stored[doc_id]["scores"]
    return {model: each.get("value", each.get("error")) for model, each in scores.items()}


@pytest.mark.parametrize("required", [True, False])
async def test_each_model_scores_a_batch_in_one_call(required: bool) -> None:
    """Forty events are one call of each model, and each document has the scores of both."""
    world = World(second=required)
    await world.score(*[item_of(number, n=number) for number in range(40)])
    assert world.models.model.calls == world.second.model.calls == [40]
    assert len(world.stored) == 40
    assert said(world, "id-3") == {"toy": 3.0, "second": 3.0}


FAILURES = [
    Permanent(Stage.SCORE, "input missing", "The input 'x' is missing.", field="/x"),
    Transient(Stage.SCORE, "out of memory", "No memory."),
]


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_a_model_that_is_not_required_cannot_score_is_stored(failure: Failure) -> None:
    """The event is stored with the reason in place of that model's scores; its neighbours have theirs."""
    world = World(second=False)
    score = world.second.model.score
    world.second.model.score = lambda payloads, until: [failure, *score(payloads[1:], until)]  # type: ignore[method-assign,assignment]
    await world.score(item_of(1), item_of(2))
    wanted = "input missing [/x]" if failure.field else "out of memory"
    assert said(world, "id-1") == {"toy": 1.0, "second": wanted}
    assert said(world, "id-2") == {"toy": 2.0, "second": 2.0}
    assert not world.queue.messages
    assert not world.blobs.letters


async def test_what_a_required_model_cannot_score_is_not_stored() -> None:
    """Its failure is the event's, in words that name the model, and the other model is not asked for it."""
    world = World(second=True)
    world.second.model._one = lambda _: (  # type: ignore[method-assign]
        Permanent(Stage.SCORE, "score not finite", "It is NaN.", field="value")
    )
    await world.score(item_of(1))
    assert not world.stored
    [letter] = world.blobs.letters
    assert letter.item.reason == "score not finite"
    assert "Model second: It is NaN." in (letter.item.exception or "")
    assert world.models.model.calls == []


async def test_an_event_that_a_required_model_refuses_is_shown_to_no_other() -> None:
    """A model that is not required scores what is left once those that are have scored."""
    world = World(second=False)
    await world.score(item_of(1, nan=True), item_of(2))
    assert world.models.model.calls == [2]
    assert world.second.model.calls == [1]
    assert list(world.stored) == ["id-2"]


@pytest.mark.parametrize("required", [True, False])
async def test_a_model_that_does_not_load(required: bool) -> None:
    """Where it is required all events wait; where it is not they are stored, with the reason in its place."""
    world = World(second=required)
    world.second.refuses = Transient(Stage.SCORE, "model missing", "There is no folder.")
    await world.score(item_of(1))
    if required:
        assert not world.stored
        assert [item.reason for item in world.queue.items] == ["model missing"]
        assert all(item.scores is None for item in world.queue.items)
    else:
        assert said(world) == {"toy": 1.0, "second": "model missing"}


async def test_a_model_that_is_not_required_and_hangs_costs_no_event() -> None:
    """What it does not say in time is missing from the documents, also once its threads are all taken."""
    end = threading.Event()
    world = World(second=False, time_budget=4.0)
    world.second.model.score = lambda *_: end.wait() and []  # type: ignore[method-assign,assignment]
    try:
        for number in range(3):
            await world.score(item_of(number))
        assert len(world.stored) == 3
        assert said(world, "id-0") == {"toy": 0.0, "second": "took too long"}
        assert said(world, "id-2") == {"toy": 2.0, "second": "took too long"}
    finally:
        end.set()


async def test_the_reason_survives_the_retry_queue() -> None:
    """An event that waits for the store keeps its scores and what stands in place of others; nothing runs anew."""
    world = World(second=False)
    world.second.model._one = lambda _: Permanent(Stage.SCORE, "score not finite")  # type: ignore[method-assign]
    with world.store.refusing():
        await world.score(item_of(1))
    assert not world.stored
    await world.retry()
    assert said(world) == {"toy": 1.0, "second": "score not finite"}
    assert world.models.model.calls == world.second.model.calls == [1]
