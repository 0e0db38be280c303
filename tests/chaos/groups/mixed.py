"""The mixed run: everything at once, drawn from the seed, for as long as events are sent."""

from __future__ import annotations

import asyncio
import copy
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from tests.chaos.groups.malformed import CASES
from tests.chaos.groups.places import STORE_OUT, large
from tests.chaos.run import Run
from tests.chaos.traffic import Sent, event

RATE = 450  # events a second, about what two busy cores take while they are also made to fail
CHUNK = 90
FAULTS = "faults"
_BAD = [case for cases in CASES.values() for case in cases if case[1] and case[1] != "decompressed too large"]


async def mixed(run: Run) -> None:
    """The mixed run: all kinds of events while faults of store, queue, blobs, hub and processes come and go."""
    run.settings["BRAKE_HOURS"] = "0"
    run.drain_seconds = 240
    run.make_app()
    await run.open()
    await run.start_host()
    stream = _stream(run)
    met: Counter[str] = Counter()
    deck: list[str] = []  # each kind once before any comes again
    sending = asyncio.create_task(_send(run, stream))
    try:
        while not sending.done():
            await asyncio.wait([sending], timeout=0.3 + run.rng.random())
            if not sending.done():
                deck = deck or run.rng.sample(list(_FAULTS), len(_FAULTS))
                met[await _one_fault(run, deck.pop())] += 1
    finally:
        await asyncio.gather(sending)
    await run.passed(240)
    await run.drained()
    run.notes.append("faults: " + ", ".join(f"{name} {count}" for name, count in met.most_common()))


def _stream(run: Run) -> list[Sent]:
    """All events, in the order of sending."""
    made: list[Sent] = []
    flights: list[dict[str, Any]] = []
    while len(made) < run.events:
        draw = run.rng.random()
        if draw < 0.02 and flights:
            again = event(run.rng.choice(flights), "events sent twice")
            made.append(again)
        elif draw < 0.06 and flights:
            flight = copy.copy(run.rng.choice(flights))
            hour = run.rng.randrange(24)
            flight |= {
                "time": f"2013-12-{run.rng.randint(1, 31):02}T{hour:02}:00:00-05:00",
                "dep_delay": hour,
            }
            made.append(event(flight, "versions, in any order"))
        elif draw < 0.07:
            make, reason = run.rng.choice(_BAD)
            made.append(
                Sent("malformed events", make(run.flights.one()), reasons=frozenset(reason.split("|")))
            )
        elif draw < 0.072:
            made.append(large(run, "events that need a claim check"))
        else:
            flight = run.flights.one()
            flights.append(flight)
            made.append(event(flight, "flights"))
    return made


async def _send(run: Run, events: list[Sent]) -> None:
    began = time.monotonic()
    for start in range(0, len(events), CHUNK):
        await run.send(events[start : start + CHUNK])
        ahead = (start + CHUNK) / RATE - (time.monotonic() - began)
        await asyncio.sleep(max(0.0, ahead))


async def _one_fault(run: Run, name: str) -> str:
    """A fault, for some seconds; its name."""
    seconds = 1 + run.rng.random() * 3
    async with run.acting(FAULTS):
        await _FAULTS[name](run, seconds)
    run.acted(FAULTS)
    return name


def _store(**action: Any) -> Callable[[Run, float], Awaitable[None]]:
    async def fault(run: Run, seconds: float) -> None:
        probability = run.rng.choice([0.2, 0.5, 1.0])
        match = {"operation": "batch", "probability": probability, "seed": run.rng.randrange(1 << 30)}
        async with run.bench.store.faults({"match": match, "action": action}):
            await asyncio.sleep(seconds)

    return fault


def _place(*routes: str, **fault: Any) -> Callable[[Run, float], Awaitable[None]]:
    async def down(run: Run, seconds: float) -> None:
        async with run.bench.proxy.fault(*routes, seed=run.rng.randrange(1 << 30), **fault):
            await asyncio.sleep(seconds)

    return down


async def _all_down(run: Run, seconds: float) -> None:
    async with run.bench.store.faults(STORE_OUT), run.bench.proxy.fault("queue", "blob", mode="down"):
        await asyncio.sleep(seconds)


async def _store_out(run: Run, seconds: float) -> None:
    async with run.bench.store.faults(STORE_OUT):
        await asyncio.sleep(seconds)


async def _throttled(run: Run, seconds: float) -> None:
    await run.bench.store.throttle(150, seconds)
    await asyncio.sleep(seconds)


async def _worker_killed(run: Run, _seconds: float) -> None:
    await run.host.kill_worker()


async def _host_killed(run: Run, _seconds: float) -> None:
    await run.host.kill()
    await run.start_host()


async def _restarted(run: Run, _seconds: float) -> None:
    await run.restart_host()


_FAULTS: dict[str, Callable[[Run, float], Awaitable[None]]] = {
    "429": _store(status=429, substatus=3200, retryAfterMs=200),
    "429 in a 207": _store(status=429, inBatchIndex=0),
    "503": _store(status=503),
    "449": _store(status=449),
    "408 after the write": _store(status=408, afterCommit=True),
    "409 of one": _store(status=409, inBatchIndex=0),
    "reset": _store(reset=True),
    "late": _store(delaySeconds=2.5),
    "store out": _store_out,
    "throttled": _throttled,
    "queue down": _place("queue", mode="down"),
    "queue breaks": _place("queue", mode="reset", probability=0.3),
    "blobs down": _place("blob", mode="down"),
    "hub down": _place("hub", mode="down"),
    "hub hangs": _place("hub", mode="hang"),
    "all down": _all_down,
    "worker killed": _worker_killed,
    "host killed": _host_killed,
    "host restarted": _restarted,
}
