"""Group 12: messages of the retry queue that are too large, damaged, old, new, twice there, or whose body is gone."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Sequence
from typing import Any

from azure.storage.queue.aio import QueueClient

from everscore.retry.envelope import NewerEnvelopeError, decode_envelope
from tests.chaos.groups.places import STORE_OUT, large
from tests.chaos.run import PATIENCE_SECONDS, Run
from tests.chaos.traffic import event

# Where no event of the hub can stand.
ELSEWHERE = "90"


async def messages(run: Run) -> None:
    """Group 12: retry messages too large, not base64, undecodable, older, newer, expired, twice, in the poison queue."""
    run.make_app()
    await run.open()
    await run.start_host()
    share = run.events // 7
    waiting = await _newer(run)
    await _too_large(run, share)
    await _damaged(run, share)
    await _older(run, share)
    await _expired(run, share)
    await _twice(run, share)
    await _poisoned(run, run.events - 5 * share)
    await run.drained(waiting)
    await _taken_back(run, waiting)


def _queue(run: Run, suffix: str = "") -> QueueClient:
    return run.queues.get_queue_client(run.names.queue + suffix)


async def _put(run: Run, message: bytes, suffix: str = "") -> None:
    await _queue(run, suffix).send_message(base64.b64encode(message).decode(), time_to_live=-1)


def _item(run: Run, row: str, **more: Any) -> dict[str, Any]:
    """An item that a message can carry, of an event that stands nowhere in the hub; it is accounted for like all others."""
    sent = event(run.flights.one(), row)
    return run.elsewhere(sent, ELSEWHERE, **more)


async def _newer(run: Run) -> int:
    """Messages of a newer release: put back, until that release is there again."""
    row = "of a newer version"
    for _ in range(2):
        content = {"schema": 99, "items": [_item(run, row)], "what": "this release cannot know"}
        await _put(run, json.dumps(content).encode())
    return 2


async def _taken_back(run: Run, count: int) -> None:
    """What a newer release finds: the same messages. It stores them; here they are turned into this release's."""
    row = "of a newer version"
    await run.host.stop()
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found) < count and time.monotonic() < deadline:
        async for message in _queue(run).receive_messages(visibility_timeout=30):
            held = decode_envelope(base64.b64decode(message.content)).items
            found += [json.loads(item.body) for item in held if item.kind == "message"]
            await _queue(run).delete_message(message)
        await asyncio.sleep(0.5)
    run.acted(row, len(found))
    await run.start_host()
    for content in found:
        await _put(run, json.dumps({"schema": 1, "items": content["items"]}).encode())
    await run.drained()


async def _too_large(run: Run, share: int) -> None:
    row = "too large for the queue"
    events = [
        large(run, row) if number % 4 == 0 else event(run.flights.one(), row) for number in range(share)
    ]
    async with run.acting(row), run.bench.store.faults(STORE_OUT):
        await run.send(events)
        await run.passed()
    await run.drained(2)


