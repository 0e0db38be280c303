"""Writing: nothing doubled, nothing newer overwritten, every event ended."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everscore.clock.deadline import Deadline
from everscore.event import order
from everscore.event.event import Done, Event
from everscore.event.item import Source
from everscore.event.scores import Scores
from everscore.failures import (
    Conflict,
    Failure,
    OutOfTime,
    Permanent,
    Stage,
    Throttled,
    Transient,
    Unexpected,
)
from everscore.ports import WriteRefusedError
from everscore.store import documents
from everscore.store.chunk import CONFLICT_ROUNDS
from everscore.store.writer import Writer
from tests.fakes import SCORES, FakeStore, event_of, item_of, source_of


async def store(
    where: FakeStore, *events: Event, patience: float = 5.0, parallel: int = 4, seconds: float = 60.0
) -> float:
    """Store events and return the request units."""
    return await Writer(where, parallel=parallel, patience=patience).store(events, Deadline.after(seconds))


def version(number: int, minute: int, sequence: int, **fields) -> Event:
    """A version of one id: its event time and its place in the hub."""
    return event_of(number, time=f"2026-11-25T11:{minute:02d}:00Z", source=source_of(sequence), **fields)


async def test_a_partition_key_goes_out_as_one_batch() -> None:
    """All documents of one key cost one write; another key has its own."""
    where = FakeStore()
    charge = await store(where, *(event_of(number) for number in range(50)), event_of(50, pk="q"))
    assert sorted(map(len, where.batches)) == [1, 50]
    assert charge == 255.0
    assert where.reads == 0


async def test_batches_are_split_by_operations_and_by_bytes() -> None:
    """No batch has over 100 operations or more bytes than the limit."""
    where = FakeStore()
    await store(where, *(event_of(number) for number in range(230)))
    assert sorted(map(len, where.batches)) == [30, 100, 100]
    large = FakeStore()
    await store(large, *(event_of(number, pad="ü" * 200_000) for number in range(7)))
    assert len(large.documents) == 7
    for batch in large.batches:
        assert sum(len(json.dumps(one, ensure_ascii=False).encode()) for one in batch) < 1_200_000


async def test_a_newer_version_replaces_an_older_one() -> None:
    """By event time first; what was stored with the older version is gone."""
    where = FakeStore()
    await store(where, version(1, 1, 1))
    newer = version(1, 2, 2, n=7)
    await store(where, newer)
    assert newer.done is Done.STORED
    assert where.documents["p", "id-1"]["event"]["n"] == 7


async def test_an_older_version_never_overwrites_a_newer_one() -> None:
    """A late retry of an older version is superseded; the document stays as it is."""
    where = FakeStore()
    await store(where, version(1, 2, 2, n=7))
    before = dict(where.documents)
    older = version(1, 1, 9)
    await store(where, older)
    assert older.done is Done.SUPERSEDED
    assert where.documents == before


async def test_neighbours_of_a_conflict_are_stored_in_one_more_round() -> None:
    """A batch of absent, older and newer documents ends after one comparison, each as it should."""
    where = FakeStore()
    for number in range(0, 40, 2):
        await store(where, version(number, 5, 1))
    where.batches.clear()
    events = [version(number, 4 if number % 4 else 6, 2) for number in range(40)]
    await store(where, *events)
    assert where.reads == 1
    assert len(where.batches) == 2
    ends = [event.done for event in events]
    assert ends == [
        Done.SUPERSEDED if number % 2 == 0 and number % 4 else Done.STORED for number in range(40)
    ]


async def test_our_own_write_come_back_is_a_repeat() -> None:
    """A write whose answer was lost is found on the next try, and nothing is written again."""
    where = FakeStore()
    where.loses_answers = 1
    event = event_of(1)
    await store(where, event)
    assert isinstance(event.failure, Transient)
    event.failure = None
    await store(where, event)
    assert event.done is Done.SUPERSEDED
    assert where.accepted == [("p", "id-1")]


async def test_a_repeat_of_unknown_place_is_a_repeat_too() -> None:
    """Without a sequence number the same event again is no newer than itself: nothing is written."""
    where = FakeStore()
    for _ in range(2):
        event = event_of(1, source=Source(enqueued_at="2026-11-25T10:30:00.000Z"))
        await store(where, event)
    assert event.done is Done.SUPERSEDED
    assert where.accepted == [("p", "id-1")]


async def test_the_same_content_from_a_later_place_keeps_its_scores() -> None:
    """Sent again by its producer, an event moves time and source forward; its scores stay."""
    where = FakeStore()
    await store(where, event_of(1))
    again = event_of(1, source=source_of(9), scores=Scores("2", "1" * 64, None, 0.9, {}))
    await store(where, again)
    assert again.done is Done.STORED
    document = where.documents["p", "id-1"]
    assert document["scores"]["toy"]["version"] == "1"
    assert document["source"]["sequenceNumber"] == 9


async def test_other_content_has_scores_of_its_own() -> None:
    """A new version of an event is stored with the scores that were made for it."""
    where = FakeStore()
    await store(where, version(1, 1, 1))
    await store(where, version(1, 2, 2, scores=Scores("2", "1" * 64, None, 0.9, {})))
    assert where.documents["p", "id-1"]["scores"]["toy"]["version"] == "2"


OUTCOME = {"label": "late", "time": "2026-11-26T10:00:00.000000Z"}


def told(where: FakeStore, **fields: Any) -> None:
    """Another writer adds fields to the one document there is."""
    [document] = where.documents.values()
    where.put({**document, **fields})


async def test_a_newer_version_keeps_what_belongs_to_the_id() -> None:
    """What really happened to an event stays in its document, whichever version of it is stored."""
    where = FakeStore()
    await store(where, version(1, 1, 1))
    told(where, schema=1, outcome=OUTCOME, shadow={"toy": {}}, deleted=True)
    await store(where, version(1, 2, 2))
    document = where.documents["p", "id-1"]
    assert (document["schema"], document["outcome"]) == (2, OUTCOME)
    assert not {"shadow", "deleted"} & set(document)


async def test_the_same_content_keeps_all_that_was_made_of_it() -> None:
    """Scores of challengers and of earlier models are the content's, and stay with it."""
    where = FakeStore()
    await store(where, event_of(1))
    made = {"shadow": {"toy": {"3": {"value": 0.5}}}, "earlierScores": [{"model": "toy"}], "outcome": OUTCOME}
    told(where, **made)
    await store(where, event_of(1, source=source_of(9)))
    document = where.documents["p", "id-1"]
    assert {name: document.get(name) for name in made} == made


