"""Promise 2: nothing is doubled, and nothing newer is overwritten by something older."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient

from everscore.event.identity import encode
from tests.support.app import Worker, copy_app, received, worker
from tests.support.cli import Cli
from tests.support.flights import bodies, body, flight, real_flights
from tests.support.local_stack import LocalStack
from tests.support.read_back import dead_letters, documents, items, queued, take_messages
from tests.support.services import Services

FIRST, SECOND = "2013-09-01T05:08:00-04:00", "2013-09-01T05:30:00-04:00"


def test_a_hub_read_again_from_its_start_writes_nothing(stack: LocalStack) -> None:
    """With all checkpoints gone every event comes again: superseded, no document written or changed."""
    sent = real_flights(500)
    stack.send(sent)
    stack.wait_drained()
    before = {document["id"]: document["_etag"] for document in documents(stack.services)}
    writes = stack.gateway.state()["acceptedWrites"]
    stack.kill_host()
    with BlobServiceClient.from_connection_string(stack.services.storage) as blobs:
        container = blobs.get_container_client("azure-webjobs-eventhub")
        for blob in list(container.list_blob_names()):
            container.delete_blob(blob)
    stack.start_host()
    stack.wait_drained()
    assert sorted(before) == sorted(encode(each["id"]) for each in sent)
    assert {document["id"]: document["_etag"] for document in documents(stack.services)} == before
    assert stack.gateway.state()["acceptedWrites"] == writes == len(sent)
    assert dead_letters(stack.services) == []


@pytest.mark.parametrize("answer", [{"status": 408}, {"status": 503}, {"reset": True}])
def test_writes_whose_outcome_is_unknown_stay_single(stack: LocalStack, answer: dict[str, int]) -> None:
    """Batches that are written while their sender is told otherwise end as one document an event, written once."""
    part = {408: 0, 503: 1}.get(answer.get("status", 0), 2)
    sent = real_flights(1100)[500 + 200 * part : 700 + 200 * part]
    unknown = {"match": {"operation": "batch", "every": 2}, "action": {**answer, "afterCommit": True}}
    before = stack.document_count()
    with stack.gateway.faults(unknown):
        stack.send(sent)
        stack.wait_passed()
    stack.wait_drained()
    wanted = {encode(each["id"]) for each in sent}
    found = [document["id"] for document in documents(stack.services) if document["id"] in wanted]
    assert sorted(found) == sorted(wanted)
    state = stack.gateway.state()
    assert state["documents"] == before + len(sent)
    assert state["acceptedWrites"] == state["firstWrites"] == state["documents"]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A copy of the app."""
    return copy_app(tmp_path / "app")


async def _put_off(app_worker: Worker, services: Services, event: bytes, number: int) -> bytes:
    """Let the store refuse an event, and take the message that it becomes out of the retry queue."""
    with services.gateway.faults({"match": {"operation": "batch"}, "action": {"status": 503}}):
        result = await app_worker.score(received(event, first=number))
    assert result.error is None
    (message,) = await asyncio.to_thread(take_messages, services)
    return message


async def test_a_late_retry_never_replaces_what_is_newer(app: Path, services: Services) -> None:
    """Version 1 fails and waits, version 2 is stored; when version 1 is retried at last it changes nothing."""
    async with worker(app, services.settings()) as running:
        late = await _put_off(running, services, body(flight(1, time=FIRST, dep_delay=-7)), 1)
        await running.score(received(body(flight(1, time=SECOND, dep_delay=15)), first=2))
        (newer,) = documents(services)
        assert (await running.retry(late)).error is None
        (kept,) = documents(services)
    assert newer["event"]["dep_delay"] == 15
    assert kept == newer
    assert queued(services) == 0
    assert dead_letters(services) == []


async def test_a_newer_version_replaces_an_older_one(app: Path, services: Services) -> None:
    """A later version of an id takes the document over, and its retry does so too."""
    async with worker(app, services.settings()) as running:
        late = await _put_off(running, services, body(flight(1, time=SECOND, dep_delay=15)), 2)
        await running.score(received(body(flight(1, time=FIRST, dep_delay=-7)), first=1))
        (older,) = documents(services)
        await running.retry(late)
        (newer,) = documents(services)
    assert (older["event"]["dep_delay"], newer["event"]["dep_delay"]) == (-7, 15)
    assert newer["pipeline"]["attempts"] == 2


