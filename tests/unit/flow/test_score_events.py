"""A batch from the hub: each event ends in the store or in another safe place, and harms no other."""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy

import pytest

from everscore.clock import backoff
from everscore.event.item import Item, Source
from everscore.failures import Configuration, Permanent, Stage, Throttled, Transient
from everscore.flow.ending import NoPlaceAnswersError
from everscore.flow.score_events import RetryState
from everscore.ports import WriteRefusedError
from everscore.retry.envelope import decode_envelope
from everscore.store.breaker import State
from everscore.watch.status import decode_status
from tests.fakes import ENDLESS, LARGE, NO_POLICY, OUT, World, body_of, item_of, source_of, stream_of


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holds do not wait."""
    monkeypatch.setattr(backoff, "HOLD_CAP", 0.0)


async def test_good_events_are_stored_with_their_scores() -> None:
    """A batch of good events ends in the store, each document with score, source and key."""
    world = World()
    summary = await world.score(item_of(1), item_of(2))
    assert (summary.received, summary.stored) == (2, 2)
    document = world.stored["id-1"]
    assert document["scores"]["toy"]["value"] == 1.0
    assert document["key"] == {"pk": ["p"], "id": "id-1"}
    assert document["source"]["sequenceNumber"] == 1
    assert document["event"]["n"] == 1
    assert document["pipeline"]["attempts"] == 1
    assert not world.queue.messages
    assert not world.blobs.dead_letters


async def test_an_empty_batch_is_nothing() -> None:
    """A batch without events asks nobody and counts nothing."""
    world = World()
    summary = await world.score()
    assert summary.received == 0
    assert not world.store.batches


async def test_bad_events_go_to_their_places_and_harm_no_neighbour() -> None:
    """Undecodable, invalid, non-finite and exploding events each meet their own fate among good ones."""
    world = World()
    summary = await world.score(
        item_of(1),
        item_of(2, b"\xff not json"),
        item_of(3, b""),
        item_of(4, id=None),
        item_of(5, nan=True),
        item_of(6, bomb=True),
        item_of(7),
    )
    assert world.sequence_numbers() == {"stored": [1, 7], "queued": [6], "dead": [2, 3, 4, 5]}
    assert (summary.stored, summary.queued, summary.dead_lettered) == (2, 1, 4)
    assert {(letter.item.stage, letter.item.reason) for letter in world.blobs.letters} == {
        ("decode", "not UTF-8"),
        ("decode", "empty body"),
        ("validate", "id is null"),
        ("score", "score not finite"),
    }
    [queued] = world.queued
    assert (queued.reason, queued.unexpected, queued.attempts) == ("unexpected ValueError", 1, 1)


async def test_a_dead_letter_keeps_bytes_and_says_why() -> None:
    """A dead letter holds the exact bytes, the field, and its reason in the blob's metadata."""
    world = World()
    body = b'{"id": "x", "pk": null, "time": "2026-11-25T10:00:00Z"}'
    await world.score(item_of(9, body))
    [letter] = world.blobs.letters
    assert letter.item.body == body
    assert (letter.item.field, letter.item.failure_class) == ("/pk", "permanent")
    assert not letter.item.dead_letter
    assert list(world.blobs.dead_letters) == ["2026/11/25/10/3000-events-0-9-0.json"]
    [metadata] = world.blobs.metadata.values()
    assert metadata["stage"] == "validate"
    assert metadata["reason"] == "partition key is null"
    assert metadata["enqueuedat"] == "2026-11-25T10:30:00.000Z"


async def test_a_lone_surrogate_in_a_name_does_not_stop_a_dead_letter() -> None:
    """A field's name that UTF-8 cannot hold gets into a dead letter all the same, and into the queue."""
    world = World()
    body = b'{"id": "x", "pk": "p", "time": "2026-11-25T10:00:00Z", "\\ud800": NaN}'
    await world.score(item_of(1, body), item_of(2))
    assert world.sequence_numbers() == {"stored": [2], "queued": [], "dead": [1]}
    assert world.blobs.letters[0].item.body == body
    with world.blobs.refusing():
        await world.score(item_of(3, body))
    assert world.queued[0].body == body