async def test_what_a_document_took_over_goes_with_what_it_was_taken_from() -> None:
    """Where the document that was compared is gone at last, the event is stored with what is its own."""
    where = FakeStore()
    await store(where, event_of(1))
    told(where, outcome=OUTCOME)
    calls = 0

    def judge(pk, found):
        nonlocal calls
        calls += 1
        if calls == 2:
            where.documents.clear()

    where.judge = judge
    again = event_of(1, source=source_of(9), scores=Scores("2", "1" * 64, None, 0.9, {}))
    await store(where, again)
    document = where.documents["p", "id-1"]
    assert document["scores"]["toy"]["version"] == "2"
    assert "outcome" not in document


async def test_of_one_id_in_a_batch_only_the_newest_is_sent() -> None:
    """The older versions are superseded, once the newest is stored."""
    where = FakeStore()
    events = [version(1, minute, minute) for minute in (3, 9, 5)]
    await store(where, *events)
    assert [event.done for event in events] == [Done.SUPERSEDED, Done.STORED, Done.SUPERSEDED]
    assert len(where.accepted) == 1


async def test_if_the_newest_is_queued_the_older_are_queued_with_it() -> None:
    """A retryable failure of the newest is that of all, so that none is lost and none overtakes."""
    where = FakeStore()
    where.refuses = Throttled(Stage.STORE, "throttled", retry_after=99)
    events = [version(1, minute, minute) for minute in (1, 2)]
    await store(where, *events)
    assert [event.failure for event in events] == [where.refuses, where.refuses]


async def test_if_the_newest_is_permanent_the_next_older_is_written() -> None:
    """A version that can never be stored leaves its place to the one before it."""
    where = FakeStore()
    newest = version(1, 9, 9, pad="x" * 2_100_000)
    older, oldest = version(1, 5, 5), version(1, 1, 1)
    await store(where, oldest, newest, older)
    assert isinstance(newest.failure, Permanent)
    assert (older.done, oldest.done) == (Done.STORED, Done.SUPERSEDED)


async def test_older_versions_are_not_guilty_of_what_the_newest_meets() -> None:
    """An exception that the newest brings about is not counted against the older versions."""
    where = FakeStore()
    where.judge = lambda _pk, found: ValueError("boom") if found[0]["time"] > "2026-11-25T11:05" else None
    newest, older = version(1, 9, 9), version(1, 1, 1)
    await store(where, newest, older)
    assert isinstance(newest.failure, Unexpected)
    assert isinstance(older.failure, Transient)