async def test_of_one_id_twice_in_a_batch_the_newest_is_stored(app: Path, services: Services) -> None:
    """Two versions in one batch make one document, of the later time, whatever their order."""
    events = received(
        body(flight(1, time=SECOND, dep_delay=15)),
        body(flight(1, time=FIRST, dep_delay=-7)),
        body(flight(2, time=FIRST)),
    )
    async with worker(app, services.settings()) as running:
        assert (await running.score(events)).error is None
    found = {document["event"]["flight"]: document for document in documents(services)}
    assert found[1]["event"]["dep_delay"] == 15
    assert found[1]["source"]["sequenceNumber"] == 0
    assert set(found) == {1, 2}
    assert services.gateway.state()["databases"][services.names.database]["events"]["documents"] == 2


async def test_both_versions_wait_together(app: Path, services: Services) -> None:
    """Where the newest version of a batch has to wait, the older waits with it and is not stored in its place."""
    events = received(body(flight(1, time=SECOND)), body(flight(1, time=FIRST)))
    with services.gateway.faults({"match": {"operation": "batch"}, "action": {"status": 503}}):
        async with worker(app, services.settings()) as running:
            assert (await running.score(events)).error is None
    waiting = items(await asyncio.to_thread(take_messages, services, 2))
    assert sorted(item["source"].get("sequenceNumber") for item in waiting) == [0, 1]
    assert documents(services) == []


async def test_a_message_handled_twice_is_stored_once(app: Path, services: Services) -> None:
    """A retry message that comes again, because its deletion was lost, writes nothing the second time."""
    async with worker(app, services.settings()) as running:
        with services.gateway.faults({"match": {"operation": "batch"}, "action": {"status": 503}}):
            await running.score(received(*bodies(*range(10))))
        messages = await asyncio.to_thread(take_messages, services, 10)
        for message in messages:
            await running.retry(message)
        before = documents(services)
        for message in messages:
            assert (await running.retry(message, 2)).error is None
    assert len(before) == 10
    assert documents(services) == before
    assert queued(services) == 0


def test_hole_01_a_dead_letter_that_is_newer_than_the_document_is_kept(
    tmp_path: Path, services: Services
) -> None:
    """A dead letter is purged as settled only where the stored document is no older by event time, time of
    enqueuing and place; one that is newer stays, and a redrive stores it.
    """
    app, wrong = copy_app(tmp_path / "app"), copy_app(tmp_path / "wrong", stream={"time": "/when"})
    (app / "local.settings.json").write_text(json.dumps({"Values": services.settings()}))
    cli = Cli(app, tmp_path / "state")

    async def score(folder: Path, *events: bytes, first: int) -> None:
        async with worker(folder, services.settings()) as running:
            assert (await running.score(received(*events, first=first))).error is None

    async def retry() -> None:
        async with worker(app, services.settings()) as running:
            for message in await asyncio.to_thread(take_messages, services, 1):
                assert (await running.retry(message)).error is None

    asyncio.run(score(app, body(flight(1, dep_delay=-7)), first=0))
    # Of one event time, enqueued a millisecond later, while stream.json names a field that it lacks. Its
    # neighbours have that field, so that the failure is the event's own.
    neighbours = [body(flight(number, when=FIRST)) for number in range(2, 13)]
    asyncio.run(score(wrong, *neighbours, body(flight(1, dep_delay=15)), first=1))
    assert [document["event"]["dep_delay"] for document in documents(services)] == [-7] * 12
    (letter,) = dead_letters(services)
    assert cli.json("deadletters", "purge", "--settled", "--yes") == {"found": 0, "deleted": 0}
    assert [each["name"] for each in dead_letters(services)] == [letter["name"]]

    assert cli.json("deadletters", "redrive", "--yes")["redriven"] == 1
    asyncio.run(retry())
    found = {document["event"]["flight"]: document for document in documents(services)}
    assert found[1]["event"]["dep_delay"] == 15
    assert found[1]["source"]["sequenceNumber"] == letter["item"]["source"]["sequenceNumber"]
    assert dead_letters(services) == []
