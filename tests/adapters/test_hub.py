"""The reader of a hub beside the trigger, against the Event Hubs stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.eventhub import EventData, EventHubProducerClient
from msgspec import structs

from everscore.adapters import hub
from everscore.adapters.credentials import Credentials
from everscore.adapters.hub import HubReader
from everscore.config.connections import Connection
from everscore.event.item import Source
from everscore.failures import Configuration, Transient
from everscore_local.endpoints import EVENTHUBS_KEY, EVENTHUBS_KEY_NAME
from tests.support.services import part

EVENTS = 12

# What the SDK hands pages to; the first is the context of the partition.
type Take = Callable[[Any, list[EventData]], Awaitable[None]]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A hub of one partition with some events."""
    folder: Path = tmp_path_factory.mktemp("hub")
    with part(
        "eventhubs", folder, "--port", "0", "--data", str(folder / "data"), "--hub", "h:1:g"
    ) as running:
        text = (
            f"Endpoint=sb://127.0.0.1:{running.ready['port']};SharedAccessKeyName={EVENTHUBS_KEY_NAME};"
            f"SharedAccessKey={EVENTHUBS_KEY};UseDevelopmentEmulator=true;"
        )
        with EventHubProducerClient.from_connection_string(text, eventhub_name="h") as producer:
            producer.send_batch([EventData(f"event {number}") for number in range(EVENTS)])
        yield text


@pytest.fixture
async def reader(connection: str) -> AsyncIterator[HubReader]:
    """A reader of that hub."""
    async with Credentials() as credentials:
        made = HubReader(Connection("EVENTHUB", connection_string=connection), "h", credentials=credentials)
        yield made
        await made.close()


@pytest.fixture
async def sources(reader: HubReader) -> list[Source]:
    """Where its events lie, by sequence number."""
    return [event.source async for page in reader.read("0", 0) for event in page]


async def test_events_of_one_partition_can_be_fetched_at_once(
    reader: HubReader, sources: list[Source]
) -> None:
    """Fetches that come at the same time all find their event, though the SDK reads a partition once at a time."""
    numbers = (2, 0, 1)
    found = await asyncio.gather(*(reader.fetch(sources[number]) for number in numbers))
    assert [event.body for event in found if event] == [b"event %d" % number for number in numbers]


async def test_a_reading_that_ends_early_is_a_failure(reader: HubReader) -> None:
    """Two reads of one partition, which the SDK refuses, end in a failure and do not wait for ever."""
    first = reader.read("0", 0)
    await anext(first)
    with pytest.raises(Transient, match="hub not read"):
        async for _ in reader.read("0", 0):
            pass
    await first.aclose()


async def test_a_reading_that_is_given_up_leaves_the_partition_readable(
    reader: HubReader, sources: list[Source]
) -> None:
    """Whoever is cancelled while a reading cleans up waits for that: the partition can be read again."""
    reading = reader.read("0", 0)
    await anext(reading)
    closing = asyncio.create_task(reading.aclose())
    await asyncio.wait({closing}, timeout=0.1)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    found = await reader.fetch(sources[3])
    assert found is not None
    assert found.body == b"event 3"


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        (("", ""), "hub missing", "EVENTHUB_NAME"),
        ((EVENTHUBS_KEY, "d3Jvbmcga2V5d3Jvbmcga2V5"), "hub refuses access", "Azure Event Hubs Data Receiver"),
    ],
)
async def test_what_an_operator_can_fix_says_how(
    connection: str, sources: list[Source], change: tuple[str, str], reason: str, says: str
) -> None:
    """An unknown hub and a refused key are configuration failures of every question, and show no key."""
    name = "other" if reason == "hub missing" else "h"
    text = connection.replace(*change) if change[0] else connection
    async with Credentials() as credentials:
        reader = HubReader(Connection("EVENTHUB", connection_string=text), name, credentials=credentials)
        for call in (reader.partitions(), reader.fetch(structs.replace(sources[0], hub=name))):
            with pytest.raises(Configuration) as caught:
                await call
            assert caught.value.reason == reason
            assert says in caught.value.detail
            assert "d3Jvbmcg" not in str(caught.value)
        await reader.close()


