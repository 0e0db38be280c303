"""Groups 1 to 5: the store refuses, answers late or not at all, and means one document or all."""

from __future__ import annotations

import json
from typing import Any

from tests.chaos.run import PATIENCE_SECONDS, Run
from tests.chaos.traffic import Sent, event

# A rule ends by itself, so that what waits in the retry queue meets a sound store soon.
SECONDS = 3.0
WRITES: dict[str, Any] = {"operation": "batch"}


def rule(
    run: Run, probability: float = 1.0, match: dict[str, Any] | None = None, **action: Any
) -> dict[str, Any]:
    """A fault of the store, drawn from the group's seed."""
    drawn = {"probability": probability, "seed": run.rng.randrange(1 << 30)} if probability < 1 else {}
    return {"match": {**(match or WRITES), **drawn}, "action": action}


async def under(
    run: Run, row: str, events: list[Sent], *rules: dict[str, Any], seconds: float = SECONDS
) -> None:
    """Send events while rules are in force, and keep them so until something acted."""
    async with run.acting(row), run.bench.store.faults(*rules):
        await run.send_slowly(events, seconds)
        await run.until(_has_acted(run), PATIENCE_SECONDS, f"{row}: the fault acted")


def _has_acted(run: Run) -> Any:
    async def met() -> bool:
        return await run.bench.store.acts() > 0

    return met


async def throttling(run: Run) -> None:
    """Group 1: 429, as a response and inside a 207, with and without retry-after, for longer than the SDK tries."""
    # Shorter than the longest row: a batch that waits for the store as long as that runs out of time.
    run.settings["TIME_BUDGET_SECONDS"] = "8"
    run.make_app(function_timeout="00:00:10")
    await run.open()
    await run.start_host()
    throttled = {"status": 429, "substatus": 3200}
    kinds: dict[str, tuple[float, dict[str, Any]]] = {
        "429 with retry-after": (0.6, {**throttled, "retryAfterMs": 150}),
        "429 without retry-after": (0.6, throttled),
        "429 in a 207, with retry-after": (0.6, {**throttled, "retryAfterMs": 150, "inBatchIndex": 0}),
        "429 in a 207, without retry-after": (0.6, {**throttled, "inBatchIndex": 0}),
        "429 for longer than any try": (1.0, {**throttled, "retryAfterMs": 300}),
    }
    share = run.events // (len(kinds) + 1)
    for row, (probability, action) in kinds.items():
        # The last one is longer than the batch's deadline, and all reads are refused too.
        long = probability == 1
        match = {"operation": ["batch", "query", "read"]} if long else None
        events = run.flights.events(share, row)
        await under(
            run, row, events, rule(run, probability, match, **action), seconds=12 if long else SECONDS
        )
        await run.passed()
    row = "request units used up"
    await run.bench.store.throttle(60, 5)
    async with run.acting(row):
        before = (await run.bench.store.state())["throttledRequests"]
        await run.send(run.flights.events(run.events - share * len(kinds), row))
        await run.passed()
        run.acted(row, (await run.bench.store.state())["throttledRequests"] - before)
    await run.drained()


