"""Group 13: one event kills the worker each time, one meets an exception in our own code."""

from __future__ import annotations

from tests.chaos.run import Run
from tests.chaos.traffic import event

DEADLY, RAISING = "deadly", "raising"
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
    """Group 13: one event that kills the worker each time; an exception in our own code for one event."""
    run.settings["DECODER"] = "own_decoder:decode"
    run.make_app()
    (run.app / "own_decoder.py").write_text(DECODER)
    await run.open()
    await run.start_host()
    share = run.events // 2
    row = "an exception in our own code for one event"
    events = run.flights.events(share, row)
    for place in run.rng.sample(range(share), max(1, share // 300)):
        events[place] = event(run.flights.one(remark=RAISING), row, "unexpected LookupError")
    await run.send(events)
    run.acted(row)
    await run.passed()
    await run.drained()
    row = "an event that kills the worker"
    events = run.flights.events(run.events - share, row)
    place = run.rng.randrange(len(events) // 2)
    events[place] = event(run.flights.one(remark=DEADLY), row, "crashes the worker")
    await run.send(events)
    await run.passed(150)
    run.acted(row, run.host.log().count("the worker process"))
    await run.drained()