async def test_waiting_for_a_turn_is_bounded_like_all_else(
    reader: HubReader, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits behind a reading that does not end waits no longer than a fetch may take."""
    await reader.partitions()
    monkeypatch.setattr(hub, "_FETCH", 0.5)
    async with reader._turns["0"], asyncio.timeout(60):
        with pytest.raises(Transient, match="hub timed out"):
            await reader.fetch(sources[0])


async def test_a_reading_that_never_ends_lets_go_of_who_cancels(
    reader: HubReader, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled while the client's cleaning up hangs, a reader ends all the same; the next finds its event."""
    let_go = asyncio.Event()

    async def stubborn(*_args: object, **_options: object) -> None:
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()

    monkeypatch.setattr(hub, "_ENDING", 0.3)
    monkeypatch.setattr(reader._client, "receive_batch", stubborn)
    fetching = asyncio.create_task(reader.fetch(sources[0]))
    while not reader._turns["0"].locked():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    fetching.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await fetching
        assert (await reader.fetch(sources[3])).body == b"event 3"  # type: ignore[union-attr]
    let_go.set()


async def test_what_the_hub_does_not_hold_is_none(reader: HubReader, sources: list[Source]) -> None:
    """Another partition, a number beyond the end, and an event of a hub that was made anew are not there."""
    other = {"partition": "7"}, {"sequence_number": EVENTS}, {"enqueued_at": "2001-01-01T00:00:00.000Z"}
    for change in (*other, {"hub": "another"}):
        assert await reader.fetch(structs.replace(sources[0], **change)) is None
    assert await reader.fetch(structs.replace(sources[0], hub="H")) is not None


@pytest.mark.parametrize("unknown", ["hub", "partition", "sequence_number", "enqueued_at"])
async def test_hole_09_an_event_of_unknown_place_is_not_fetched(
    reader: HubReader, sources: list[Source], unknown: str
) -> None:
    """No body is taken from the hub for an event of which part of the place is unknown: it might be another's."""
    assert await reader.fetch(structs.replace(sources[0], **{unknown: None})) is None


async def test_a_hub_that_is_late_holds_its_events_still(
    reader: HubReader, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK tells of an idle wait as of a page without events: what comes after it is read all the same."""
    receive = reader._client.receive_batch

    async def late(take: Take, **options: Any) -> None:
        await take(None, [])
        await receive(take, **options)

    monkeypatch.setattr(reader._client, "receive_batch", late)
    found = await reader.fetch(sources[3])
    assert found is not None
    assert found.body == b"event 3"
    pages = [page async for page in reader.read("0", 0)]
    assert sum(map(len, pages)) == EVENTS


async def test_a_hub_that_gives_nothing_says_nothing_of_its_events(
    reader: HubReader, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where events do not come though the partition holds them, that is a failure: none is held to have expired."""

    async def silent(take: Take, **_options: Any) -> None:
        await take(None, [])
        await asyncio.Event().wait()

    monkeypatch.setattr(reader._client, "receive_batch", silent)
    monkeypatch.setattr(hub, "_PATIENCE", 0.0)
    with pytest.raises(Transient, match="hub not read"):
        await reader.fetch(sources[3])


@pytest.mark.parametrize("later", [{"is_empty": True}, {"beginning_sequence_number": EVENTS}])
async def test_what_expires_while_it_is_waited_for_is_not_there(
    reader: HubReader, sources: list[Source], monkeypatch: pytest.MonkeyPatch, later: dict[str, object]
) -> None:
    """Once the hub says that retention has taken the range, nobody waits for it, and it is no failure."""
    properties = reader._client.get_partition_properties
    changes: list[dict[str, object]] = [{}, later]

    async def silent(take: Take, **_options: Any) -> None:
        await take(None, [])
        await asyncio.Event().wait()

    async def changing(partition: str) -> dict[str, object]:
        return await properties(partition) | changes.pop(0)

    monkeypatch.setattr(reader._client, "receive_batch", silent)
    monkeypatch.setattr(reader._client, "get_partition_properties", changing)
    monkeypatch.setattr(hub, "_PATIENCE", 0.0)
    assert await reader.fetch(sources[3]) is None
    assert not changes


async def test_a_range_that_begins_after_the_newest_event_is_empty(
    reader: HubReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition into which nothing came since a time is no late one; from its newest event's time on it is read."""
    monkeypatch.setattr(hub, "_PATIENCE", 0.0)
    newest = (await reader.partitions())["0"].last_enqueued_at
    assert [page async for page in reader.read("0", newest + timedelta(milliseconds=1))] == []
    pages = [page async for page in reader.read("0", newest)]
    assert pages[-1][-1].source.sequence_number == EVENTS - 1


async def test_a_partition_that_was_added_is_asked_for(reader: HubReader, sources: list[Source]) -> None:
    """Only a partition that the hub itself does not know is not there."""
    await reader.partitions()
    reader._ids = ["7"]
    assert await reader.fetch(sources[3]) is not None


async def test_the_hub_is_asked_no_more_than_needed(
    reader: HubReader, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question opens a connection: the list of partitions is asked for once, a fetch asks about one partition."""
    asked: list[str] = []
    client = reader._client
    ids, properties = client.get_partition_ids, client.get_partition_properties

    async def counted_ids() -> list[str]:
        asked.append("ids")
        return await ids()

    async def counted_properties(partition: str) -> dict[str, object]:
        asked.append(partition)
        return await properties(partition)

    monkeypatch.setattr(client, "get_partition_ids", counted_ids)
    monkeypatch.setattr(client, "get_partition_properties", counted_properties)
    await reader.partitions()
    await reader.partitions()
    assert asked == ["ids", "0", "0"]
    asked.clear()
    assert await reader.fetch(sources[1]) is not None
    assert asked.count("0") == 1


async def test_partitions_that_are_gone_are_asked_for_anew(reader: HubReader) -> None:
    """After a hub was made anew with fewer partitions one answer fails, and the next is right."""
    await reader.partitions()
    reader._ids = ["0", "1"]
    with pytest.raises(Transient, match="hub not read"):
        await reader.partitions()
    assert set(await reader.partitions()) == {"0"}