@pytest.mark.parametrize("failure", [Permanent(Stage.STORE, "no"), Unexpected(Stage.STORE, "what")])
@pytest.mark.parametrize("named", [True, False])
async def test_a_refusal_for_one_document_is_that_documents_alone(failure, named) -> None:
    """Named by its index or found by halving, the guilty document fails and the others are stored."""
    where = FakeStore()

    def judge(pk, found):
        for index, document in enumerate(found):
            if document["event"]["n"] == 13:
                return WriteRefusedError(failure, index if named else None)
        return None

    where.judge = judge
    events = [event_of(number) for number in range(60)]
    await store(where, *events)
    assert [event.item.id for event in events if event.failure] == ["id-13"]
    assert sum(event.done is Done.STORED for event in events) == 59


async def test_an_unreachable_store_is_asked_once() -> None:
    """A refusal that says nothing of the documents is not bisected: one request, all fail alike."""
    where = FakeStore()
    where.refuses = Transient(Stage.STORE, "store not reached")
    events = [event_of(number) for number in range(60)]
    await store(where, *events)
    assert len(where.batches) == 1
    assert {event.failure for event in events} == {where.refuses}


async def test_a_throttled_batch_is_sent_again_within_its_deadline() -> None:
    """A short wait is spent in the process; nothing goes to the queue for it."""
    where = FakeStore()
    answers = [WriteRefusedError(Throttled(Stage.STORE, "throttled", retry_after=0.001), 0)] * 3
    where.judge = lambda _pk, _found: answers.pop() if answers else None
    event = event_of(1)
    await store(where, event)
    assert event.done is Done.STORED
    assert len(where.batches) == 4


async def test_a_hint_beyond_the_deadline_ends_the_wait_at_once() -> None:
    """The server's hint wins: where it does not fit, the events go to the queue with it."""
    where = FakeStore()
    where.refuses = Throttled(Stage.STORE, "throttled", retry_after=30)
    event = event_of(1)
    await store(where, event, patience=5)
    assert len(where.batches) == 1
    assert event.failure is not None
    assert event.failure.retry_after == 30


@pytest.mark.parametrize("clock", ["patience", "seconds"])
async def test_past_its_deadline_nothing_is_sent(clock) -> None:
    """Where the store's time or the invocation's is over before, events go to the queue unsent."""
    where = FakeStore()
    event = event_of(1)
    await store(where, event, **{clock: 0.0})
    assert isinstance(event.failure, Transient)
    assert not where.batches


async def test_hole_03_throttled_keys_keep_no_slot_from_the_others() -> None:
    """While as many throttled keys as there are slots wait for their hints, another batch is stored."""
    where = FakeStore()
    refused = 0

    def judge(pk, _found):
        nonlocal refused
        if not pk.startswith("hot"):
            return None
        refused += 1
        return WriteRefusedError(Throttled(Stage.STORE, "throttled", retry_after=3600), None)

    where.judge = judge
    writer = Writer(where, parallel=16, patience=7200)
    hot = [event_of(number, pk=f"hot{number}") for number in range(16)]
    cold = [event_of(number, pk=f"cold{number}") for number in range(14)]
    waiting = asyncio.create_task(writer.store(hot, Deadline.after(7200)))
    try:
        async with asyncio.timeout(60):
            while refused < len(hot):
                await asyncio.sleep(0)
            await writer.store(cold, Deadline.after(7200))
        assert {event.done for event in cold} == {Done.STORED}
        assert not waiting.done()
        assert refused == len(hot)
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_hole_04_waiting_for_our_own_slots_is_no_slowness_of_the_store() -> None:
    """With more batches of many keys than slots a healthy store has stored all in the end, though that takes
    longer than it may take for any one of them.
    """
    where = FakeStore()
    write = where.write
    seen: set[str] = set()

    async def healthy(pk, writes):
        await asyncio.sleep(0.03)
        if pk not in seen:
            seen.add(pk)
            raise WriteRefusedError(Throttled(Stage.STORE, "throttled", retry_after=0.001), None)
        return await write(pk, writes)

    where.write = healthy  # type: ignore[method-assign]
    writer = Writer(where, parallel=16, patience=1.0)
    batches = [[event_of(number, pk=f"{batch}-{number}") for number in range(96)] for batch in range(8)]
    began = time.monotonic()
    await asyncio.gather(*(writer.store(batch, Deadline.after(3600)) for batch in batches))
    assert time.monotonic() - began > 1.0
    assert {event.done for batch in batches for event in batch} == {Done.STORED}


