"""Groups 7 and 8: worker and host die, stop, run out of time, and lose their partitions."""

from __future__ import annotations

import asyncio

from tests.chaos.bench import PARTITIONS, HostProcess, without_budget_check
from tests.chaos.groups.places import STORE_OUT
from tests.chaos.run import PATIENCE_SECONDS, Run
from tests.chaos.traffic import Sent

# Batches take long enough to be met in their middle.
SLOW = {"match": {"operation": "batch"}, "action": {"delaySeconds": 0.25}}
FALTERS = {"match": {"operation": "batch", "every": 3}, "action": {"status": 503}}
WORKER_KILLS, HOST_KILLS = 12, 8
OVERRAN = "ran longer than functionTimeout"


async def busy(run: Run, host: HostProcess) -> None:
    """Wait until a batch is under way."""

    async def met() -> bool:
        return bool((await host.status())["worker"]["running"])

    await run.until(met, PATIENCE_SECONDS, "a batch is under way")


async def deaths(run: Run) -> None:
    """Group 7: the worker killed, the host with it, SIGTERM, a function that runs out of time."""
    run.make_app()
    await run.open()
    await run.start_host()
    kills = ["worker"] * WORKER_KILLS + ["host"] * HOST_KILLS
    if run.events < 1_000:  # the short form
        kills = ["worker", "worker", "host"]
    run.rng.shuffle(kills)
    rows = {"worker": "SIGKILL of the worker", "host": "SIGKILL of host and worker"}
    share = run.events * 3 // 4 // len(kills)
    for kill in kills:
        row = rows[kill]
        async with run.acting(row), run.bench.store.faults(FALTERS, SLOW):
            await run.send(run.flights.events(share, row))
            await busy(run, run.host)
            await asyncio.sleep(run.rng.random() * 0.3)
            run.acted(row)
            if kill == "worker":
                await run.host.kill_worker()
            else:
                await run.host.kill()
                await run.start_host()
    left = (run.events - share * len(kills)) // 2
    await _terminated(run, run.flights.events(left, "SIGTERM"))
    await run.passed()
    await run.drained()
    await _overrun(run, run.flights.events(left, "time-out of the function"))
    await run.drained()


async def _terminated(run: Run, events: list[Sent]) -> None:
    row = "SIGTERM"
    async with run.acting(row), run.bench.store.faults(SLOW):
        await run.send(events)
        await busy(run, run.host)
        run.acted(row)
        await run.host.stop(30)
        if "after the grace period" in run.host.log():
            run.problem(row, "the host did not drain within its grace period")
    await run.start_host()


async def _overrun(run: Run, events: list[Sent]) -> None:
    """A time-out shorter than the time budget, which our code cannot keep."""
    row = "time-out of the function"
    app = run.copy_app(run.folder / "hasty", function_timeout="00:00:03")
    without_budget_check(app)
    host = await run.restart_host(app)
    await run.until(lambda: owns(host, PARTITIONS), PATIENCE_SECONDS, "the host has all partitions")
    async with (
        run.acting(row),
        run.bench.store.faults(STORE_OUT),
        run.bench.proxy.fault("queue", mode="hang"),
    ):
        await run.send(events)

        async def met() -> bool:
            return host.log().count(OVERRAN) >= 2

        await run.until(met, PATIENCE_SECONDS, "two invocations ran out of time")
    await run.passed(120)
    await run.restart_host()


async def owns(host: HostProcess, count: int) -> bool:
    """Whether a host has so many partitions."""
    listeners = (await host.status())["listeners"]
    return any(len(listener.get("partitions", [])) == count for listener in listeners)


async def ownership(run: Run) -> None:
    """Group 8: ownership lost in mid-batch; two hosts on one consumer group; scale-out and back."""
    run.make_app()
    await run.open()
    first = await run.start_host()
    share = run.events // 4
    row = "ownership taken in mid-batch"
    async with run.acting(row), run.bench.store.faults(SLOW):
        events = run.flights.events(share, row)
        for part in range(4):
            await run.send(events[part::4])
            await busy(run, first)
            await usurp(run, str(part % PARTITIONS))
        await run.passed(90)
    row = "scale-out: a second host"
    async with run.acting(row), run.bench.store.faults(FALTERS, SLOW):
        events = run.flights.events(share, row)
        await run.send(events[::2])
        second = await run.start_host()
        await run.until(lambda: owns(second, PARTITIONS // 2), PATIENCE_SECONDS, "each host has its share")
        await run.send(events[1::2])
        await busy(run, second)
    row = "scale-in: SIGTERM of the second"
    async with run.acting(row), run.bench.store.faults(SLOW):
        events = run.flights.events(share, row)
        await run.send(events[::2])
        await busy(run, second)
        await second.stop()
        await run.send(events[1::2])
        await run.until(
            lambda: owns(first, PARTITIONS), PATIENCE_SECONDS, "the first host has all partitions again"
        )
    row = "one of two hosts killed"
    async with run.acting(row), run.bench.store.faults(SLOW):
        events = run.flights.events(run.events - 3 * share, row)
        third = await run.start_host()
        await run.until(lambda: owns(third, PARTITIONS // 2), PATIENCE_SECONDS, "each host has its share")
        await run.send(events)
        await busy(run, third)
        await third.kill()
        await run.until(
            lambda: owns(first, PARTITIONS), PATIENCE_SECONDS, "the first host has all partitions again"
        )
    await run.passed()
    await run.drained()


async def usurp(run: Run, partition: str, owner: str = "00000000-0000-0000-0000-00000000beef") -> None:
    """Claim a partition for a host that does not exist, as another host would, or release it: by its blob."""
    name = f"127.0.0.1/{run.names.hub}/{run.names.group}/ownership/{partition}"
    blob = run.blobs.get_blob_client("azure-webjobs-eventhub", name)
    await blob.set_blob_metadata({"ownerid": owner})
