"""R33: a batch is lost when the host stops during a retry policy.

Condition: scale-in during the back-off of a retry; an older extension bundle.
Right: the lowest bundle is stated, and nothing relies on the host's retry alone: another instance that gets the batch
as if for the first time ends it, and without a policy the app holds the batch itself.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from everscore.flow.ending import NoPlaceAnswersError
from everscore.flow.score_events import RetryState
from tests.fakes import NO_POLICY, OUT, World, item_of

ROOT = Path(__file__).resolve().parents[2]


async def test_the_batch_of_a_host_that_stopped_begins_anew_elsewhere() -> None:
    """After failed tries and a stop the same events, with a count of 0 again, are stored once each."""
    world = World()
    batch = [item_of(number) for number in range(5)]
    for part in (world.store, world.queue, world.blobs):
        part.refuses = OUT
    for tries in range(3):
        with pytest.raises(NoPlaceAnswersError):
            await world.score(*batch, retry=RetryState(tries, endless=True, previous="NoPlaceAnswersError"))
    for part in (world.store, world.queue, world.blobs):
        part.refuses = None
    await world.score(*(item_of(number) for number in range(5)), retry=RetryState(0, endless=True))
    assert world.sequence_numbers() == {"stored": [0, 1, 2, 3, 4], "queued": [], "dead": []}
    assert len(world.store.accepted) == 5


async def test_without_a_policy_the_app_holds_the_batch_itself() -> None:
    """No retry of the host's is needed: the invocation waits until a place answers, and only then returns."""
    world = World(budget=30.0)
    world.store.refuses = world.queue.refuses = world.blobs.refuses = OUT
    holding = asyncio.create_task(world.score(item_of(1), retry=NO_POLICY))
    while not world.store.batches:
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert not holding.done()
    world.queue.refuses = None
    assert (await holding).queued == 1


def test_the_lowest_bundle_is_one_that_keeps_the_batch() -> None:
    """host.json takes a bundle of major version 4 at least, whose Event Hubs extension checkpoints after the retries."""
    bundle = json.loads((ROOT / "host.json").read_text())["extensionBundle"]
    assert bundle["id"] == "Microsoft.Azure.Functions.ExtensionBundle"
    lowest = re.match(r"\[(\d+)\.", bundle["version"])
    assert lowest is not None
    assert int(lowest[1]) >= 4