async def test_hole_04_a_slow_store_has_its_time_and_no_more() -> None:
    """The waits that a store asks for count, and so do its answers: then the batch goes to the queue."""
    where = FakeStore()
    where.refuses = Throttled(Stage.STORE, "throttled", retry_after=0.2)
    event = event_of(1)
    await store(where, event, patience=0.5)
    assert isinstance(event.failure, Throttled)
    assert len(where.batches) <= 3

    async def slow(pk, writes):
        await asyncio.sleep(0.2)
        raise WriteRefusedError(Conflict(Stage.STORE, "already there"), 0)

    where.write, where.refuses = slow, None  # type: ignore[method-assign]
    event = event_of(2)
    await store(where, event, patience=0.1)
    assert isinstance(event.failure, Transient)
    assert event.failure.reason == "deadline passed"


async def test_what_finds_no_slot_until_the_invocation_must_end_goes_to_the_queue() -> None:
    """The invocation's time bounds everything: what waits for a slot is not sent, what is sent is given up."""
    where = FakeStore()
    sent = []

    async def silent(pk, writes):
        sent.append(pk)
        await asyncio.Event().wait()

    where.write = silent  # type: ignore[method-assign, assignment]
    events = [event_of(number, pk=f"p{number}") for number in range(5)]
    await store(where, *events, parallel=2, patience=3600, seconds=0.3)
    assert len(sent) == 2
    assert {type(event.failure) for event in events} == {OutOfTime}
    assert {event.failure.reason for event in events if event.failure} == {"no time left"}


async def test_an_event_that_always_loses_goes_to_the_queue() -> None:
    """A document that other writers keep changing is compared a bounded number of times."""
    where = FakeStore()

    def judge(pk, found):
        other = documents.build(event_of(1, source=source_of(0)), {"toy": SCORES}, "")
        where.put({**other, "time": "2026-11-25T09:00:00.000000Z"})

    where.judge = judge
    event = event_of(1)
    await store(where, event)
    assert isinstance(event.failure, Conflict)
    assert len(where.batches) == CONFLICT_ROUNDS + 1


async def test_a_document_deleted_between_read_and_replace_is_created() -> None:
    """Gone meanwhile is a conflict like another: compared again, then written."""
    where = FakeStore()
    await store(where, version(1, 1, 1))
    calls = 0

    def judge(pk, found):
        nonlocal calls
        calls += 1
        if calls == 2:
            where.documents.clear()

    where.judge = judge
    newer = version(1, 2, 2)
    await store(where, newer)
    assert newer.done is Done.STORED


@pytest.mark.parametrize(
    "foreign",
    [
        {"hello": 1},
        {"source": [], "fingerprint": "x", "time": "2026-11-25T10:00:00Z"},
        {"source": {"hub": "h"}, "fingerprint": "x", "time": 5},
    ],
)
async def test_a_document_that_is_none_of_ours_is_not_overwritten(foreign) -> None:
    """What another program stored under that id stays; the event waits, and its neighbours are stored."""
    where = FakeStore()
    where.put({"id": "id-1", "pk": "p", **foreign})
    before = where.documents["p", "id-1"]
    event, neighbour = event_of(1), event_of(2)
    await store(where, event, neighbour)
    assert isinstance(event.failure, Conflict)
    assert event.failure.reason == "foreign document"
    assert where.documents["p", "id-1"] == before
    assert neighbour.done is Done.STORED


@pytest.mark.parametrize("error", [Transient(Stage.STORE, "store not reached"), KeyError("_etag")])
async def test_a_comparison_that_fails_is_no_exception(error) -> None:
    """When the documents in the way cannot be read, events end with a failure, and nothing is raised."""
    where = FakeStore()
    await store(where, version(1, 1, 1))

    async def read(pk, ids):
        raise error

    where.read = read  # type: ignore[method-assign]
    event, neighbour = version(1, 2, 2), event_of(2)
    await store(where, event, neighbour)
    assert event.failure is not None
    assert event.done is None
    if isinstance(error, KeyError):
        assert isinstance(event.failure, Unexpected)
        assert neighbour.done is Done.STORED


async def test_two_writers_of_one_id_end_with_the_newer_document() -> None:
    """Two instances that store versions of one id at once end with the newer, in whatever order they come."""
    for first, second in [((1, 1), (2, 2)), ((2, 2), (1, 1))]:
        where = FakeStore()
        events = [version(1, *first, n=first[0]), version(1, *second, n=second[0])]
        await asyncio.gather(*(store(where, event) for event in events))
        assert where.documents["p", "id-1"]["event"]["n"] == 2
        assert all(event.done for event in events)


@dataclass(frozen=True)
class Version:
    """A generated version: which id, its time, its place, its content."""

    number: int
    minute: int
    sequence: int
    content: int


