"""Group 6: the places where events wait are down, one by one and together."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from tests.chaos.run import PATIENCE_SECONDS, Run
from tests.chaos.traffic import Sent, event

SECONDS = 4.0
STORE_OUT = {"match": {"operation": ["batch", "query", "read", "account"]}, "action": {"status": 503}}
STORE_FALTERS = {"match": {"operation": "batch", "probability": 0.5}, "action": {"status": 503}}
HELD = "NoPlaceAnswersError"
# Over the size of a queue message once encoded, so that it needs a claim check.
# In hexadecimal digits, of which compression leaves half.
LARGE = 90_000


def mixed(run: Run, count: int, row: str, *, bad: float = 0.05, large: float = 0.02) -> list[Sent]:
    """Flights, some events too large for a queue message, some that can never be stored."""
    events = []
    for _ in range(count):
        draw = run.rng.random()
        if draw < bad:
            events.append(event(run.flights.one(time="yesterday"), row, "time not readable"))
        elif draw < bad + large:
            events.append(event(run.flights.one(remark=_noise(run, LARGE)), row))
        else:
            events.append(event(run.flights.one(), row))
    return events


def _noise(run: Run, length: int) -> str:
    return run.rng.randbytes(length // 2).hex()


async def places(run: Run) -> None:
    """Group 6: the queue down; queue and store together; blobs down; all three."""
    run.make_app()
    await run.open()
    await run.start_host()
    down: dict[str, Any] = {"mode": "down"}
    # What is down, how, what the store does, and whether no place is left for some events.
    kinds: dict[str, tuple[tuple[str, ...], dict[str, Any], list[dict[str, Any]], bool]] = {
        "queue down": (("queue",), down, [STORE_FALTERS], True),
        "queue and store down": (("queue",), down, [STORE_OUT], True),
        "queue hangs, store down": (("queue",), {"mode": "hang"}, [STORE_OUT], True),
        "queue busy (503), store down": (("queue",), {"mode": "status", "status": 503}, [STORE_OUT], True),
        "queue breaks in mid-answer": (
            ("queue",),
            {"mode": "reset", "probability": 0.5},
            [STORE_FALTERS],
            False,
        ),
        "blobs down": (("blob",), down, [], False),
        "blobs and store down": (("blob",), down, [STORE_OUT], False),
        "queue, blobs and store down": (("queue", "blob"), down, [STORE_OUT], True),
    }
    share = -(-run.events // len(kinds))
    for row, (routes, fault, rules, holds) in kinds.items():
        events = mixed(run, share, row)
        async with run.acting(row), AsyncExitStack() as stack:
            if rules:
                await stack.enter_async_context(run.bench.store.faults(*rules))
            await stack.enter_async_context(
                run.bench.proxy.fault(*routes, seed=run.rng.randrange(99), **fault)
            )
            held = run.host.log().count(HELD)
            await run.send_slowly(events, SECONDS)
            if holds:
                await run.until(partial(_held, run, held), PATIENCE_SECONDS, f"{row}: a batch is held")
        await run.passed(120)
        await run.drained()


async def _held(run: Run, before: int) -> bool:
    return run.host.log().count(HELD) > before


def large(run: Run, row: str) -> Sent:
    """An event that needs a claim check once it waits."""
    return event(run.flights.one(remark=_noise(run, LARGE)), row)


def body_of(each: Sent) -> dict[str, Any]:
    """The payload of an event."""
    return dict(json.loads(each.body))
