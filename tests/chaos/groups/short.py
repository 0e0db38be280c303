"""The short form: the most telling fault of each group, a few events each, on one host."""

from __future__ import annotations

import shutil
from typing import Any

from tests.chaos.groups import malformed
from tests.chaos.groups.guilty import DECODER, RAISING
from tests.chaos.groups.messages import not_base64
from tests.chaos.groups.places import HELD, STORE_OUT
from tests.chaos.groups.places import mixed as mixed_events
from tests.chaos.groups.processes import FALTERS, SLOW, busy, usurp
from tests.chaos.groups.store import id_of, rule
from tests.chaos.groups.versions import versions_of
from tests.chaos.oracle import Oracle
from tests.chaos.run import PATIENCE_SECONDS, Run
from tests.chaos.traffic import Sent, event

SHARE = 40


async def short(run: Run) -> None:
    """The short form: the most telling fault of each group."""
    run.settings["DECODER"] = "own_decoder:decode"
    run.settings["BRAKE_HOURS"] = "0"
    run.make_app()
    (run.app / "own_decoder.py").write_text(DECODER)
    run.know(Oracle(run.app))
    await run.open()
    model = run.app / "models" / "flights" / "model.onnx"
    shutil.move(model, run.folder / "model.onnx")
    await run.start_host()
    row = "11: the model missing"
    await run.send(run.flights.events(SHARE, row))
    await run.until(run.waiting, PATIENCE_SECONDS, "events wait for the model")
    shutil.move(run.folder / "model.onnx", model)
    run.acted(row, await run.queued())
    await run.restart_host()
    await _guilty_member(run)

    actions: dict[str, dict[str, Any]] = {
        "1: 429": {"status": 429, "substatus": 3200, "retryAfterMs": 300},
        "2: 408 after the write": {"status": 408, "afterCommit": True},
        "3: reset in mid-answer": {"reset": True},
        "5: 401": {"status": 401},
    }
    for row, action in actions.items():
        async with run.acting(row), run.bench.store.faults(rule(run, 0.7, **action)):
            await run.send_slowly(run.flights.events(SHARE, row), 1)
            await run.passed()
    await _held(run)
    await _killed(run)
    await _unordered(run)
    await _odd(run)
    await run.drained()


async def _guilty_member(run: Run) -> None:
    row = "4: 413 of one member"
    events = run.flights.events(SHARE, row)
    events[7].reasons = frozenset({"document too large"})
    match = {"operation": "batch", "id": id_of(events[7])}
    async with (
        run.acting(row),
        run.bench.store.faults({"match": match, "action": {"status": 413, "inBatchIndex": "id"}}),
    ):
        await run.send(events)
        await run.drained()  # the guilty one may have waited for its second try


async def _held(run: Run) -> None:
    row = "6: store, queue and blobs down"
    async with (
        run.acting(row),
        run.bench.store.faults(STORE_OUT),
        run.bench.proxy.fault("queue", "blob", mode="down"),
    ):
        await run.send(mixed_events(run, SHARE, row))

        async def held() -> bool:
            return HELD in run.host.log()

        await run.until(held, PATIENCE_SECONDS, "a batch is held")
    await run.passed()


async def _killed(run: Run) -> None:
    row = "7 and 8: worker killed, ownership taken"
    async with run.acting(row), run.bench.store.faults(FALTERS, SLOW):
        await run.send(run.flights.events(SHARE, row))
        await busy(run, run.host)
        await run.host.kill_worker()
        await run.send(run.flights.events(SHARE, row))
        await busy(run, run.host)
        await usurp(run, "0")
        run.acted(row)
    await run.passed()


async def _unordered(run: Run) -> None:
    row = "9: versions out of order, late and twice"
    stacks = versions_of(run, SHARE)
    async with run.acting(row), run.bench.store.faults(STORE_OUT):
        await run.send([event(stack[0], row) for stack in stacks[::2]])
        await run.passed()
    others = [event(flight, row) for stack in stacks for flight in (stack[2], stack[1], stack[2])]
    run.rng.shuffle(others)
    await run.send(others)


async def _odd(run: Run) -> None:
    row = "10, 12 and 13: malformed, damaged, raising"
    events = run.flights.events(2 * SHARE, row)
    # An own decoder takes other bodies for malformed than ours does; what it decodes is checked all the same.
    for make, reason in malformed.DECODED:
        events.append(Sent(row, make(run.flights.one()), reasons=frozenset({reason})))
    events.append(event(run.flights.one(remark=RAISING), row, "unexpected LookupError"))
    run.rng.shuffle(events)
    await run.send(events)
    await not_base64(run, row, 2)
    run.acted(row, len(malformed.DECODED))
    await run.passed()