async def _damaged(run: Run, share: int) -> None:
    await not_base64(run, "not base64", max(2, share // 50))
    row = "undecodable"
    for number in range(max(4, share // 50)):
        body = [
            f"no JSON {run.rng.random()}".encode(),
            json.dumps({"schema": 1, "items": [], "n": number}).encode(),
            json.dumps({"schema": 1, "items": [{"body": "%%%"}], "n": number}).encode(),
            json.dumps({"schema": 0, "items": [{"body": ""}], "n": number}).encode(),
        ][number % 4]
        run.foreign(row, body, "retry message unreadable")
        await _put(run, body)
        run.acted(row)
    # Neighbours that wait in the same queue.
    row = "beside damaged messages"
    async with run.acting(row), run.bench.store.faults(STORE_OUT):
        await run.send(run.flights.events(share, row))
        await run.passed()
    await run.drained(2)


async def not_base64(run: Run, row: str, count: int) -> None:
    """Messages that the host moves to the poison queue at once, where a queue trigger would never see them."""
    for number in range(count):
        text = f"<not base64 {run.rng.random()} {number}>"
        run.foreign(row, text.encode(), "poison message unreadable")
        await _queue(run).send_message(text)
        run.acted(row)


async def _older(run: Run, share: int) -> None:
    """Messages with the fields of the first release alone, some with fields that no release knows any more."""
    row = "of an older version"
    for start in range(0, share, 10):
        items = [
            _item(run, row, **({"retired": number} if number % 2 else {}))
            for number in range(min(10, share - start))
        ]
        await _put(run, json.dumps({"schema": 1, "items": items}).encode())
    run.acted(row)
    await run.drained(2)


async def _expired(run: Run, share: int) -> None:
    row = "blob behind a claim check gone"
    checks = run.blobs.get_container_client(run.names.claim_checks)
    async with run.acting(row), run.bench.store.faults(STORE_OUT):
        await run.send([large(run, row) for _ in range(max(4, share // 40))])
        await run.send(run.flights.events(share - max(4, share // 40), row))
        await run.passed()
        await run.host.stop()
        async for name in checks.list_blob_names(name_starts_with="bodies-of-items/"):
            await checks.delete_blob(name)
        await run.start_host()
    row = "blob and event gone"
    for number in range(2):
        source = {"hub": run.names.hub, "partition": "0", "sequenceNumber": 10_000_000 + number}
        source |= {"namespace": "127.0.0.1", "enqueuedAt": "2026-01-01T00:00:00.000Z"}
        run.ghost(row, source, "body expired")
        message = {
            "schema": 1,
            "items": [{"blob": f"items/gone-{number}.json", "source": source, "attempts": 1}],
        }
        await _put(run, json.dumps(message).encode())
        run.acted(row)
    await run.drained(2)


async def take_all(run: Run, left: int = 0) -> list[str]:
    """Stop the host and take every message of this release out of the queue, as soon as it can be seen."""
    await run.host.stop()
    contents: list[str] = []
    deadline = time.monotonic() + 60
    while await run.queued() > left and time.monotonic() < deadline:
        async for message in _queue(run).receive_messages(visibility_timeout=30):
            if _holds_events(base64.b64decode(message.content)):
                contents.append(message.content)
                await _queue(run).delete_message(message)
        await asyncio.sleep(0.2)
    return contents


def _holds_events(message: bytes) -> bool:
    """Whether a message holds events, and not one of a newer release that waits whole."""
    try:
        return all(item.kind != "message" for item in decode_envelope(message).items)
    except NewerEnvelopeError:
        return False


async def put_back(run: Run, contents: Sequence[str]) -> None:
    """Put messages into the queue as they are."""
    for content in contents:
        await _queue(run).send_message(content, time_to_live=-1)


async def _twice(run: Run, share: int) -> None:
    row = "delivered twice"
    async with run.acting(row), run.bench.store.faults(STORE_OUT):
        await run.send(run.flights.events(share, row))
        await run.passed()
        contents = await take_all(run, 2)
    await run.start_host()
    await put_back(run, contents * 2)
    run.acted(row, len(contents))
    await run.drained(2)


async def _poisoned(run: Run, count: int) -> None:
    row = "in the poison queue while blobs are down"
    await run.send(run.flights.events(count // 2, row))
    async with run.acting(row), run.bench.proxy.fault("blob", mode="down"):
        text = f"<never base64 {run.rng.random()}>"
        run.foreign(row, text.encode(), "poison message unreadable")
        await _queue(run, "-poison").send_message(text)
        for start in range(0, count - count // 2, 20):
            items = [_item(run, row) for _ in range(min(20, count - count // 2 - start))]
            await _put(run, json.dumps({"schema": 1, "items": items}).encode(), "-poison")
        await run.host.run_timer("housekeeping")

        async def emptied() -> bool:
            properties = await _queue(run, "-poison").get_queue_properties()
            return properties.approximate_message_count == 0

        # The letter is refused; message and events wait in the retry queue, where nothing expires.
        await run.until(emptied, PATIENCE_SECONDS, "housekeeping emptied the poison queue")
