"""Promise 3: whatever is wrong with one event, its neighbours are scored and stored."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from everscore.event.identity import encode
from everscore.retry.envelope import decode_envelope
from everscore.retry.packing import pack
from tests.support.app import copy_app, received, worker
from tests.support.flights import bodies, body, flight, real_flights
from tests.support.local_stack import LocalStack
from tests.support.read_back import dead_letters, documents, items, queued, take_messages
from tests.support.services import Services

BAD = {
    b"hello": "not JSON",
    b"": "empty body",
    b'{"id":': "not JSON",
    b"\xff": "not UTF-8",
    b"[1, 2]": "not an object",
    body(flight(1, id=None)): "id is null",
    body(flight(2, id="")): "id is empty",
    body(flight(3, carrier={"a": 1})): "partition key of the wrong type",
    body(flight(4, time="yesterday")): "time not readable",
    body(flight(5, distance=float("nan"))): "number not finite",
    gzip.compress(body(flight(6)), mtime=0)[:-9]: "gzip truncated",
    gzip.compress(body(flight(7)), mtime=0)[:12] + b"\xff" * 40: "gzip corrupt",
    b'{"a":' * 200 + b"1" + b"}" * 200: "nesting too deep",
}


def test_each_bad_event_is_a_dead_letter_and_each_neighbour_is_stored(stack: LocalStack) -> None:
    """Among real flights every kind of bad event ends in the dead letters, byte for byte and with its reason."""
    good = real_flights(300)
    mixed: list[Any] = list(good)
    for place, event in enumerate(BAD):
        mixed.insert(place * 20, event)
    stack.send(mixed)
    stack.wait_drained()
    assert sorted(document["id"] for document in documents(stack.services)) == sorted(
        encode(each["id"]) for each in good
    )
    letters = dead_letters(stack.services)
    assert {letter["body"]: letter["item"]["reason"] for letter in letters} == BAD
    assert len(letters) == len(BAD)
    for letter in letters:
        assert letter["metadata"]["reason"] == letter["item"]["reason"]
        assert letter["metadata"]["stage"] == letter["item"]["stage"]


# An own decoder that some bodies make die, raise, or give what it should not.
DECODER = """
import json, os

def decode(bodies):
    found = []
    for body in bodies:
        if body == b"die":
            os._exit(139)
        if body == b"raise":
            raise LookupError("nobody foresaw this")
        found.append(ValueError("not mine") if body == b"refuse" else json.loads(body))
    return found
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A copy of the app with an own decoder."""
    made = copy_app(tmp_path / "app")
    (made / "own_decoder.py").write_text(DECODER)
    return made


async def test_an_exception_that_nobody_foresaw_is_narrowed_down(app: Path, services: Services) -> None:
    """A decoder that raises for one body of a batch stops that one alone: it is tried 3 times, then dead-lettered."""
    batch = [*bodies(*range(5)), b"raise", b"refuse", *bodies(*range(5, 10))]
    settings = services.settings(DECODER="own_decoder:decode", UNEXPECTED_MINUTES="0")
    async with worker(app, settings) as running:
        assert (await running.score(received(*batch))).error is None
        assert len(documents(services)) == 10
        assert [letter["body"] for letter in dead_letters(services)] == [b"refuse"]
        tries = 1
        while queued(services):
            (message,) = await asyncio.to_thread(take_messages, services)
            assert (await running.retry(message)).error is None
            tries += 1
    (letter,) = [each for each in dead_letters(services) if each["body"] == b"raise"]
    assert tries == letter["item"]["unexpected"] == 3
    assert letter["item"]["reason"] == "unexpected LookupError"
    assert "nobody foresaw this" in letter["item"]["exception"]


async def test_an_event_that_kills_the_worker_ends_alone(app: Path, services: Services) -> None:
    """A batch that kills the worker goes on unread, one event a message; only the guilty one is dead-lettered."""
    settings = services.settings(DECODER="own_decoder:decode")
    batch = received(*bodies(0, 1), b"die", *bodies(2, 3))
    async with worker(app, settings) as dying:
        with pytest.raises(Exception, match="ended") as death:
            await dying.score(batch, tries=3, previous="the worker died")
    async with worker(app, settings) as running:
        assert (await running.score(batch, tries=4, previous=str(death.value))).error is None
        assert documents(services) == []
        messages = await asyncio.to_thread(take_messages, services, len(batch))
        assert [len(items([message])) for message in messages] == [1] * 5
        (guilty,) = [each for each in messages if items([each])[0]["body"] == b"die"]
        for message in messages:
            if message is not guilty:
                assert (await running.retry(message)).error is None
    for _ in range(3):
        async with worker(app, settings) as dying:
            with pytest.raises(Exception, match="ended"):
                await dying.retry(guilty)
    async with worker(app, settings) as running:
        # A model can kill every worker: that this one does not is known once the hub has brought good events.
        assert (await running.score(received(*bodies(*range(4, 12))))).error is None
        assert (await running.retry(guilty)).error is None
    assert sorted(each["event"]["flight"] for each in documents(services)) == list(range(12))
    (letter,) = dead_letters(services)
    assert letter["body"] == b"die"
    assert letter["item"]["reason"] == "crashes the worker"
    assert queued(services) == 0


async def test_a_packed_message_that_kills_the_worker_is_split(app: Path, services: Services) -> None:
    """From its third delivery on a message of many events is split unread into one message an event."""
    async with worker(app, services.settings()) as running:
        with services.gateway.faults({"match": {"operation": "batch"}, "action": {"status": 503}}):
            await running.score(received(*bodies(0, 1, 2)))
        # What failed together may lie in several messages: one is made of all of them.
        messages = await asyncio.to_thread(take_messages, services, 3)
        [packed], _ = pack([item for message in messages for item in decode_envelope(message).items])
        assert (await running.retry(packed.message, 3)).error is None
        assert documents(services) == []
        alone = await asyncio.to_thread(take_messages, services, 3)
        assert [len(items([message])) for message in alone] == [1] * 3
        for message in alone:
            await running.retry(message)
    assert len(documents(services)) == 3


async def test_when_most_of_a_batch_fails_for_one_reason_it_waits(tmp_path: Path, services: Services) -> None:
    """A wrong stream.json is a mistake of the deployment: all events wait, and none is a dead letter before it is corrected."""
    broken = copy_app(tmp_path / "broken", stream={"id": "/no/such/field"})
    fixed = copy_app(tmp_path / "fixed")
    async with worker(broken, services.settings(STATUS_INTERVAL_SECONDS="0.001")) as running:
        await running.score(received(*bodies(*range(30)), b"hello"))
        status, report = await running.details()
    assert status == 503
    assert "brake" in report["checks"]["configuration"]["detail"]
    assert dead_letters(services) == []
    async with worker(fixed, services.settings()) as running:
        for message in await asyncio.to_thread(take_messages, services, 31):
            assert (await running.retry(message)).error is None
        assert len(documents(services)) == 30
        # What was bad all along is a dead letter once the hub has brought some events that are good.
        assert (await running.score(received(*bodies(*range(30, 38))))).error is None
        (message,) = await asyncio.to_thread(take_messages, services)
        assert (await running.retry(message)).error is None
    assert [letter["body"] for letter in dead_letters(services)] == [b"hello"]
    assert queued(services) == 0