async def transient(run: Run) -> None:
    """Group 2: 503, 449, and 408 after the write was committed."""
    run.make_app()
    await run.open()
    await run.start_host()
    kinds: dict[str, dict[str, Any]] = {
        "503": {"status": 503},
        "503, an HTML page": {"status": 503, "body": "html"},
        "503 after the write": {"status": 503, "afterCommit": True},
        "449": {"status": 449},
        "500, an empty body": {"status": 500, "body": "empty"},
        "408 after the write": {"status": 408, "afterCommit": True},
    }
    share = -(-run.events // len(kinds))
    for row, action in kinds.items():
        await under(run, row, run.flights.events(share, row), rule(run, 0.6, **action))
        await run.passed()
    await run.drained()


async def broken_connections(run: Run) -> None:
    """Group 3: the connection breaks in the middle of the answer; answers come after the time-out."""
    run.make_app()
    await run.open()
    await run.start_host()
    late = float(run.settings["COSMOS_TIMEOUT_SECONDS"]) * 2
    kinds: dict[str, dict[str, Any]] = {
        "reset in mid-answer, written": {"reset": True},
        "reset in mid-answer, not written": {"reset": True, "status": 503},
        "written at once, answered late": {"delaySeconds": late, "afterCommit": True},
        "written late, after the time-out": {"delaySeconds": late},
        "the answer stalls half-way": {"delaySeconds": late, "delayInBody": True},
    }
    share = -(-run.events // len(kinds))
    for row, action in kinds.items():
        await under(run, row, run.flights.events(share, row), rule(run, 0.4, **action))
        await run.passed(90)
    await run.drained()


async def guilty_member(run: Run) -> None:
    """Group 4: a transactional batch in which one member fails, for good or for now."""
    run.make_app()
    await run.open()
    await run.start_host()
    for_good = {
        "413 of one member": ({"status": 413}, "document too large"),
        "400 of one member": ({"status": 400}, "refused by the store"),
    }
    share = run.events // 7
    for row, (action, reason) in for_good.items():
        events = run.flights.events(share, row)
        guilty = run.rng.sample(events, max(1, share // 50))
        rules = []
        for each in guilty:
            each.reasons = frozenset({reason})
            match = {"operation": "batch", "id": id_of(each)}
            rules.append({"match": match, "action": {**action, "inBatchIndex": "id"}})
        await under_until_passed(run, row, events, rules)
    row = "400 of the whole request for one member"
    events = run.flights.events(share, row)
    guilty = run.rng.sample(events, max(1, share // 50))
    for each in guilty:
        each.reasons = frozenset({"refused by the store"})
    rules = [
        {"match": {"operation": "batch", "id": id_of(each)}, "action": {"status": 400}} for each in guilty
    ]
    await under_until_passed(run, row, events, rules)
    for status in (409, 412, 503):
        row = f"{status} of one member, for a while"
        one: dict[str, Any] = {"status": status, "inBatchIndex": 0}
        await under(run, row, run.flights.events(share, row), rule(run, 0.5, **one))
        await run.passed()
    row = "really too large: 413"
    events = run.flights.events(run.events - 6 * share, row)
    for each in run.rng.sample(events, 4):
        each.body = _too_large(json.loads(each.body))
        each.reasons = frozenset({"document too large"})
        run.acted(row)
    await run.send(events)
    await run.passed()
    await run.drained()


async def under_until_passed(run: Run, row: str, events: list[Sent], rules: list[dict[str, Any]]) -> None:
    """Rules that mean single events: in force until all of them have come to an end."""
    async with run.acting(row), run.bench.store.faults(*rules):
        await run.send(events)
        await run.passed()
        await run.drained()


def id_of(each: Sent) -> str:
    """The id of a flight's document."""
    from everscore.event.identity import encode_id

    return encode_id(json.loads(each.body)["id"])


def _too_large(flight: dict[str, Any]) -> bytes:
    """A small body that grows to just under 2 MiB: its document is over that, and all else is valid."""
    import gzip

    return gzip.compress(json.dumps({**flight, "remark": "a" * 2_096_000}).encode(), mtime=0)


async def refused(run: Run) -> None:
    """Group 5: 401, 403 and 404 for a while; a full logical partition."""
    run.make_app()
    await run.open()
    await run.start_host()
    everything = {"operation": ["batch", "query", "read"]}
    kinds: dict[str, dict[str, Any]] = {
        "401": {"status": 401},
        "403, the role is missing": {"status": 403, "substatus": 5301},
        "403, the region is moving": {"status": 403, "substatus": 3},
        "404, the container is missing": {"status": 404, "substatus": 1003},
        "404, the body is a page": {"status": 404, "body": "html"},
    }
    share = run.events // (len(kinds) + 1)
    for row, action in kinds.items():
        await under(run, row, run.flights.events(share, row), rule(run, 1.0, everything, **action))
        await run.passed()
    row = "403/1014, the partition is full"
    events = run.flights.events(run.events - share * len(kinds), row)
    full = [
        event(run.flights.one(carrier="UA", date="2013-02-31"), row, "logical partition full")
        for _ in range(10)
    ]
    events[-len(full) :] = full
    run.rng.shuffle(events)
    refusal = {
        "match": {"operation": "batch", "pk": "UA|2013-02-31"},
        "action": {
            "status": 403,
            "substatus": 1014,
            "message": "Partition key reached maximum size of 20 GB",
        },
    }
    await under_until_passed(run, row, events, [refusal])
    await run.drained()
