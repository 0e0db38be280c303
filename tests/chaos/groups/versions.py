"""Group 9: events that come twice, out of order, late, on two partitions, again, and from a hub made anew."""

from __future__ import annotations

import asyncio
import copy
import json
import shutil
from typing import Any

from tests.chaos.groups.messages import put_back, take_all
from tests.chaos.groups.places import STORE_OUT
from tests.chaos.oracle import Oracle
from tests.chaos.run import Run
from tests.chaos.traffic import Sent, event

SLOW_RETRIES = {"match": {"operation": "batch", "probability": 0.3}, "action": {"status": 503}}
CHECKPOINTS = "azure-webjobs-eventhub"


async def versions(run: Run) -> None:
    """Group 9: duplicates, wrong order, late retries, two partitions, a replay after a new model, a hub made anew."""
    run.make_app()
    await run.open()
    await run.start_host()
    oracle = Oracle(run.app)
    run.know(oracle)
    share = -(-run.events // 42) * 6  # in pairs, and in threes
    # First of all in partition 0, so that dead letters stand where those of the new hub will stand.
    bad = _bad_first(run, "a hub made anew")
    await run.send(bad)
    await _twice(run, share)
    await _out_of_order(run, share)
    await _late(run, share)
    await _two_partitions(run, share)
    await run.drained()
    await _replayed(run, share)
    await _made_anew(run, run.events - 5 * share - 2 * len(bad))


def _bad_first(run: Run, row: str) -> list[Sent]:
    events = [event(run.flights.one(time="yesterday"), row, "time not readable") for _ in range(5)]
    for each in events:
        each.key, each.partition = None, "0"
    return events


def versions_of(run: Run, count: int) -> list[list[dict[str, Any]]]:
    """Flights in three versions each, of different times."""
    found = []
    for _ in range(count // 3):
        flight = run.flights.one()
        found.append(
            [{**flight, "time": f"2013-12-31T{hour:02}:00:00-05:00", "dep_delay": hour} for hour in (1, 2, 3)]
        )
    return found


async def _twice(run: Run, share: int) -> None:
    row = "the same event twice"
    async with run.acting(row), run.bench.store.faults(SLOW_RETRIES):
        events = run.flights.events(share // 2, row)
        await run.send(events)
        again = [copy.copy(each) for each in events]
        run.rng.shuffle(again)
        await run.send(again)
        run.acted(row)
        await run.passed()


async def _out_of_order(run: Run, share: int) -> None:
    row = "versions out of order"
    async with run.acting(row), run.bench.store.faults(SLOW_RETRIES):
        events = [event(flight, row) for stack in versions_of(run, share) for flight in stack]
        run.rng.shuffle(events)
        await run.send_slowly(events, 2)
        run.acted(row)
        await run.passed()


async def _late(run: Run, share: int) -> None:
    """The oldest version waits in the queue until the newest is stored, and half of those between too."""
    row = "a late retry after a newer event"
    stacks = versions_of(run, share)
    half = len(stacks) // 2
    async with run.acting(row), run.bench.store.faults(STORE_OUT):
        await run.send([event(stack[0], row) for stack in stacks])
        await run.send([event(stack[1], row) for stack in stacks[:half]])
        await run.passed()
        late = await take_all(run)
    await run.start_host()
    await run.send([event(stack[1], row) for stack in stacks[half:]])
    await run.send([event(stack[2], row) for stack in stacks])
    await run.passed()
    await run.drained()
    await put_back(run, late)
    await run.drained()


async def _two_partitions(run: Run, share: int) -> None:
    row = "the same id on two partitions"
    events = []
    for stack in versions_of(run, share):
        for partition, flight in zip(run.rng.sample(["0", "1", "2", "3"], 3), stack, strict=True):
            events.append(Sent(row, json.dumps(flight).encode(), partition=partition))
    run.rng.shuffle(events)
    async with run.acting(row), run.bench.store.faults(SLOW_RETRIES):
        await run.send(events)
        run.acted(row)
        await run.passed()


async def _replayed(run: Run, share: int) -> None:
    """Every event again, from the hub's beginning, to an app with another model; what is stored stays as it is."""
    row = "replayed after a new model"
    before = run.flights.events(share // 2, row)
    await run.send(before)
    await run.drained()
    newer = run.folder / "newer"
    shutil.copytree(run.app, newer)
    manifest = newer / "models" / "flights" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": "2.0.0"}))
    boundary = len(run.sender.sent)
    run.know(Oracle(newer), lambda found: found.number >= boundary)
    writes = (await run.bench.store.state())["acceptedWrites"]
    await run.host.stop()
    await _forget_checkpoints(run)
    await run.start_host(newer)
    await run.drained()
    if (await run.bench.store.state())["acceptedWrites"] != writes:
        run.problem(row, "the replay wrote documents")
    await run.send(run.flights.events(share - len(before), row))
    run.acted(row)
    await run.passed()


async def _made_anew(run: Run, count: int) -> None:
    """The hub counts from 0 again; newer versions of what is stored, and new events."""
    row = "a hub made anew"
    old = versions_of(run, count // 2)
    await run.send([event(flight, row) for stack in old for flight in stack[::2]])
    await run.drained()
    run.earlier += await run.read_hub()
    await run.host.stop()
    await run.bench.stop_hub(forget=run.names.hub)
    await run.bench.start_hub()
    await _forget_checkpoints(run)
    await run.reconnect()
    await run.start_host()
    boundary = len(run.sender.sent)
    run.know(Oracle(run.app), lambda found: found.number >= boundary)
    await run.send(_bad_first(run, row))
    await run.send([event(stack[1], row) for stack in old])
    await run.send(run.flights.events(count - 3 * len(old), row))
    run.acted(row)
    await run.passed()
    await run.drained()


async def _forget_checkpoints(run: Run) -> None:
    container = run.blobs.get_container_client(CHECKPOINTS)
    prefix = f"127.0.0.1/{run.names.hub}/"
    names = [name async for name in container.list_blob_names(name_starts_with=prefix)]
    await asyncio.gather(*(container.delete_blob(name) for name in names))