@pytest.mark.parametrize(
    "failure",
    [
        OUT,
        Configuration(Stage.STORE, "database or container missing"),
        Throttled(Stage.STORE, "throttled", retry_after=60.0),
    ],
    ids=lambda failure: failure.failure_class.value,
)
async def test_a_store_that_refuses_sends_all_to_the_queue(failure) -> None:
    """While the store refuses, whatever the class, every event waits in the queue with what was made of it."""
    world = World()
    with world.store.refusing(failure):
        await world.score(*(item_of(number) for number in range(30)))
    assert world.sequence_numbers()["queued"] == list(range(30))
    for item in world.queued:
        assert item.scores is not None
        assert item.scores["toy"].value == item.source.sequence_number
        assert (item.pk, item.reason, item.failure_class) == ("p", failure.reason, failure.failure_class)
        assert item.queued_at is not None
        assert not item.braked
    if failure.retry_after:
        assert all(delay >= failure.retry_after for _, delay in world.queue.messages)
    assert sum(summary.stored for summary in await world.retry()) == 30


async def test_what_a_batch_could_not_store_waits_together() -> None:
    """One outage of the store is one delay for the batch, so that its events fill messages."""
    world = World()
    with world.store.refusing():
        await world.score(*(item_of(number) for number in range(30)))
    [(message, _)] = world.queue.messages
    assert len(decode_envelope(message).items) == 30


async def test_without_a_model_events_wait_in_the_queue() -> None:
    """A model that does not load sends events to the queue with their identity, and costs no dead letter."""
    world = World()
    with world.models.refusing(Transient(Stage.SCORE, "model missing")):
        await world.score(*(item_of(number) for number in range(25)))
    assert world.sequence_numbers()["queued"] == list(range(25))
    assert {(item.id is not None, item.scores, item.unexpected) for item in world.queued} == {(True, None, 0)}
    await world.retry()
    assert len(world.stored) == 25


async def test_events_that_no_batch_can_hold_inline_get_claim_checks() -> None:
    """Bodies beyond a message's size lie in blobs of their own, and come back whole."""
    world = World()
    with world.store.refusing():
        await world.score(*(item_of(number, pad=LARGE) for number in range(3)), item_of(3))
    assert len(world.blobs.claim_checks) == 3
    assert [item.is_pointer for item in world.queue.items].count(True) == 3
    await world.retry()
    assert world.sequence_numbers() == {"stored": [0, 1, 2, 3], "queued": [], "dead": []}
    assert len(world.stored["id-2"]["event"]["pad"]) == len(LARGE)


async def test_dead_letters_wait_in_the_queue_while_blobs_refuse() -> None:
    """A permanent failure while blobs are down is a pending dead letter, written when they answer."""
    world = World()
    with world.blobs.refusing():
        summary = await world.score(item_of(1, b"{"), item_of(2))
    assert (summary.queued, summary.dead_lettered, summary.stored) == (1, 0, 1)
    assert [item.dead_letter for item in world.queued] == [True]
    with world.blobs.refusing():
        await world.retry()
    assert [item.dead_letter for item in world.queued] == [True]
    [summary] = await world.retry()
    assert summary.dead_lettered == 1
    assert world.sequence_numbers() == {"stored": [2], "queued": [], "dead": [1]}
    assert world.blobs.letters[0].item.body == b"{"


async def test_where_no_place_answers_an_endless_policy_gets_the_batch_back(monkeypatch) -> None:
    """With the policy in force the batch is handed back at once, by an exception of this one kind."""

    def hold(_):
        raise AssertionError("it waits, though the host would bring the batch again")

    monkeypatch.setattr(backoff, "hold", hold)
    world = World(budget=60)
    with world.store.refusing(), world.queue.refusing(), pytest.raises(NoPlaceAnswersError) as raised:
        await world.score(item_of(4), item_of(5))
    assert "sequence numbers 4 to 5" in str(raised.value)
    await world.score(item_of(4), item_of(5))
    assert world.sequence_numbers()["stored"] == [4, 5]


async def test_a_batch_that_is_handed_back_fills_no_queue_meanwhile() -> None:
    """While one event has no place the batch comes again, try after try: its others are not queued each time."""
    world = World()
    batch = [item_of(1), item_of(2, pad=LARGE), item_of(3)]
    with world.store.refusing(), world.blobs.refusing():
        for _ in range(10):
            with pytest.raises(NoPlaceAnswersError):
                await world.score(*batch)
    assert not world.queue.messages
    with world.store.refusing():
        await world.score(*batch)
    assert world.sequence_numbers()["queued"] == [1, 2, 3]


async def test_without_a_policy_what_has_a_place_is_placed_at_once() -> None:
    """Where the batch does not come again, one event without a place keeps no other from the queue."""
    world = World(budget=0)
    with world.store.refusing(), world.blobs.refusing(), pytest.raises(NoPlaceAnswersError):
        await world.score(item_of(1), item_of(2, pad=LARGE), item_of(3), retry=NO_POLICY)
    assert world.sequence_numbers()["queued"] == [1, 3]


