"""Group 13: an event that kills the worker, one that our own code raises at, one that never reaches our code."""

from __future__ import annotations

import asyncio
from functools import partial

from tests.chaos.run import PATIENCE_SECONDS, Run
from tests.chaos.traffic import Sent, event
from tests.support.app import LIBRARY_SAYS, UNREADABLE, break_library

DEADLY, RAISING = "deadly", "raising"
LIBRARY = "a library error before our code sees the batch"
# An own decoder in the app's copy: code of ours in which one event brings about what it says.
DECODER = f"""
import json, os

def decode(bodies):
    found = []
    for body in bodies:
        payload = json.loads(body)
        if payload.get("remark") == "{DEADLY}":
            os._exit(139)
        if payload.get("remark") == "{RAISING}":
            raise LookupError("nobody foresaw this")
        found.append(payload)
    return found
"""


async def guilty(run: Run) -> None:
    """Group 13: one event kills the worker each time; our own code raises at one; a library error before our code."""
    run.settings["DECODER"] = "own_decoder:decode"
    run.make_app()
    (run.app / "own_decoder.py").write_text(DECODER)
    await run.open()
    await run.start_host()
    share = run.events // 3
    row = "an exception in our own code for one event"
    events = run.flights.events(share, row)
    for place in run.rng.sample(range(share), max(1, share // 300)):
        events[place] = event(run.flights.one(remark=RAISING), row, "unexpected LookupError")
    await run.send(events)
    run.acted(row)
    await run.passed()
    await run.drained()
    row = "an event that kills the worker"
    events = run.flights.events(share, row)
    place = run.rng.randrange(len(events) // 2)
    events[place] = event(run.flights.one(remark=DEADLY), row, "crashes the worker")
    await run.send(events)
    await run.passed(150)
    run.acted(row, run.host.log().count("the worker process"))
    await run.drained()
    await _unreadable(run, run.flights.events(run.events - 2 * share, LIBRARY))


async def _unreadable(run: Run, events: list[Sent]) -> None:
    """What our code cannot catch holds its partition, until an operator leads it on; a redrive then stores all."""
    break_library(run.app)
    await run.restart_host()
    for place in run.rng.sample(range(len(events)), 2):
        events[place] = event(run.flights.one(remark=UNREADABLE), LIBRARY)
    await run.send(events)
    held = [each.place for each in await run.read_hub() if UNREADABLE.encode() in each.body]
    # Of two in one partition the later one: the command keeps all up to it as dead letters.
    last = {partition: sequence for partition, sequence, _ in sorted(held)}
    for partition, sequence in last.items():
        raised = run.host.log().count(LIBRARY_SAYS)

        async def stands(partition: str = partition, sequence: int = sequence, raised: int = raised) -> bool:
            # The batch comes again and again, and nothing before it is under way any more.
            return run.host.log().count(LIBRARY_SAYS) > raised + 1

        await run.until(stands, PATIENCE_SECONDS, f"partition {partition} stands at {sequence}")
        # The command waits until the host goes on, which takes a restart: of this host it is the group's affair.
        skipping = asyncio.create_task(
            run.operator("partition", "skip", partition, "--to", str(sequence), "--yes")
        )
        await run.until(partial(_moved, run, partition, sequence), PATIENCE_SECONDS, "skip")
        await run.restart_host()
        await skipping
        run.acted(LIBRARY)
    await run.passed()
    await run.operator("deadletters", "redrive", "--reason", "skipped", "--yes")
    await run.drained()


async def _moved(run: Run, partition: str, sequence: int) -> bool:
    return (await run.passed_numbers()).get(partition, -1) >= sequence
