"""Own code, a model or a load of it that is slow or never returns: its events still have somewhere to go."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from everscore.clock.deadline import Deadline
from everscore.decode.own_decoder import Hook
from everscore.failures import Overdue
from everscore.flow import processing, scoring
from everscore.retry.envelope import decode_envelope
from everscore.retry.placing import Delayed
from tests.fakes import FakeModel, World, ago, item_of, payload_of


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """Set at the end of a test, so that no thread outlives it."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Slices have but a moment."""
    monkeypatch.setattr(processing, "_LEAST_RUN", 0.2)


def hanging(end: threading.Event) -> Hook:
    """An own decoder that does not return for a body with a field ``hangs``."""

    def decode(bodies: list[bytes]) -> list[object]:
        found = [json.loads(body) for body in bodies]
        if any("hangs" in each for each in found):
            end.wait()
        return found

    return decode


def reasons(world: World) -> list[tuple[str | None, str | None, int]]:
    """Why each item waits, and how often what happened to it was unforeseen."""
    return [(item.stage, item.reason, item.unexpected) for item in world.queue.items]


@pytest.mark.usefixtures("impatient")
async def test_a_decoder_that_never_returns_costs_its_neighbours_one_try(monkeypatch, end) -> None:
    """The batch waits in time, each event in a message of its own; the good one is stored with its next try."""
    world = World(hook=hanging(end), time_budget=0.5)
    await world.score(item_of(1), item_of(2, hangs=True))
    assert reasons(world) == [("decode", "took too long", 0)] * 2
    assert [len(decode_envelope(message).items) for message, _ in world.queue.messages] == [1, 1]
    good, bad = world.queue.messages
    world.queue.messages = [bad]
    await world.retry()
    assert reasons(world) == [("decode", "took too long", 1)]
    monkeypatch.setattr(processing, "_LEAST_RUN", 60.0)
    world.queue.messages = [good]
    await world.retry()
    assert list(world.stored) == ["id-1"]


@pytest.mark.usefixtures("impatient")
async def test_the_body_for_which_a_decoder_never_returns_is_a_dead_letter(end) -> None:
    """Tried alone three times it has had all of the time that there is: it is no outage that will pass."""
    world = World(hook=hanging(end), time_budget=0.5, unexpected=timedelta(minutes=10))
    bad = item_of(1, hangs=True)
    bad.queued_at, bad.unexpected = ago(minutes=11), 2
    await world.placing.enqueue([Delayed(bad, 0.0)])
    await world.retry()
    [letter] = world.blobs.letters
    assert (letter.item.reason, letter.item.body) == ("took too long", bad.body)


async def test_a_model_that_never_returns_leaves_time_to_put_its_events_elsewhere(end) -> None:
    """What was decoded is in the queue with its identity, within the invocation's time."""
    world = World(time_budget=6.0)
    score = world.models.model.score
    world.models.model.score = lambda payloads, _: end.wait() and score(payloads)  # type: ignore[method-assign,assignment]
    await world.score(item_of(1), item_of(2))
    assert reasons(world) == [("score", "took too long", 0)] * 2
    assert [item.id for item in world.queue.items] == ["id-1", "id-2"]


async def test_a_model_that_is_still_loading_is_waited_for_no_longer_than_the_time_allows(
    monkeypatch,
) -> None:
    """Its events wait, and the load goes on for those who come later."""
    world = World(time_budget=6.0)
    get, loaded = world.models.get, asyncio.Event()

    async def slow():
        await loaded.wait()
        return await get()

    world.models.get = slow  # type: ignore[method-assign]
    await world.score(item_of(1))
    assert reasons(world) == [("score", "model not loaded in time", 0)]
    loaded.set()
    await world.score(item_of(2))
    assert list(world.stored) == ["id-2"]


async def test_hole_15_a_model_knows_when_its_time_is_over() -> None:
    """It is told half of what is left, so that its last call can end before nobody waits for it any more."""
    world = World(time_budget=600.0)
    told: list[float] = []

    def score(payloads, until):
        told.append(until.remaining)
        return FakeModel().score(payloads)

    world.models.model.score = score  # type: ignore[method-assign]
    await world.score(item_of(1))
    [seconds] = told
    assert 200.0 < seconds <= 295.0


async def test_a_model_that_fails_slowly_is_not_asked_for_each_half() -> None:
    """Once the time for it is over what is left goes on alone, in place of 511 calls for 256 events."""
    model = FakeModel()
    payloads: list[object] = [payload_of(number, bomb=True) for number in range(64)]
    results = scoring._score_all(model, payloads, Deadline.after(0.0))  # type: ignore[arg-type]
    assert model.calls == [64]
    assert {type(result) for result in results} == {Overdue}
    assert len(results) == 64


@pytest.mark.usefixtures("impatient")
async def test_an_event_of_a_batch_is_not_blamed_for_the_time_that_ran_out(end) -> None:
    """Even where its slice holds no other: only one that had the time of a whole invocation is at fault."""
    world = World(time_budget=0.5, memory=1)
    world.models.model.score = lambda *_: end.wait() and []  # type: ignore[method-assign,assignment]
    await world.score(item_of(1), item_of(2))
    assert [item.unexpected for item in world.queue.items] == [0, 0]
