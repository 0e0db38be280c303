"""R32: a time-out moves the checkpoint on, and blocked threads stall everything.

Condition: a slow store with blocking calls in an async function, a lock that a killed thread held.
Right: a deadline for the batch, with what is unfinished in the queue before it; scoring off the event loop; a time-out
on every network call.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from everscore.clock.deadline import Deadline
from everscore.event.item import Item
from everscore.event.scores import Scores
from everscore.failures import Failure
from everscore.flow.score_events import RetryState
from tests.fakes import FakeModel, World, item_of, source_of
from tests.support.flights import bodies
from tests.support.read_back import documents, queued
from tests.support.services import Services


async def test_a_store_that_never_answers_costs_its_time_out_and_no_event(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While answers take a minute, a batch is in the queue once time-out and deadline have passed."""
    tight = {"COSMOS_TIMEOUT_SECONDS": "0.5", "BATCH_DEADLINE_SECONDS": "0.5"}
    for name, value in services.settings(**tight).items():
        monkeypatch.setenv(name, value)
    from function_app import runtime

    app: Any = runtime.get()
    try:
        # The first one connects, which may take longer than this time-out on a busy machine.
        late = 1
        while late:
            first = Item(body=bodies(0)[0], source=source_of(0))
            late = (await app.pipeline.score_events([first], RetryState(endless=True))).queued
        items = [Item(body=each, source=source_of(number)) for number, each in enumerate(bodies(1, 2, 3), 1)]
        slow = {"match": {"operation": "batch"}, "action": {"status": 503, "delaySeconds": 60}}
        with services.gateway.faults(slow):
            summary = await app.pipeline.score_events(items, RetryState(endless=True))
    finally:
        await runtime.close()
    assert (summary.queued, summary.stored) == (3, 0)
    assert queued(services) > 0
    assert len(documents(services)) == 1


class Stuck(FakeModel):
    """A model whose call lasts until somebody lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.let_go = threading.Event(), threading.Event()

    def score(self, payloads: Sequence[object], until: Deadline | None = None) -> list[Scores | Failure]:
        self.entered.set()
        assert self.let_go.wait(30), "the event loop stood still"
        return super().score(payloads)


async def test_a_slow_model_stalls_no_other_invocation() -> None:
    """While one batch is being scored, the loop that all invocations share goes on: another batch ends meanwhile."""
    slow, other = World(), World()
    slow.models.model = stuck = Stuck()
    scoring = asyncio.create_task(slow.score(item_of(1)))
    await asyncio.to_thread(stuck.entered.wait, 30)
    await other.score(item_of(2))  # on the same loop; were it blocked, nobody could let the model go
    assert not scoring.done()
    assert other.sequence_numbers()["stored"] == [2]
    stuck.let_go.set()
    assert (await scoring).stored == 1


async def test_what_is_unfinished_at_the_deadline_is_queued_not_sent() -> None:
    """A batch whose time is over before its writes begin goes to the queue, with its scores, and costs no request."""
    world = World(batch_deadline=0.0)
    summary = await world.score(*(item_of(number) for number in range(3)))
    assert (summary.queued, world.store.batches) == (3, [])
    assert {item.reason for item in world.queue.items} == {"deadline passed"}
    assert all(item.scores for item in world.queue.items)