async def test_a_place_that_fails_in_an_unforeseen_way_has_not_taken_an_event() -> None:
    """An exception that no port promises counts as a refusal of that place; the batch comes again."""
    world = World()
    closed = RuntimeError("closed")
    with world.store.refusing(), world.queue.refusing(closed), pytest.raises(NoPlaceAnswersError):
        await world.score(item_of(1))
    with world.blobs.refusing(RuntimeError("closed")):
        await world.score(item_of(2, b"{"))
    assert [item.dead_letter for item in world.queued] == [True]


async def test_without_a_policy_a_batch_is_held_until_a_place_answers(quick, monkeypatch) -> None:
    """Without the policy the invocation holds, asks all places again, and loses nothing."""
    world = World(budget=60)
    world.store.refuses = world.queue.refuses = world.blobs.refuses = OUT
    asked = 0
    pause = asyncio.sleep

    async def recover(seconds: float) -> None:
        nonlocal asked
        asked += 1
        if asked == 200:
            world.blobs.refuses = None
        if asked == 300:
            world.store.refuses = None
        await pause(0)

    monkeypatch.setattr(asyncio, "sleep", recover)
    summary = await world.score(item_of(1), item_of(2, b"{"), item_of(3), retry=NO_POLICY)
    assert world.sequence_numbers() == {"stored": [1, 3], "queued": [], "dead": [2]}
    assert (summary.stored, summary.dead_lettered, summary.queued) == (2, 1, 0)
    assert asked >= 300


async def test_without_a_policy_the_end_of_the_budget_raises_and_says_so(quick, caplog) -> None:
    """When the budget ends the batch is handed back loudly, since it may now be lost."""
    world = World(budget=0.0)
    world.store.refuses = world.queue.refuses = OUT
    with pytest.raises(NoPlaceAnswersError, match="MAY BE LOST"):
        await world.score(item_of(1), retry=NO_POLICY)
    assert {"CRITICAL"} <= {record.levelname for record in caplog.records}
    await world.status.write()
    report = decode_status(world.blobs.status["score_events"])
    assert report.retry_policy is False
    assert report.no_place == "partition 0, sequence numbers 1 to 1"


@pytest.mark.parametrize(("bad", "total", "brakes"), [(11, 20, True), (10, 20, False), (19, 19, False)])
async def test_a_batch_of_which_most_fail_alike_waits_for_the_next_verdict(bad, total, brakes) -> None:
    """Of at least 20 bodies more than half; then none is dead-lettered, though the configuration was well so far."""
    world = World()
    items = [item_of(number, pk=None) for number in range(bad)] + [
        item_of(number) for number in range(bad, total)
    ]
    summary = await world.score(*items)
    assert summary.stored == total - bad
    assert summary.braked == (bad if brakes else 0)
    assert summary.queued == (bad if brakes else 0)
    assert summary.dead_lettered == (0 if brakes else bad)
    assert all(item.braked for item in world.queued)


async def test_while_the_brake_is_on_nothing_becomes_a_dead_letter() -> None:
    """What fails for another reason than the common one waits too: it may be the same mistake."""
    world = World(proven=False)
    items = [item_of(number, nan=True) for number in range(18)]
    await world.score(*items, item_of(18, b"{"), item_of(19), item_of(20, bomb=True))
    where = world.sequence_numbers()
    assert where == {"stored": [19], "queued": [*range(19), 20], "dead": []}
    assert all(item.braked for item in world.queued)
    assert world.verdict.kind == "score: score not finite"


@pytest.mark.parametrize(
    ("state", "unread"),
    [
        (RetryState(3, endless=True, previous="worker died"), False),
        (RetryState(4, endless=True, previous="worker died"), True),
        (RetryState(4, endless=True, previous=""), True),
        (RetryState(9, endless=True, previous="Exception: NoPlaceAnswersError: no place"), False),
    ],
)
async def test_from_the_fifth_try_events_go_on_unread_and_alone(state, unread) -> None:
    """The 5th try that does not come from our own hold puts each event alone, unread, into the queue."""
    world = World()
    summary = await world.score(item_of(1), item_of(2, b"\x00"), item_of(3), retry=state)
    if unread:
        assert len(world.queue.messages) == 3
        assert {item.attempts for item in world.queued} == {0}
        assert {item.crashes for item in world.queued} == {1}, "each is a suspect"
        assert summary.queued == 3
        assert not world.store.batches
        await world.retry()
    assert world.sequence_numbers() == {"stored": [1, 3], "queued": [], "dead": [2]}


