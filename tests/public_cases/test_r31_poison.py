"""R31: a message never reaches the poison queue (time-outs, load), or permanent faults burn all tries.

Condition: the function hangs past functionTimeout; the dequeue count is far over the limit.
Right: an own time budget below functionTimeout; permanent faults are dead-lettered at first sight; an own counter
of tries in the envelope, which no dequeue count of the host's can falsify.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from everscore.config.settings import Settings
from everscore.flow.ending import NoPlaceAnswersError
from everscore_local.functions.durations import parse_timespan
from tests.fakes import World, item_of

ROOT = Path(__file__).resolve().parents[2]


async def test_a_permanent_fault_is_tried_once() -> None:
    """Bad data is a dead letter at once, with the model never asked and the queue never used."""
    world = World()
    await world.score(item_of(1, b"{"), item_of(2, pk=None))
    assert world.sequence_numbers()["dead"] == [1, 2]
    assert world.queue.messages == []
    assert world.models.model.calls == []


async def test_tries_are_counted_by_us() -> None:
    """Five tries during an outage count five, whatever the host counts; the event is stored after it."""
    world = World()
    with world.store.refusing():
        await world.score(item_of(1))
        for tries in range(1, 6):
            (waiting,) = world.queue.items
            assert (waiting.attempts, waiting.crashes) == (tries, 0)
            await world.retry(dequeue_count=1)
    await world.retry(dequeue_count=4_711)
    assert world.stored["id-1"]["pipeline"]["attempts"] == 7
    assert not world.blobs.dead_letters


async def test_where_nothing_answers_the_message_stays_and_the_call_ends() -> None:
    """With every place down the call gives the message back once its own budget is over, not the host's."""
    world = World(budget=0.05)
    with world.store.refusing():
        await world.score(item_of(1))
        with world.queue.refusing(), world.blobs.refusing(), pytest.raises(NoPlaceAnswersError):
            await world.retry()
    assert [item.source.sequence_number for item in world.queue.items] == [1]


def test_the_budget_ends_before_the_hosts_time_out() -> None:
    """TIME_BUDGET_SECONDS leaves time for what is under way before functionTimeout, by default and at most."""
    host = json.loads((ROOT / "host.json").read_text())
    timeout = parse_timespan(host["functionTimeout"])
    fields = Settings.model_fields
    assert fields["time_budget_seconds"].default + fields["storage_timeout_seconds"].default < timeout
