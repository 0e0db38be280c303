"""Storing, purging, redriving and replaying decide alike which of two versions of one id is the newer."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from everscore.clock import times
from everscore.clock.deadline import Deadline
from everscore.decode.decoder import Decoder
from everscore.event.event import Done
from everscore.event.item import Item, Source
from everscore.event.order import CLOCK_AHEAD, Version, supersedes
from everscore.event.scores import Scores
from everscore.ports import HubEvent
from everscore.retry.dead_letter import DeadLetter, decode_dead_letter, encode_dead_letter
from everscore.store.writer import Writer
from everscore_cli.redriving import From, redriven, replayed
from everscore_cli.settled_letters import is_settled
from tests.fakes import FakeStore, body_of, source_of, stream_of

SCORES = {"toy": Scores("1", "0" * 64, None, 0.5, {})}
ENQUEUED = "2026-11-25T10:30:00.000Z"

SOURCES = st.builds(
    Source,
    namespace=st.sampled_from([None, "ns"]),
    hub=st.sampled_from([None, "events"]),
    partition=st.sampled_from([None, "0", "1"]),
    sequence_number=st.none() | st.integers(0, 1),
    enqueued_at=st.sampled_from(
        [None, ENQUEUED, "2026-11-25T10:30:00.001Z", "2026-11-25T10:30:00Z", "2026-11-25T10:30:01Z"]
    ),
    index=st.integers(0, 1),
)


def item_of(second: int, source: Source, content: int) -> Item:
    """A version of one id; second 2 is one that no clock of a producer should show."""
    time = ("2026-11-25T10:00:00Z", "2026-11-25T10:00:01Z", "2099-01-01T00:00:00Z")[second]
    return Item(body=body_of(1, time=time, content=content), source=source)


ITEMS = st.builds(item_of, st.integers(0, 2), SOURCES, st.integers(0, 1))


class Container:
    """What the client of the store gives to a command, out of a store in memory."""

    def __init__(self, where: FakeStore) -> None:
        self._where = where

    async def query_items(
        self, _query: str, *, parameters: list[dict[str, Any]], partition_key: str
    ) -> AsyncIterator[dict[str, Any]]:
        found = await self._where.read(partition_key, [parameters[0]["value"]])
        for document in found.values():
            yield document


async def end_of(where: FakeStore, item: Item) -> Done | None:
    """How an item ends that goes through decoding and storing."""
    [event] = Decoder(stream_of()).decode([item])
    event.item.scores = event.item.scores or SCORES
    await Writer(where, parallel=1, patience=60).store([event], Deadline.after(60))
    assert event.failure is None
    return event.done


@given(ITEMS, ITEMS)
@example(item_of(0, source_of(1), 0), item_of(0, source_of(2, enqueued_at="2026-11-25T10:30:00.001Z"), 1))
@example(item_of(1, source_of(1), 0), item_of(1, source_of(1, partition="1"), 1))
@example(item_of(0, source_of(1), 0), item_of(1, source_of(1), 0))
@example(item_of(0, source_of(1), 0), item_of(1, source_of(1, enqueued_at="2026-11-25T10:30:00Z"), 0))
@example(
    item_of(2, source_of(1, enqueued_at="2026-11-25T10:30:00.900Z"), 0),
    item_of(2, source_of(2, enqueued_at="2026-11-25T10:30:00Z"), 1),
)
def test_hole_01_all_that_compare_versions_agree(stored, other) -> None:
    """Of two versions of one id, of which one is stored: a dead letter of the other is settled exactly where
    neither storing nor a redrive nor a replay would store it.
    """

    async def scenario() -> None:
        where = FakeStore()
        assert await end_of(where, stored) is Done.STORED
        fresh, replay = copy.copy(other), HubEvent(body=other.body, properties={}, source=other.source)
        [decoded] = Decoder(stream_of()).decode([other])
        newer = supersedes(Version(other.time, other.source), Version(stored.time, stored.source))
        expected = Done.STORED if newer else Done.SUPERSEDED

        assert await is_settled(Container(where), decoded.item, CLOCK_AHEAD) is not newer
        assert await end_of(copy.deepcopy(where), fresh) is expected
        letter = encode_dead_letter(DeadLetter(item=other, failed_at=times.milliseconds_text(times.now())))
        for start in From:
            again = redriven(decode_dead_letter(letter), "a-letter", start)
            assert await end_of(copy.deepcopy(where), again) is expected
        assert await end_of(copy.deepcopy(where), replayed(replay)) is expected

    asyncio.run(scenario())


async def test_hole_01_a_foreign_document_settles_nothing() -> None:
    """A dead letter stays where a document of its id is there that this pipeline has not written."""
    where = FakeStore()
    where.put({"pk": "p", "id": "id-1", "time": "2027-01-01T00:00:00.000000Z"})
    item = item_of(0, source_of(1), 0)
    [event] = Decoder(stream_of()).decode([item])
    assert not await is_settled(Container(where), event.item, CLOCK_AHEAD)
    where.put({"pk": "p", "id": "id-1", "time": "2027", "fingerprint": "f", "source": {"partition": 7}})
    assert not await is_settled(Container(where), event.item, CLOCK_AHEAD)


async def test_hole_10_a_wrong_clock_pins_no_id() -> None:
    """A version that is dated years ahead counts from its enqueuing: a later one replaces it, also where the
    document was stored while such times were believed.
    """
    where = FakeStore()
    assert await end_of(where, item_of(2, source_of(1), 0)) is Done.STORED
    document = where.documents["p", "id-1"]
    assert document["time"] == "2026-11-25T10:30:00.000000Z"
    assert document["event"]["time"] == "2099-01-01T00:00:00Z"

    for time in (document["time"], "2099-01-01T00:00:00.000000Z"):
        where.put({**document, "time": time})
        later = Item(
            body=body_of(1, time="2026-11-25T10:40:00Z"),
            source=source_of(2, enqueued_at="2026-11-25T10:40:00.500Z"),
        )
        assert await end_of(where, later) is Done.STORED
    older = item_of(1, source_of(3), 0)
    assert await end_of(where, older) is Done.SUPERSEDED
