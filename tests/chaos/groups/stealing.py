"""Group 14: partitions change hands while calls and retry loops are under way, of which nobody is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from tests.chaos.bench import PARTITIONS, HostProcess
from tests.chaos.groups.places import HELD, STORE_OUT
from tests.chaos.groups.processes import busy, owns, usurp
from tests.chaos.run import PATIENCE_SECONDS, Run
from tests.chaos.traffic import Sent

LATE, LOOPS = "partitions stolen in mid-call", "partitions stolen in mid-loop"
# The store's answers to the slow host come so late.
_DELAY_SECONDS = 3.0
_ROUNDS = 4
_LOST = "was taken by another host"


async def stealing(run: Run) -> None:
    """Group 14: partitions stolen while calls and retry loops are under way, whose late ends move checkpoints back."""
    # Calls that end soon where no destination answers, so that the host's own loop runs.
    run.settings["TIME_BUDGET_SECONDS"] = "3"
    run.make_app()
    await run.open()
    slow = await run.start_host(
        COSMOS=run.bench.cosmos_of_app,
        COSMOS_TIMEOUT_SECONDS="12",
        BATCH_DEADLINE_SECONDS="12",
        TIME_BUDGET_SECONDS="15",
    )
    share = run.events // 2
    fast = await _late_ends(run, slow, run.flights.events(share, LATE))
    await _ended(run, slow, fast)
    again = await _loops(run, slow, fast, run.flights.events(run.events - share, LOOPS))
    await _ended(run, slow, again)
    # A checkpoint that went back stays there until the partition's next event.
    last = run.flights.events(PARTITIONS, LOOPS)
    for number, event in enumerate(last):
        event.key, event.partition = None, str(number)
    await run.send(last)
    await run.passed(90)
    await run.drained()


async def _late_ends(run: Run, slow: HostProcess, events: list[Sent]) -> HostProcess:
    """A fast host takes half of the partitions, and passes what the slow one has under way there."""
    await run.until(lambda: owns(slow, PARTITIONS), PATIENCE_SECONDS, "the first host has all partitions")
    async with (
        _checkpoints_that_go_back(run) as gone_back,
        run.bench.proxy.fault("store", mode="delay", delaySeconds=_DELAY_SECONDS),
    ):
        for turn in range(_ROUNDS):
            await run.send(events[turn::_ROUNDS])
            await busy(run, slow)
            fast = await run.start_host()
            await run.until(partial(owns, fast, PARTITIONS // 2), PATIENCE_SECONDS, "each host has its share")
            await asyncio.sleep(2 * _DELAY_SECONDS)
            if gone_back or turn == _ROUNDS - 1:
                break
            await fast.stop()
            await run.until(
                lambda: owns(slow, PARTITIONS), PATIENCE_SECONDS, "the first host has all partitions again"
            )
        for rest in range(turn + 1, _ROUNDS):
            await run.send(events[rest::_ROUNDS])
        # Taken by somebody who does not read them, and given back at once.
        for partition in run.rng.sample(range(PARTITIONS), PARTITIONS):
            await usurp(run, str(partition))
            await asyncio.sleep(1.2)
            await usurp(run, str(partition), owner="")
    run.acted(LATE, len(gone_back))
    run.notes.append(f"checkpoints that went back: {', '.join(gone_back) or 'none'}")
    return fast


async def _loops(run: Run, slow: HostProcess, fast: HostProcess, events: list[Sent]) -> HostProcess:
    """No destination answers, so that all batches are in their hosts' loops; partitions go to and fro meanwhile.

    Returns:
        The second host, which runs on.
    """
    async with run.bench.store.faults(STORE_OUT), run.bench.proxy.fault("queue", mode="down"):
        await run.send(events[::2])
        await run.until(lambda: _logged(slow, HELD), PATIENCE_SECONDS, "the slow host tries a batch again")
        await run.until(lambda: _logged(fast, HELD), PATIENCE_SECONDS, "the fast host tries a batch again")
        before = slow.log().count(_LOST)
        await fast.stop()
        await run.until(
            lambda: owns(slow, PARTITIONS), PATIENCE_SECONDS, "the first host has all partitions again"
        )
        again = await run.start_host()
        await run.until(lambda: owns(again, PARTITIONS // 2), PATIENCE_SECONDS, "each host has its share")
        await run.send(events[1::2])
        await run.until(
            lambda: _logged(again, HELD), PATIENCE_SECONDS, "the second host tries the same batches"
        )
        await run.until(lambda: _has_lost(slow), PATIENCE_SECONDS, "the first host notices")
        run.acted(LOOPS, slow.log().count(_LOST) - before)
    return again


async def _logged(host: HostProcess, what: str) -> bool:
    return what in host.log()


async def _has_lost(host: HostProcess) -> bool:
    """Whether a batch is under way there, in a call or between two tries, of a partition that another host took."""
    return any(listener.get("lost") for listener in (await host.status())["listeners"])


async def _ended(run: Run, *hosts: HostProcess) -> None:
    """Wait until nothing is under way that a host has lost, whose end would move a checkpoint back."""

    async def met() -> bool:
        return not any([await _has_lost(host) for host in hosts])

    await run.until(met, PATIENCE_SECONDS, "nothing is under way any more that a host has lost")


@asynccontextmanager
async def _checkpoints_that_go_back(run: Run) -> AsyncIterator[list[str]]:
    """What is seen to go back, as texts, while the block runs."""
    found: list[str] = []

    async def watch() -> None:
        last: dict[str, int] = {}
        while True:
            now = await run.passed_numbers()
            found.extend(
                f"{partition}: {last[partition]} to {number}"
                for partition, number in now.items()
                if number < last.get(partition, -1)
            )
            last = now
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    try:
        yield found
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