async def test_unread_events_need_a_place_too(quick) -> None:
    """Where the queue refuses them, the batch is handed back, and comes unread again: it killed the worker."""
    world = World()
    state = RetryState(7, endless=True, previous="Exit code 137")
    with world.queue.refusing():
        for _ in range(3):
            with pytest.raises(NoPlaceAnswersError) as raised:
                await world.score(item_of(1), retry=state)
            previous = f"Result: Failure\nException: NoPlaceAnswersError: {raised.value}\nStack: …"
            state = RetryState(state.count + 1, endless=True, previous=previous)
    assert not world.models.model.calls
    await world.score(item_of(1, pad=LARGE), retry=state)
    assert world.sequence_numbers()["queued"] == [1]
    assert not world.models.model.calls


async def test_unread_events_that_come_again_fill_no_queue_meanwhile() -> None:
    """While the claim check of one of them is refused, its neighbours are not sent at every try."""
    world = World()
    batch = [item_of(1), item_of(2, pad=LARGE), item_of(3)]
    state = RetryState(7, endless=True, previous="Exit code 137")
    with world.blobs.refusing():
        for _ in range(10):
            with pytest.raises(NoPlaceAnswersError):
                await world.score(*batch, retry=state)
    assert not world.queue.messages
    await world.score(*batch, retry=state)
    assert world.sequence_numbers()["queued"] == [1, 2, 3]


async def test_an_invocation_lingers_only_while_the_store_is_out_and_events_wait(monkeypatch) -> None:
    """It waits at its end, so that the next batch is large; a store that answers, or a clean batch, is not held."""
    world = World(linger=7.5)
    waits: list[float] = []
    pause = asyncio.sleep

    async def note_wait(seconds: float) -> None:
        waits.append(seconds)
        await pause(0)

    monkeypatch.setattr(asyncio, "sleep", note_wait)
    with world.store.refusing():
        await world.score(item_of(1))
    assert 7.5 not in waits
    world.breaker = State.OPEN
    await world.score(item_of(2))
    assert 7.5 not in waits
    with world.store.refusing():
        await world.score(item_of(3))
    assert waits.count(7.5) == 1


async def test_records_of_one_body_have_fates_of_their_own() -> None:
    """Each record of a list is stored, queued or dead-lettered by itself, with its own bytes and index."""
    world = World(stream=stream_of(unwrap="array"))
    records = [body_of(0), body_of(1, pk=None), body_of(2, bomb=True), b'{"id": "x", "f": NaN}', body_of(4)]
    summary = await world.score(item_of(7, b"[" + b", ".join(records) + b"]"))
    assert summary.received == 5
    assert (summary.stored, summary.dead_lettered, summary.queued) == (2, 2, 1)
    assert sorted(doc["source"]["index"] for doc in world.stored.values()) == [0, 4]
    assert {letter.item.source.index: letter.item.body for letter in world.blobs.letters} == {
        1: records[1],
        3: records[3],
    }
    [queued] = world.queued
    assert (queued.body, queued.unwrapped, queued.source.index) == (records[2], True, 2)
    assert sorted(world.blobs.dead_letters) == [
        "2026/11/25/10/3000-events-0-7-1.json",
        "2026/11/25/10/3000-events-0-7-3.json",
    ]


async def test_a_second_delivery_changes_nothing() -> None:
    """The same batch again writes nothing: every event is superseded by itself."""
    world = World()
    await world.score(item_of(1), item_of(2))
    accepted = list(world.store.accepted)
    summary = await world.score(item_of(1), item_of(2))
    assert (summary.superseded, summary.stored) == (2, 0)
    assert world.store.accepted == accepted


async def test_a_permanent_failure_of_one_document_is_its_own() -> None:
    """A document that the store refuses for good is dead-lettered; the rest of its batch is stored."""
    world = World()

    def judge(pk, documents):
        for index, document in enumerate(documents):
            if document["event"]["n"] == 2:
                return WriteRefusedError(Permanent(Stage.STORE, "refused by the store"), index)
        return None

    world.store.judge = judge
    await world.score(*(item_of(number) for number in range(5)))
    assert world.sequence_numbers() == {"stored": [0, 1, 3, 4], "queued": [], "dead": [2]}