# A place in the hub holds one event: whatever is drawn twice is that same event again.
HUB = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=7
).map(lambda drawn: [Version(number, minute, place, n) for place, (number, minute, n) in enumerate(drawn)])
CHOICE = st.integers(0, 6)
REFUSALS = st.sampled_from(
    [
        None,
        WriteRefusedError(Transient(Stage.STORE, "out"), None),
        WriteRefusedError(Throttled(Stage.STORE, "slow", retry_after=0.0001), 0),
        WriteRefusedError(Throttled(Stage.STORE, "slow", retry_after=100), None),
        WriteRefusedError(Permanent(Stage.STORE, "no"), 0),
        WriteRefusedError(Permanent(Stage.STORE, "no"), None),
        WriteRefusedError(Conflict(Stage.STORE, "lost"), 0),
        WriteRefusedError(Transient(Stage.STORE, "retry with"), 0),
        RuntimeError("unforeseen"),
        "answer lost",
    ]
)


def _order(each: Version) -> order.Order:
    time = f"2026-11-25T11:{each.minute:02d}:00.000000Z"
    return order.order(order.Version(time, source_of(each.sequence)))


@settings(max_examples=150)
@given(
    hub=HUB,
    before=st.lists(CHOICE, max_size=4),
    chosen=st.lists(st.lists(CHOICE, min_size=1, max_size=6), min_size=1, max_size=3),
    refusals=st.lists(REFUSALS, max_size=6),
)
def test_whatever_the_store_holds_and_answers(hub, before, chosen, refusals) -> None:
    """Against a model of the store: each event ends done or failed, a document never goes back in order, a
    done event is in the store or was overtaken by one no older, and nothing is written twice.
    """
    existing = [hub[place % len(hub)] for place in before]
    batches = [[hub[place % len(hub)] for place in batch] for batch in chosen]

    async def scenario() -> None:
        where = FakeStore()
        for each in existing:
            one = documents.build(_event(each), {"toy": SCORES}, "")
            present = where.documents.get(("p", one["id"]))
            if present is None or _order(each) > _stored_order(present):
                where.put(one)
        highest = {key: _stored_order(document) for key, document in where.documents.items()}
        answers = list(refusals)

        def judge(pk, found):
            answer = answers.pop(0) if answers else None
            if answer == "answer lost":
                where.loses_answers = 1
                return None
            return answer

        where.judge = judge
        for batch in batches:
            where.loses_answers = 0
            events = [_event(each) for each in batch]
            await store(where, *events)
            for each, event in zip(batch, events, strict=True):
                assert (event.done is None) is not (event.failure is None)
                assert event.failure is None or isinstance(event.failure, Failure)
                if event.done:
                    document = where.documents["p", f"id-{each.number}"]
                    assert _stored_order(document) >= _order(each)
            for key, document in where.documents.items():
                assert _stored_order(document) >= highest.get(key, _stored_order(document))
                highest[key] = _stored_order(document)
        # A repeat of everything, with a store that is well, writes only what was not there yet.
        answers.clear()
        where.loses_answers = 0
        everything = [_event(each) for batch in batches for each in batch]
        await store(where, *everything)
        assert all(event.done for event in everything)
        accepted = len(where.accepted)
        again = [_event(each) for batch in batches for each in batch]
        await store(where, *again)
        assert {event.done for event in again} == {Done.SUPERSEDED}
        assert len(where.accepted) == accepted
        newest: dict[int, order.Order] = {}
        for each in [*existing, *(each for batch in batches for each in batch)]:
            newest[each.number] = max(newest.get(each.number, _order(each)), _order(each))
        for number, highest_order in newest.items():
            assert _stored_order(where.documents["p", f"id-{number}"]) == highest_order

    asyncio.run(scenario())


def _event(each: Version) -> Event:
    return version(each.number, each.minute, each.sequence, n=each.content)


def _stored_order(document) -> order.Order:
    return order.order(order.Version(document["time"], msgspec.convert(document["source"], Source)))


async def test_an_event_without_identity_is_a_programming_mistake() -> None:
    """What was never identified is refused before anything is written."""
    where = FakeStore()
    with pytest.raises(ValueError, match="identity"):
        await store(where, Event(item_of(1)))
    assert not where.batches


async def test_slots_bound_the_batches_under_way() -> None:
    """No more transactional batches run at once than were allowed, over all calls."""
    where = FakeStore()
    under_way = most = 0
    write = where.write

    async def counted(pk, writes):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await write(pk, writes)
        finally:
            under_way -= 1

    where.write = counted  # type: ignore[method-assign]
    await store(where, *(event_of(number, pk=f"p{number}") for number in range(20)), parallel=3)
    assert most == 3
    assert len(where.documents) == 20
