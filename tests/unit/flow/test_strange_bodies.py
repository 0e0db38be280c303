"""Bodies that are legal and strange, through the whole pipeline: what they hold, and what they do to others."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import threading
from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everscore.clock import deadline
from everscore.event.item import Item
from everscore.event.stream import Stream
from everscore.failures import Failure
from everscore.flow.score_events import RetryState
from tests.fakes import World, body_of, item_of, payload_of, source_of, stream_of


def listed(*records: bytes) -> bytes:
    """A body of several records."""
    return b"[" + b",".join(records) + b"]"


def letters(world: World) -> list[tuple[bytes, str]]:
    """Body and reason of each dead letter."""
    return sorted((each.item.body, each.item.reason or "") for each in world.blobs.letters)


def stored(world: World) -> dict[str, object]:
    """The events of all documents, by id."""
    return {doc_id: document["event"] for (_, doc_id), document in world.store.documents.items()}


async def test_hole_05_a_body_of_too_many_records_is_one_dead_letter() -> None:
    """A body of more records than BODY_LIMIT_RECORDS is one dead letter with its exact bytes; its neighbours are scored."""
    world = World(stream=stream_of(unwrap="array"), records=100)
    many = listed(*[b"0"] * 20_000)
    packed = gzip.compress(listed(*[body_of(number) for number in range(101)]), mtime=0)
    fits = listed(*[body_of(number) for number in range(100, 200)])
    summary = await world.score(item_of(0, many), item_of(1, fits), item_of(2, packed))
    assert (summary.received, summary.stored, summary.dead_lettered) == (102, 100, 2)
    assert letters(world) == sorted([(many, "too many records"), (packed, "too many records")])
    assert "BODY_LIMIT_RECORDS" in world.blobs.letters[0].item.exception


async def test_hole_05_an_own_decoder_is_bound_by_the_same_limit() -> None:
    """Records that DECODER makes of one body are counted like those of a list."""
    world = World(
        stream=stream_of(unwrap="array"),
        records=3,
        hook=lambda bodies: [[payload_of(n) for n in range(int(body))] for body in bodies],
    )
    await world.score(item_of(0, b"4"), item_of(1, b"3"))
    assert letters(world) == [(b"4", "too many records")]
    assert len(world.store.documents) == 3


BODIES = st.lists(
    st.one_of(
        st.integers(0, 60).map(body_of),
        st.integers(0, 60).map(lambda n: listed(body_of(n), body_of(n + 1, pad="x" * 9_000), b"0")),
        st.integers(0, 60).map(lambda n: listed(*[body_of(n + k) for k in range(20)])),
        st.integers(0, 60).map(lambda n: gzip.compress(listed(*[body_of(n, pad=" " * 400_000)]), mtime=0)),
        st.sampled_from([b"{", b"", b"\x1f\x8b", gzip.compress(b" " * 1_000_001, mtime=0)]),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(BODIES, st.integers(1, 2_000_000), st.sampled_from(["object", "array"]), st.booleans())
def test_hole_06_whatever_the_memory_the_ends_are_the_same(bodies, memory, unwrap, own) -> None:
    """A batch that is read in slices leaves the very documents and dead letters that it leaves read at once."""
    hook = _decode if own else None

    async def ends(memory: int) -> tuple[object, object, object]:
        world = World(
            stream=stream_of(unwrap=unwrap), memory=memory, hook=hook, brake=timedelta(0), budget=60
        )
        items = [item_of(number, body) for number, body in enumerate(bodies)]
        half = len(items) // 2
        summaries = await asyncio.gather(world.score(*items[:half]), world.score(*items[half:]))
        return stored(world), letters(world), sum(each.received for each in summaries)

    assert asyncio.run(ends(memory)) == asyncio.run(ends(1 << 40))


def _decode(bodies: Sequence[bytes]) -> list[object]:
    return [_decode_one(body) for body in bodies]


def _decode_one(body: bytes) -> object:
    try:
        return json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
    except (ValueError, OSError, EOFError) as error:
        return error


async def test_hole_06_slices_are_scored_one_after_the_other() -> None:
    """What does not fit into the memory at once is scored and stored in parts, each in one call of the model."""
    world = World(memory=100_000)
    await world.score(*[item_of(number, pad="x" * 3_000) for number in range(60)])
    calls = world.models.model.calls
    assert sum(calls) == 60
    assert len(calls) > 3
    assert min(calls[:-1]) > 3
    assert len(world.store.documents) == 60


async def test_hole_06_a_failure_keeps_no_body_in_memory() -> None:
    """A failure outlives its slice: neither where it was raised nor what it was raised from stays with it."""
    world = World(stream=stream_of(unwrap="array"))
    failures: list[Failure] = []
    settle = world.pipeline._settle

    async def spy(events, *others):
        failures.extend(event.failure for event in events if event.failure)
        await settle(events, *others)

    world.pipeline._settle = spy  # type: ignore[method-assign]
    bad = [b"{", b"\xff", listed(b'{"id":1}', b"NaN"), gzip.compress(b" " * 1_000_001, mtime=0), b"[1]"]
    await world.score(*[item_of(number, body) for number, body in enumerate(bad)])
    assert len(failures) == 6
    for failure in failures:
        assert (failure.__traceback__, failure.__cause__, failure.__context__) == (None, None, None)


async def test_hole_06_what_there_is_no_time_for_goes_to_the_queue_unread(monkeypatch) -> None:
    """Before the invocation's time ends, while the queue can still be asked, the bodies that are left go there whole."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(deadline, "time", clock)
    world = World(memory=60_000, budget=500)

    def slow(pk, documents):
        clock.now += 168  # the third slice ends in the seconds that are kept for the queue

    world.store.judge = slow
    items = [item_of(number, pad="x" * 3_000) for number in range(30)]
    summary = await world.score(*items)
    assert 0 < summary.stored < 30
    assert summary.queued == 30 - summary.stored
    assert {item.reason for item in world.queue.items} == {"not reached in time"}
    world.memory.total = 1 << 30
    while world.queue.messages:
        await world.retry()
    assert len(world.store.documents) == 30