async def test_a_store_that_breaks_on_one_event_stores_the_others() -> None:
    """An exception nobody foresaw, from the store, is narrowed down to the event that brings it about."""
    world = World()

    def judge(pk, documents):
        if any(document["event"]["n"] == 3 for document in documents):
            return ZeroDivisionError("somewhere deep")
        return None

    world.store.judge = judge
    await world.score(*(item_of(number) for number in range(10)))
    where = world.sequence_numbers()
    assert where["queued"] == [3]
    assert len(where["stored"]) == 9
    assert world.queued[0].reason == "unexpected ZeroDivisionError"


async def test_events_without_any_metadata_are_placed_too() -> None:
    """An event of unknown source is stored, and a bad one has a dead letter named by its content."""
    world = World()
    await world.score(Item(body=body_of(1)), Item(body=b"{"), Item(body=b"[]"))
    assert list(world.stored) == ["id-1"]
    assert len(world.blobs.dead_letters) == 2
    assert all("unknown-" in name for name in world.blobs.dead_letters)


async def test_the_documents_own_size_limit_is_permanent() -> None:
    """A document over the store's 2 MB is dead-lettered without asking the store."""
    world = World()
    await world.score(item_of(1, pad="x" * 2_100_000), item_of(2))
    assert world.sequence_numbers() == {"stored": [2], "queued": [], "dead": [1]}
    assert world.blobs.letters[0].item.reason == "document too large"
    assert len(json.loads(world.blobs.letters[0].item.body)["pad"]) == 2_100_000


async def test_sources_differ_but_ids_do_not_collide_across_partitions() -> None:
    """Without a mapped id, events of two partitions with one sequence number are two documents."""
    world = World(stream=stream_of(id=None))
    first = Item(body=body_of(1), source=source_of(5))
    second = Item(body=body_of(1), source=source_of(5, partition="1"))
    await world.score(first, second, retry=ENDLESS)
    assert len(world.store.documents) == 2


HELD = "Exception: NoPlaceAnswersError: no destination takes 1 events"


async def _given_back(world: World, *items: Item, tries: int) -> None:
    """A batch comes again and again while claim checks are refused."""
    with world.store.refusing(), world.blobs.refusing():
        for count in range(tries):
            state = RetryState(count=count, endless=True, previous=HELD * (count > 0))
            with pytest.raises(NoPlaceAnswersError):
                await world.score(*deepcopy(items), retry=state)  # the host makes them anew


async def test_hole_13_slices_of_a_batch_that_are_settled_are_settled_once() -> None:
    """A batch that is cut into slices and given back since a later one has no place goes on with that one: what is
    in the queue is not sent once more with each try, and each event is counted once.
    """
    world = World(memory=1)  # a slice for each event
    items = [item_of(1), item_of(2), item_of(3, pad=LARGE), item_of(4)]
    await _given_back(world, *items, tries=4)
    assert world.sequence_numbers()["queued"] == [1, 2]
    with world.store.refusing():
        summary = await world.score(*items, retry=RetryState(count=4, endless=True, previous=HELD))
    assert world.sequence_numbers()["queued"] == [1, 2, 3, 4]
    assert (summary.received, summary.queued) == (4, 4)
    assert world.models.model.calls == [1] * (2 + 5 + 1), (
        "two once, the third in all five tries, the last once"
    )


async def test_hole_13_records_of_a_body_that_are_settled_are_settled_once() -> None:
    """Likewise within one body of several records."""
    world = World(stream=stream_of(unwrap="array"), memory=1)
    item = item_of(7, b"[" + b",".join([body_of(0), body_of(1, pad=LARGE), body_of(2)]) + b"]")
    await _given_back(world, item, tries=3)
    assert [each.source.index for each in world.queue.items] == [0]
    summary = await world.score(item, retry=RetryState(count=3, endless=True, previous=HELD))
    assert sorted(world.stored) == ["id-1", "id-2"]
    assert [each.source.index for each in world.queue.items] == [0]
    assert (summary.received, summary.queued, summary.stored) == (3, 1, 2)


@pytest.mark.parametrize("changed", ["count", "length", "place"])
async def test_hole_13_only_the_same_batch_goes_on_where_it_was(changed: str) -> None:
    """A batch that begins anew, has other events, or whose place is not known is taken from its beginning."""
    world = World(memory=1)
    items = [item_of(1), item_of(2, pad=LARGE)]
    if changed == "place":
        items[0].source = Source(hub="events")
    await _given_back(world, *items, tries=1)
    if changed == "length":
        items.append(item_of(3))
    summary = await world.score(*items, retry=RetryState(count=int(changed != "count"), endless=True))
    assert summary.stored == summary.received == len(items)
