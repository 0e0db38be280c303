"""The outage: the store is out of reach for a minute under full traffic; what it costs, and how soon all is stored."""

from __future__ import annotations

import asyncio
import time

from tests.chaos.bench import SETTINGS
from tests.chaos.run import POLL_SECONDS, NotInTimeError, Run
from tests.chaos.traffic import Sent

SECONDS = 60
# After the outage nothing is stored for so long at most: messages wait, the breaker looks whether the store is back.
# How long the storing itself takes depends on the machine.
IDLE_SECONDS = 60
# A message never holds more than one batch, of 256 events at most.
EVENTS_A_MESSAGE = 150
CORES = 1.0
BEFORE, DURING, AFTER = "sent before the outage", "sent in the outage", "sent after the outage"
_TICK = 0.05


async def outage(run: Run) -> None:
    """The outage: 60 s without a store, one event a send, the app and host.json as they are."""
    for name in SETTINGS:
        del run.settings[name]
    run.settings["COSMOS"] = run.bench.cosmos_of_app
    run.make_app(host={}, function_timeout="00:10:00")
    await run.open()
    await run.start_host()
    rate = run.events / SECONDS
    await _paced(run, run.flights.events(int(rate * 5), BEFORE), rate)
    await run.drained()
    before = await _stored(run)

    events = run.flights.events(run.events, DURING)
    watch = _Watch(run)
    async with run.acting(DURING), run.bench.proxy.fault("store", mode="down"):
        began = time.monotonic()
        watching = asyncio.create_task(watch.run())
        await _paced(run, events, rate)
        took = time.monotonic() - began
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    ended = time.monotonic()
    arriving = await run.lag()
    cores = watch.cpu / watch.seconds
    # Of those that left the hub: what the host has not taken yet needs no message.
    ratio = (len(events) - arriving) / max(1, watch.deepest)

    idle = await _until_stored(run, before, before + len(events))
    recovery = time.monotonic() - ended
    run.notes += [
        f"{len(events):,} events in {took:.0f} s ({len(events) / took:,.0f} a second), one a send",
        f"retry queue: {watch.deepest:,} messages at most, one for {ratio:.1f} events that left the hub (at least {EVENTS_A_MESSAGE})",
        f"host and worker: {cores:.2f} cores on average (below {CORES:g}); {arriving:,} events were still in the hub",
        f"all stored {recovery:.0f} s after the end, of which {idle:.0f} s without a write (at most {IDLE_SECONDS})",
    ]
    if ratio < EVENTS_A_MESSAGE:
        run.problem(DURING, f"one message for {ratio:.1f} events")
    if cores >= CORES:
        run.problem(DURING, f"{cores:.2f} cores")
    if idle > IDLE_SECONDS:
        run.problem(DURING, f"nothing was stored in {idle:.0f} s of the recovery")
    await run.send(run.flights.events(int(rate), AFTER))
    await run.passed()
    await run.drained()


class _Watch:
    """Looks at queue and processor time once a second."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.deepest = 0
        self.cpu = 0.0
        self.seconds = 0.0

    async def run(self) -> None:
        began, cpu = time.monotonic(), self._run.host.cpu_seconds()
        while True:
            await asyncio.sleep(1)
            self.deepest = max(self.deepest, await self._run.queued())
            self.cpu = self._run.host.cpu_seconds() - cpu
            self.seconds = time.monotonic() - began


async def _paced(run: Run, events: list[Sent], rate: float) -> None:
    """One event a send, spread over the connections; those of one key in order."""
    lanes: list[list[Sent]] = [[] for _ in range(run.sender.CONNECTIONS)]
    for number, each in enumerate(events):
        lanes[number % len(lanes)].append(each)
    began = time.monotonic()
    step = len(lanes) / rate

    async def lane(number: int) -> None:
        for position, each in enumerate(lanes[number]):
            ahead = position * step - (time.monotonic() - began)
            if ahead > _TICK:
                await asyncio.sleep(ahead)
            await run.sender.send_single(each, number)
            if position % 250 == 0:
                run.progress()

    await asyncio.gather(*(lane(number) for number in range(len(lanes))))


async def _until_stored(run: Run, stored: int, wanted: int) -> float:
    """Wait until so many are stored; the seconds in which none was.

    Raises:
        NotInTimeError: nothing was stored for far too long.
    """
    idle = 0.0
    stands = 0.0
    looked = time.monotonic()
    while stored < wanted:
        await asyncio.sleep(POLL_SECONDS)
        now_stored, now = await _stored(run), time.monotonic()
        stands = stands + now - looked if now_stored == stored else 0.0
        idle += now - looked if now_stored == stored else 0.0
        if stands > IDLE_SECONDS * 3:
            raise NotInTimeError(
                f"{run.group}: for {stands:.0f} s nothing was stored, {stored:,} of {wanted:,}"
            )
        stored, looked = now_stored, now
    return idle


async def _stored(run: Run) -> int:
    state = await run.bench.store.state()
    return int(state["databases"][run.names.database][run.names.container]["documents"])
