"""Decode, score, store: as far as each item goes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from everscore.clock.deadline import Deadline
from everscore.decode.decoder import Decoder
from everscore.decode.memory import Memory
from everscore.event.event import Done
from everscore.event.item import Item
from everscore.failures import Configuration, Stage, Unexpected
from everscore.flow.processing import Processed, Processing
from everscore.score.used_models import ModelInUse
from everscore.store import turns
from everscore.store.writer import Writer
from tests.fakes import OUT, FakeModels, FakeStore, item_of, stream_of

BUDGET = Deadline.after(3600)


class Parts:
    """A processing and its parts."""

    def __init__(self) -> None:
        self.store, self.models = FakeStore(), FakeModels()
        self.processing = Processing(
            decoder=Decoder(stream_of()),
            memory=Memory(1 << 30),
            models=[ModelInUse("toy", self.models)],  # type: ignore[arg-type]
            writer=Writer(self.store, parallel=2, patience=5),
        )

    async def run(self, *items: Item) -> Processed:
        """Process a batch that is one slice."""
        slices: list[Processed] = []

        async def settle(processed: Processed) -> None:
            slices.append(processed)

        await self.processing.run(items, BUDGET, settle)
        [only] = slices
        return only


async def test_a_batch_is_scored_by_one_call() -> None:
    """All good events of a batch go to the model together."""
    parts = Parts()
    processed = await parts.run(*(item_of(number) for number in range(40)))
    assert parts.models.model.calls == [40]
    assert processed.request_units == 200.0


async def test_scoring_does_not_stall_the_loop() -> None:
    """The model runs in a thread of its own, while other work of the loop goes on."""
    parts = Parts()
    loop = asyncio.get_running_loop()
    other_work = asyncio.Event()
    score = parts.models.model.score

    def slow(payloads, until):
        asyncio.run_coroutine_threadsafe(_set(other_work), loop).result(timeout=30)
        return score(payloads, until)

    parts.models.model.score = slow  # type: ignore[method-assign]
    await parts.run(item_of(1))
    assert other_work.is_set()


async def _set(event: asyncio.Event) -> None:
    event.set()


async def test_a_raise_is_narrowed_to_the_guilty_event() -> None:
    """An exception of the model is the guilty event's; the others have their scores."""
    parts = Parts()
    processed = await parts.run(*(item_of(number, bomb=number == 11) for number in range(30)))
    failed = [event for event in processed.events if event.failure]
    assert [event.item.source.sequence_number for event in failed] == [11]
    assert isinstance(failed[0].failure, Unexpected)
    assert len(parts.store.documents) == 29


async def test_a_failure_of_the_whole_call_is_kept_as_it_is() -> None:
    """Where the model itself says what is wrong, that is the failure of all, and it is not asked again."""
    parts = Parts()
    parts.models.model.breaks = Configuration(Stage.SCORE, "model and manifest disagree")
    processed = await parts.run(*(item_of(number) for number in range(9)))
    assert {event.failure for event in processed.events} == {parts.models.model.breaks}
    assert parts.models.model.calls == [9]


async def test_a_model_with_too_few_results_scores_nobody_wrongly() -> None:
    """Results that do not fit the events are taken for none of them."""
    parts = Parts()
    parts.models.model.score = lambda *_: []  # type: ignore[method-assign, assignment]
    processed = await parts.run(item_of(1), item_of(2))
    assert all(isinstance(event.failure, Unexpected) for event in processed.events)


async def test_scores_that_are_there_are_kept() -> None:
    """An item that was scored before is not scored again."""
    parts = Parts()
    first = await parts.run(item_of(1))
    item = first.events[0].item
    parts.models.refuses = OUT
    again = await parts.run(item)
    assert again.events[0].done is Done.SUPERSEDED


async def test_the_stores_time_begins_after_scoring(monkeypatch) -> None:
    """A slow first load of the model does not use up the time for storing."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(turns, "time", clock)
    parts = Parts()
    get = parts.models.get

    async def slow():
        clock.now += 60
        return await get()

    parts.models.get = slow  # type: ignore[method-assign]
    processed = await parts.run(item_of(1))
    assert processed.events[0].done is Done.STORED


@pytest.mark.parametrize("fails", [True, False])
async def test_storing_again_takes_the_failure_back(fails) -> None:
    """Held events are stored without being decoded or scored anew."""
    parts = Parts()
    with parts.store.refusing():
        processed = await parts.run(item_of(1))
    parts.store.refuses = OUT if fails else None
    await parts.processing.store_again(processed.events, BUDGET)
    [event] = processed.events
    assert (event.failure is OUT) is fails
    assert (event.done is Done.STORED) is not fails
    assert parts.models.model.calls == [1]
