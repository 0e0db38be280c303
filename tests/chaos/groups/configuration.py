"""Group 15: stream.json broken and corrected in mid-outage, and a configuration whose first event is bad."""

from __future__ import annotations

import asyncio

from everscore.watch.judging import State
from everscore.watch.verdicts import decode_verdict
from tests.chaos.groups.places import STORE_OUT
from tests.chaos.oracle import Oracle
from tests.chaos.run import PATIENCE_SECONDS, Run
from tests.chaos.traffic import Sent

# Longer than any message waits that entered the queue a minute ago.
_ALL_WERE_TRIED = 20.0


async def configuration(run: Run) -> None:
    """Group 15: stream.json broken and corrected in mid-outage; a first event that is bad."""
    run.make_app()
    await run.open()
    await run.start_host()
    run.know(Oracle(run.app))
    await _broken_in_an_outage(run, run.events * 9 // 10)
    await _bad_first_event(run, run.events - run.events * 9 // 10)


async def _broken_in_an_outage(run: Run, count: int) -> None:
    """What waits out the outage meets the wrong stream.json, and so does what the hub brings meanwhile."""
    row = "stream.json broken and corrected in mid-outage"
    third = count // 3
    broken = run.copy_app(run.folder / "broken", stream={"unwrap": "array"})
    async with run.acting(row), run.bench.store.faults(STORE_OUT):
        await run.send(run.flights.events(third, row))
        await run.passed()
        await run.restart_host(broken)
        await run.send(run.flights.events(third, row))
        await run.passed()
    # The store is back before the mistake is found: all that waits is tried.
    await run.until(lambda: _braked(run), PATIENCE_SECONDS, "the brake is on")
    await asyncio.sleep(_ALL_WERE_TRIED)
    async with run.acting(row), run.bench.store.faults(STORE_OUT):
        await run.restart_host()
        await run.send(run.flights.events(count - 2 * third, row))
        await run.passed()
    await run.drained()


async def _braked(run: Run) -> bool:
    checks = run.blobs.get_container_client(run.names.claim_checks)
    async for blob in checks.list_blobs(name_starts_with="configurations/"):
        data = await (await checks.download_blob(blob.name)).readall()
        if decode_verdict(data).state is State.BRAKED:
            return True
    return False


async def _bad_first_event(run: Run, count: int) -> None:
    """It waits until some good ones have come, and is a dead letter then."""
    row = "the first event under a new stream.json is bad"
    app = run.copy_app(run.folder / "new")
    (app / "stream.json").write_text((app / "stream.json").read_text() + "\n")
    await run.restart_host(app)
    await run.send([Sent(row, b"hello", reasons=frozenset({"not JSON"}))])
    await run.passed()
    run.acted(row, await run.queued())
    await run.send(run.flights.events(count - 1, row))
    await run.passed()
    await run.drained()