async def test_hole_17_an_own_decoder_never_runs_on_the_event_loop() -> None:
    """DECODER may wait for something, a schema registry say: other partitions are scored meanwhile."""
    loop = asyncio.get_running_loop()
    others: list[int] = []

    def waits(bodies):
        async def other_work() -> None:
            others.append(len(bodies))

        asyncio.run_coroutine_threadsafe(other_work(), loop).result(timeout=60)
        return [json.loads(body) for body in bodies]

    world = World(hook=waits)
    await asyncio.gather(*(world.score(item_of(number)) for number in range(3)))
    assert others == [1, 1, 1]
    assert len(world.store.documents) == 3


async def test_hole_06_bodies_are_read_off_the_event_loop(monkeypatch) -> None:
    """Unpacking and parsing happen in a thread of their own, since all partitions share the loop."""
    threads: set[str] = set()
    identify = Stream.identify

    def spy(self, *arguments):
        threads.add(threading.current_thread().name)
        return identify(self, *arguments)

    monkeypatch.setattr(Stream, "identify", spy)
    await World().score(item_of(1))
    assert are_others(threads)


def are_others(names: set[str]) -> bool:
    """Whether none of the threads is the one that runs the test."""
    return bool(names) and threading.current_thread().name not in names


BAD = {
    "number too long": b'{"id":"b","n":' + b"1" * 5_000 + b',"x":NaN}',
    "not JSON": b"{'id': 'it, is'}",
    "not UTF-8": b'{"id":"\xff"}',
    "nesting too deep": b'{"id":' + b"[" * 300 + b"]" * 300 + b"}",
    "number not finite": b'{"id":"b","n":-Infinity}',
}


@pytest.mark.parametrize("reason", BAD)
@pytest.mark.parametrize("unwrap", ["array", "records"])
@pytest.mark.parametrize("packed", [True, False])
async def test_hole_44_a_bad_record_is_one_dead_letter(reason, unwrap, packed) -> None:
    """Of a body with a bad record the sound ones are stored, and the bad one is a dead letter with its exact bytes."""
    world = World(stream=stream_of(unwrap=unwrap), brake=timedelta(0))
    body = listed(body_of(1), BAD[reason], body_of(2))
    if unwrap == "records":
        body = b'{"records":' + body + b"}"
    await world.score(item_of(0, gzip.compress(body, mtime=0) if packed else body))
    assert set(stored(world)) == {"id-1", "id-2"}
    assert letters(world) == [(BAD[reason], reason)]
    assert world.blobs.letters[0].item.source.index == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("packed", [True, False])
async def test_hole_46_a_body_in_another_encoding_is_stored(encoding, packed) -> None:
    """UTF-16 and UTF-32 with a byte order mark are read; the fingerprint is that of the bytes as they were sent."""
    text = json.dumps(payload_of(1, name="é😀"), ensure_ascii=False)
    body = ("\ufeff" + text).encode(encoding) if encoding == "utf-16-be" else text.encode(encoding)
    body = gzip.compress(body, mtime=0) if packed else body
    world = World()
    await world.score(item_of(0, body))
    [document] = world.store.documents.values()
    assert document["event"] == payload_of(1, name="é😀")
    assert document["fingerprint"] == hashlib.sha256(body).hexdigest()


async def test_hole_46_a_record_of_another_encoding_is_utf8_from_then_on() -> None:
    """A record has no bytes of its own in such a body: its text in UTF-8 is what its fingerprint and letter hold."""
    records = [json.dumps(payload_of(number, name="é"), ensure_ascii=False) for number in (1, 2)]
    world = World(stream=stream_of(unwrap="array"))
    await world.score(item_of(0, f"[{records[0]},'é',{records[1]}]".encode("utf-16")))
    found = {document["fingerprint"] for document in world.store.documents.values()}
    assert found == {hashlib.sha256(record.encode()).hexdigest() for record in records}
    assert letters(world) == [("'é'".encode(), "not JSON")]


async def test_hole_07_the_document_alone_holds_a_long_integer_as_a_text() -> None:
    """Model and identity read the number that was sent; the document holds its digits, and lists where."""
    world = World()
    seen: list[object] = []
    score = world.models.model.score

    def spy(payloads, until):
        seen.extend(payload["n"] for payload in payloads)
        return score(payloads, until)

    world.models.model.score = spy  # type: ignore[method-assign]
    number = 2**63 - 1
    item = Item(body=body_of(1, n=number, id=number), source=source_of(1))
    await world.pipeline.score_events([item], RetryState(endless=True))
    assert seen == [number]
    [document] = world.store.documents.values()
    assert document["id"] == f"~n{number}"
    assert (document["event"]["n"], document["event"]["id"], document["key"]["id"]) == (str(number),) * 3
    assert sorted(document["pipeline"]["textNumbers"]) == ["/id", "/n"]
