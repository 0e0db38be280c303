"""The retry queue's messages, taken to their ends."""

from __future__ import annotations

import asyncio
import base64
import random
from datetime import timedelta

import msgspec
import pytest

from everscore.clock import backoff
from everscore.clock.deadline import Deadline
from everscore.event.item import Braked, Item
from everscore.failures import Configuration, Permanent, Stage, Throttled, Transient, Unexpected
from everscore.flow.ending import NoPlaceAnswersError
from everscore.ports import HubEvent
from everscore.retry.dead_letter import DeadLetter, encode_dead_letter
from everscore.retry.envelope import decode_envelope
from everscore.retry.names import blob_name, suspect_name
from everscore.retry.packing import pack
from everscore.retry.placing import Delayed
from everscore.store.breaker import State
from everscore.watch.status import decode_status
from everscore_cli.redriving import From, redriven
from tests.fakes import LARGE, OUT, World, ago, body_of, item_of, payload_of, source_of, stream_of

BRAKED = Braked(at="2026-11-25T10:00:00.000Z", configuration="c")


def queue(world: World, *items, **fields) -> None:
    """Put items into one message of the world's retry queue."""
    for item in items:
        item.queued_at = item.queued_at or ago(seconds=5)
        for name, value in fields.items():
            setattr(item, name, value)
    packed, too_large = pack(items)
    assert not too_large
    assert len(packed) == 1
    world.queue.messages.append((packed[0].message, 0.0))


async def test_each_item_of_a_message_meets_its_own_fate() -> None:
    """A message's items are stored, dead-lettered or sent on one by one."""
    world = World()
    queue(world, item_of(1), item_of(2, b"{"), item_of(3, bomb=True), item_of(4))
    [summary] = await world.retry()
    assert (summary.stored, summary.dead_lettered, summary.queued) == (2, 1, 1)
    assert world.sequence_numbers() == {"stored": [1, 4], "queued": [3], "dead": [2]}


async def test_what_finished_stages_made_is_kept() -> None:
    """An item with identity and scores is neither identified nor scored anew, whatever the rules are now."""
    world = World()
    with world.store.refusing():
        await world.score(item_of(1))
    calls = len(world.models.model.calls)
    moved = World(stream=stream_of(partitionKey=["/n"], id="/time"))
    moved.queue.messages = world.queue.messages
    await moved.retry()
    [document] = moved.store.documents.values()
    assert (document["pk"], document["id"]) == ("p", "id-1")
    assert document["scores"]["toy"]["value"] == 1.0
    assert moved.models.model.calls == []
    assert calls == 1
    assert document["pipeline"]["attempts"] == 2


@pytest.mark.parametrize("field", ["/absent", "/n"])
async def test_an_item_keeps_its_identity_under_a_new_rule(field) -> None:
    """A rule that now finds no key, or another, does not take away the identity that was found before; the
    document's key is what that identity was made of.
    """
    world = World()
    with world.store.refusing():
        await world.score(item_of(1, id=7.5, pk="a/b"))
    strict = World(stream=stream_of(partitionKey=["/pk", field]))
    strict.queue.messages = world.queue.messages
    await strict.retry()
    [(identity, document)] = strict.store.documents.items()
    assert identity == ("a~2fb", "~n7.5")
    assert document["key"] == {"pk": ["a/b"], "id": 7.5}


async def test_an_unexpected_failure_is_final_at_the_third_try() -> None:
    """An event that makes code raise is tried 3 times in all, then dead-lettered with its reason."""
    world = World()
    await world.score(item_of(1, bomb=True), item_of(2))
    [item] = world.queued
    assert item.unexpected == 1
    await world.retry()
    assert world.queued[0].unexpected == 2
    assert not world.blobs.dead_letters
    [summary] = await world.retry()
    assert summary.dead_lettered == 1
    [letter] = world.blobs.letters
    assert (letter.item.unexpected, letter.item.attempts) == (3, 3)
    assert (letter.item.stage, letter.item.reason) == ("score", "unexpected ValueError")


async def test_another_failure_after_many_unexpected_ones_is_not_final() -> None:
    """Once it fails for a retryable reason, an event is tried on, however often it was unexpected before."""
    world = World()
    queue(world, item_of(1), unexpected=5)
    with world.store.refusing():
        await world.retry()
    assert world.sequence_numbers() == {"stored": [], "queued": [1], "dead": []}


@pytest.mark.parametrize(
    ("age", "dead"), [(timedelta(days=6, hours=23), False), (timedelta(days=7, minutes=1), True)]
)
async def test_it_gives_up_by_age_after_one_last_try(age, dead) -> None:
    """Past the give-up age a failing event is dead-lettered; one that now succeeds is stored all the same."""
    world = World()
    queue(world, item_of(1), queued_at=ago(days=age.days, seconds=age.seconds), attempts=40)
    with world.store.refusing():
        await world.retry()
    assert bool(world.blobs.dead_letters) is dead
    if dead:
        [letter] = world.blobs.letters
        assert letter.item.reason == "gave up"
        assert "out of reach" in (letter.item.exception or "")
        assert [step.reason for step in letter.item.history] == ["out of reach"]
    old = World()
    queue(old, item_of(1), queued_at=ago(days=age.days, seconds=age.seconds))
    await old.retry()
    assert old.sequence_numbers()["stored"] == [1]


@pytest.mark.parametrize("fields", [{"pk": None}, {"nan": True}])
async def test_braked_events_are_dead_letters_once_their_configuration_is_well(fields) -> None:
    """The verdict is over what the hub brings; where that is well, the event is the one at fault."""
    world = World()
    queue(world, item_of(1, **fields), braked=BRAKED)
    await world.retry()
    assert world.sequence_numbers() == {"stored": [], "queued": [], "dead": [1]}
    assert not world.blobs.letters[0].item.braked


async def test_braked_events_go_free_once_the_configuration_is_mended() -> None:
    """A braked event that succeeds is stored."""
    world = World()
    queue(world, item_of(1), braked=BRAKED)
    await world.retry()
    assert world.sequence_numbers()["stored"] == [1]


@pytest.mark.parametrize(
    ("age", "cap"),
    [(timedelta(minutes=9), backoff.EARLY_CAP), (timedelta(minutes=11), backoff.LATE_CAP)],
)
async def test_delays_grow_to_their_caps(age, cap) -> None:
    """In the first 10 minutes no delay is over 30 seconds, and none ever over 15 minutes."""
    world = World()
    for number in range(30):
        queue(world, item_of(number), queued_at=ago(seconds=age.total_seconds()), attempts=20)
    with world.store.refusing():
        await world.retry()
    delays = [delay for _, delay in world.queue.messages]
    assert max(delays) <= cap
    assert max(delays) > cap / 3


async def test_the_servers_hint_is_kept() -> None:
    """The next try comes no sooner than the service asked."""
    world = World()
    queue(world, item_of(1))
    with world.store.refusing(Throttled(Stage.STORE, "throttled", retry_after=600)):
        await world.retry()
    assert world.queue.messages[0][1] >= 600


async def test_hole_20_a_hint_is_rounded_up() -> None:
    """A queue counts in whole seconds, and a service that asks for 1.4 of them is not asked after one."""
    world = World()
    queue(world, item_of(1))
    with world.store.refusing(Throttled(Stage.STORE, "throttled", retry_after=20.4)):
        await world.retry()
    assert world.queue.messages[0][1] == 21


@pytest.mark.parametrize(
    ("age", "least", "most"), [(1, 1, 2), (60, 15, 30), (599, 15, 30), (1200, 150, 300), (86_400, 450, 900)]
)
async def test_hole_11_while_the_store_is_out_a_message_goes_back_unread(age, least, most) -> None:
    """No event of it is decoded, scored or fetched from its blob, and the older it is the longer it waits."""
    world = World()
    with world.store.refusing():
        await world.score(item_of(1, pad=LARGE), item_of(2))
    world.queue.messages.clear()
    pointer = Item(blob=next(iter(world.blobs.claim_checks)), source=source_of(1))
    queue(world, pointer, item_of(2, b"{"), queued_at=ago(seconds=age), attempts=3)
    [(message, _)] = world.queue.messages
    world.breaker = State.OPEN
    world.blobs.reads_refuse = RuntimeError("it was read")
    calls = len(world.models.model.calls)
    [summary] = await world.retry()
    [(again, delay)] = world.queue.messages
    assert again == message
    assert least <= delay <= most
    assert (summary.received, summary.queued) == (2, 2)
    assert len(world.models.model.calls) == calls
    assert not world.blobs.dead_letters


async def test_hole_11_what_needs_no_store_does_not_wait_for_it() -> None:
    """A pending dead letter is written, and an event past its give-up age has its last try, at any time."""
    world = World()
    queue(world, item_of(1), queued_at=ago(days=8))
    pending = item_of(2, b"{")
    pending.dead_letter = True
    queue(world, pending)
    world.breaker = State.OPEN
    with world.store.refusing():
        await world.retry()
    assert world.sequence_numbers() == {"stored": [], "queued": [], "dead": [1, 2]}


def test_hole_11_in_a_long_outage_an_event_is_looked_at_seldom() -> None:
    """In six hours without a store a message is seen some 70 times, where each event was tried 91 times."""
    for seed in range(20):
        draw = random.Random(seed)
        age, looks = timedelta(seconds=1), 0
        while age < timedelta(hours=6):
            age += timedelta(seconds=backoff.while_out(age, draw.random()))
            looks += 1
        assert looks < 80


async def test_hole_11_a_claim_check_is_written_once() -> None:
    """However often an event is tried, its body lies in the blob that it was put into at first."""
    world = World()
    written: list[str] = []
    put = world.blobs.put_claim_check

    async def watching(name, data):
        written.append(name)
        await put(name, data)

    world.blobs.put_claim_check = watching  # type: ignore[method-assign]
    with world.store.refusing():
        await world.score(item_of(1, pad=LARGE), item_of(2))
        for _ in range(5):
            await world.retry()
    assert len(written) == 1
    [pointer] = [item for item in world.queue.items if item.is_pointer]
    assert (pointer.blob, pointer.attempts, pointer.id) == (written[0], 6, "id-1")
    assert pointer.scores
    assert pointer.blob_size == len(world.blobs.claim_checks[written[0]])
    await world.retry()
    assert world.stored["id-1"]["event"]["pad"] == LARGE
    assert world.stored["id-1"]["pipeline"]["attempts"] == 7
    assert len(world.models.model.calls) == 1, "what was scored once was not scored again"


async def test_hole_12_bodies_behind_claim_checks_are_read_within_their_budget() -> None:
    """However many messages point at large bodies, only so many of those are in memory at a time; all are stored."""
    world = World(budget=60, claimed=4 * 100_000)
    with world.store.refusing():
        await world.score(*(item_of(number, pad=LARGE) for number in range(12)))
    assert len(world.queue.messages) == 12, "each of 80,000 bytes: one message points at 100,000 at most"
    held = most = 0
    read, write = world.blobs.get_claim_check, world.store.write

    async def reading(name):
        nonlocal held, most
        found = await read(name)
        held += 1
        most = max(most, held)
        return found

    async def writing(pk, writes):
        nonlocal held
        await asyncio.sleep(0.01)
        held -= len(writes)
        return await write(pk, writes)

    world.blobs.get_claim_check, world.store.write = reading, writing  # type: ignore[method-assign]
    messages, world.queue.messages = world.queue.messages, []
    await asyncio.gather(
        *(world.retrying.retry_events(message, dequeue_count=1, message_id="m") for message, _ in messages)
    )
    assert len(world.stored) == 12
    assert 1 < most <= 4


@pytest.mark.parametrize("sized", [True, False])
async def test_hole_12_a_message_that_points_at_too_much_is_spread_unread(sized: bool) -> None:
    """Pointers that an earlier release packed into one message go on in messages that each may be read at once."""
    world = World(claimed=16 * 1024 * 1024)
    pointers = [
        Item(blob=f"items/{number}.json", blob_size=1_200_000 if sized else None, source=source_of(number))
        for number in range(9)
    ]
    world.blobs.reads_refuse = RuntimeError("it was read")
    [packed], _ = pack([*pointers, item_of(9)])
    world.queue.messages = [(packed.message, 0.0)]
    [summary] = await world.retry()
    assert (summary.received, summary.queued) == (10, 10)
    counts = [len(decode_envelope(message).items) for message, _ in world.queue.messages]
    assert counts == ([3, 3, 4] if sized else [2, 2, 2, 2, 2])
    assert [item.attempts for item in world.queue.items] == [0] * 10


async def test_hole_12_what_gets_no_memory_in_time_waits_and_its_neighbours_are_stored() -> None:
    """While others hold all of the budget a pointer goes back unread, and what is in the message itself is stored."""
    world = World(time_budget=4.0)
    with world.store.refusing():
        await world.score(item_of(1, pad=LARGE))
    [pointer] = world.queue.items
    world.queue.messages.clear()
    queue(world, pointer, item_of(2))
    share = await world.claimed.share(world.claimed.total)
    await world.retry()
    assert world.sequence_numbers() == {"stored": [2], "queued": [1], "dead": []}
    assert world.queue.items[0].reason == "claim check not read"
    share.close()
    await world.retry()
    assert world.sequence_numbers()["stored"] == [1, 2]


async def test_hole_13_neighbours_of_a_refused_claim_check_are_sent_once() -> None:
    """While blobs take nothing a message stays as it is: no delivery of it puts copies of the others into the queue."""
    world = World(stream=stream_of(unwrap="array"))
    whole = item_of(7, b"[" + body_of(0, pad=LARGE) + b"," + body_of(1) + b"]")
    await world.score(whole, retry=_unread())
    messages = list(world.queue.messages)

    put = world.blobs.put_claim_check

    async def refuse(name, data):
        if not name.startswith("suspects/"):
            raise OUT
        await put(name, data)

    world.blobs.put_claim_check = refuse  # type: ignore[method-assign]
    with world.store.refusing():
        for _ in range(3):
            with pytest.raises(NoPlaceAnswersError):
                await world.retry()
            assert world.queue.messages == messages
        world.blobs.put_claim_check = put  # type: ignore[method-assign]
        await world.retry()
    assert sorted(item.source.index for item in world.queue.items) == [0, 1]


async def test_hole_13_slices_of_a_message_that_are_settled_are_settled_once() -> None:
    """Where a later slice has no place, what was not settled goes on in a message of its own, as it came: the next
    tries of the others are not sent again with each try, whichever instance has it.
    """
    world = World(stream=stream_of(unwrap="array"), memory=1)  # a slice for each event
    small = item_of(1, b"[" + body_of(1) + b"," + body_of(2) + b"]")
    large = item_of(2, b"[" + body_of(3, pad=LARGE) + b"," + body_of(4) + b"]")
    unwritten = item_of(3, b"{")
    unwritten.dead_letter = True
    await world.placing.enqueue([Delayed(large, 1.0)])
    [pointer] = world.queue.items
    world.queue.messages.clear()
    queue(world, small, pointer, unwritten)
    put = world.blobs.put_claim_check

    async def refuse(*_):
        raise OUT

    world.blobs.put_claim_check = refuse  # type: ignore[method-assign]
    with world.store.refusing():
        [summary] = await world.retry()
        assert (summary.received, summary.queued) == (4, 4), "two records, and two bodies as they came"
        for _ in range(3):
            *settled, (rest, delay) = world.queue.messages
            assert [
                item.source.index for message, _ in settled for item in decode_envelope(message).items
            ] == [0, 1]
            again = decode_envelope(rest).items
            assert [(item.source.sequence_number, item.attempts) for item in again] == [(2, 0), (3, 0)]
            assert again[0].is_pointer
            world.queue.messages = [(rest, delay)]
            with pytest.raises(NoPlaceAnswersError):
                await world.retry()
            world.queue.messages = [*settled, *world.queue.messages]
    world.blobs.put_claim_check = put  # type: ignore[method-assign]
    await world.retry()
    assert sorted(world.stored) == ["id-1", "id-2", "id-3", "id-4"]
    assert [letter.item.body for letter in world.blobs.letters] == [b"{"]
    assert not world.queue.messages


async def test_hole_13_a_message_whose_rest_the_queue_refuses_stays() -> None:
    """It comes again whole: that is one copy more of what is in the queue, and nothing lost."""
    world = World(memory=1)
    queue(world, item_of(1), item_of(2))
    messages = list(world.queue.messages)
    send = world.queue.send

    async def once(message, delay):
        world.queue.refuses = OUT if world.queue.messages else None
        await send(message, delay)

    world.queue.send = once  # type: ignore[method-assign]
    with world.store.refusing(), pytest.raises(NoPlaceAnswersError):
        await world.retry()
    assert [item.source.sequence_number for item in world.queue.items] == [1, 1, 2]
    assert world.queue.messages[1:] == messages


async def test_what_fails_together_stays_together() -> None:
    """Items of one message that fail alike share their next message."""
    world = World()
    queue(world, *(item_of(number) for number in range(20)))
    with world.store.refusing():
        await world.retry()
    assert len(world.queue.messages) == 1


async def test_an_unreadable_message_is_dead_lettered_byte_for_byte() -> None:
    """What is no envelope becomes a dead letter with the message's bytes, under the message's id."""
    world = World()
    for text in (
        b"hello",
        b'{"schema":1,"items":[]}',
        b"",
        b'{"schema":1,"x":' + b"[" * 9_000 + b"]" * 9_000,
    ):
        world.queue.messages.append((text, 0.0))
    await world.retry()
    assert {letter.item.body for letter in world.blobs.letters} == {
        b"hello",
        b'{"schema":1,"items":[]}',
        b"",
        b'{"schema":1,"x":' + b"[" * 9_000 + b"]" * 9_000,
    }
    assert {letter.item.reason for letter in world.blobs.letters} == {"retry message unreadable"}
    assert not world.queue.messages


NEWER = b'{"items":[{"wonder":1}],"schema":2024}'


def newer(world: World, text: bytes = NEWER) -> None:
    """Put a message that this release cannot read into the world's retry queue."""
    world.queue.messages.append((text, 0.0))


async def test_hole_14_a_newer_envelope_waits_whole_and_is_seen() -> None:
    """A message of a newer release waits, byte for byte, with its age and its reason, whatever is tried meanwhile."""
    world = World()
    newer(world)
    for tries in range(4):
        [summary] = await world.retry(dequeue_count=9 if tries == 0 else 1)
        assert (summary.received, summary.queued) == (1, 1)
        assert summary.reasons == {"retry: newer schema": 1}
        [item] = world.queue.items
        assert (item.kind, item.body, item.attempts) == ("message", NEWER, tries + 1)
        assert summary.oldest_queued_at == item.queued_at
        assert ago(minutes=1) < (item.queued_at or "") <= ago()
    assert not world.blobs.dead_letters
    with world.queue.refusing(), pytest.raises(NoPlaceAnswersError):
        await world.retry()
    assert [item.body for item in world.queue.items] == [NEWER]


async def test_an_outcome_of_a_newer_release_is_never_an_event() -> None:
    """It waits with its reason, under whatever verdict; its neighbour is stored; at the give-up age it is a letter."""
    world = World()
    outcome = item_of(1)
    outcome.kind, outcome.queued_at = "outcome", ago(hours=1)
    queue(world, outcome, item_of(2))
    await world.retry()
    assert list(world.stored) == ["id-2"]
    [waiting] = world.queued
    assert (waiting.kind, waiting.reason, waiting.body) == ("outcome", "newer kind of item", outcome.body)
    waiting.queued_at = ago(days=8)
    world.queue.messages.clear()
    queue(world, waiting)
    await world.retry()
    [letter] = world.blobs.letters
    assert (letter.item.kind, letter.item.body) == ("outcome", outcome.body)
    assert list(world.stored) == ["id-2"]


async def test_hole_14_a_body_in_a_newer_claim_check_waits_at_any_age_and_is_named() -> None:
    """Its pointer is no event, and can be no dead letter: it waits, the status names the reason and the item says
    what to do, and a release that reads the blob stores the event.
    """
    world = World()
    with world.store.refusing():
        await world.score(item_of(1, pad=LARGE))
    [(name, data)] = world.blobs.claim_checks.items()
    world.blobs.claim_checks[name] = data.replace(b'"schema":2', b'"schema":2024')
    [pointer] = world.queue.items
    world.queue.messages.clear()
    queue(world, pointer, queued_at=ago(days=30))
    for _ in range(3):
        [summary] = await world.retry()
        assert summary.reasons == {"retry: newer schema of a claim check": 1}
        [item] = world.queue.items
        assert "2024" in (item.exception or "")
        assert "deploy the release that wrote it" in (item.exception or "")
    await world.retrying._status.write()
    report = decode_status(world.blobs.status["retry_events"])
    assert report.last_failure == "retry: newer schema of a claim check"
    assert not world.blobs.dead_letters
    world.blobs.claim_checks[name] = data
    await world.retry()
    assert world.stored["id-1"]["event"]["pad"] == LARGE


async def test_hole_14_a_newer_envelope_is_given_up_by_age_and_comes_back() -> None:
    """Past the give-up age it is a dead letter byte for byte; redriven under a release that reads it, it is itself."""
    world = World(give_up=timedelta(0))
    newer(world)
    await world.retry()
    [letter] = world.blobs.letters
    assert (letter.item.kind, letter.item.body, letter.item.reason) == ("message", NEWER, "gave up")
    assert "2024" in (letter.item.exception or "")
    assert not world.queue.messages
    # As another release would have written it: this one reads what it holds.
    [name] = world.blobs.dead_letters
    [packed], _ = pack([item_of(1), item_of(2)])
    letter.item.body = packed.message
    back = World()
    back.blobs.dead_letters[name] = encode_dead_letter(letter)
    queue(back, redriven(letter, name, From.FAILED), item_of(3))
    await back.retry()
    assert [message for message, _ in back.queue.messages] == [packed.message]
    assert not back.blobs.dead_letters
    await back.retry()
    assert back.sequence_numbers() == {"stored": [1, 2, 3], "queued": [], "dead": []}


async def test_hole_14_what_is_no_message_stays_a_dead_letter() -> None:
    """A message that nobody can read, redriven, is a dead letter again, under its name and byte for byte."""
    world = World()
    world.queue.messages.append((b"words", 0.0))
    await world.retry()
    [name], [letter] = world.blobs.dead_letters, world.blobs.letters
    queue(world, redriven(letter, name, From.FAILED))
    await world.retry()
    assert list(world.blobs.dead_letters) == [name]
    assert world.blobs.letters[0].item.body == b"words"


async def test_hole_14_a_large_newer_envelope_waits_in_a_blob() -> None:
    """One that no message of ours can hold has a claim check, and comes back from there."""
    world = World()
    text = b'{"schema":3,"items":"' + LARGE.encode() + b'"}'
    newer(world, text)
    for _ in range(2):
        await world.retry()
    [item] = world.queued
    assert (item.kind, item.body) == ("message", text)


async def test_hole_19_an_unreadable_message_has_one_letter_whenever_it_is_tried() -> None:
    """Its name follows from when it was put into the queue, so that a second delivery an hour later overwrites."""
    world = World()
    for _ in range(2):
        await world.retrying.retry_events(
            b"words", dequeue_count=1, message_id="m7", inserted_at="2026-11-25T10:59:59.000Z"
        )
        await world.retrying.retry_events(b"of unknown time", dequeue_count=1, message_id="m8")
    names = sorted(world.blobs.dead_letters)
    assert names[0] == "2026/11/25/10/5959-retry-queue-m7-0-0.json"
    assert names[1].startswith("unknown/retry-queue-")
    assert len(names) == 2


@pytest.mark.parametrize(("dequeue_count", "messages"), [(2, 0), (3, 3), (7, 3)])
async def test_a_climbing_dequeue_count_splits_a_message_unread(dequeue_count, messages) -> None:
    """From the 3rd delivery on a packed message is split, one item a message, without a look into them."""
    world = World()
    queue(world, item_of(1), item_of(2), item_of(3))
    await world.retry(dequeue_count=dequeue_count)
    assert len(world.queue.messages) == messages
    if messages > 1:
        assert {item.crashes for item in world.queue.items} == {1}, "each is a suspect"
    assert len(world.stored) == (0 if messages else 3)
    if messages:
        assert not world.models.model.calls
        await world.retry()
        assert len(world.stored) == 3


async def die_trying(world: World, dequeue_count: int) -> None:
    """The worker dies while it tries the message: nothing that it would do afterwards is done."""

    class Death(BaseException):
        pass

    def die(*_: object) -> None:
        world.blobs.refuses = Death()
        raise Death

    world.store.judge = die
    messages = list(world.queue.messages)
    with pytest.raises(Death):
        await world.retry(dequeue_count=dequeue_count)
    world.queue.messages = messages
    world.blobs.refuses = None
    world.store.judge = lambda *_: None


async def test_the_event_that_kills_the_worker_is_dead_lettered_unread() -> None:
    """After three deaths while it alone was tried, an item goes to the dead letters, its body included."""
    world = World()
    queue(world, item_of(1))
    for deaths in range(3):
        await die_trying(world, 3 + deaths)
        assert not world.blobs.dead_letters
    calls = len(world.models.model.calls)
    await world.retry(dequeue_count=6)
    [letter] = world.blobs.letters
    assert (letter.item.reason, letter.item.body) == ("crashes the worker", body_of(1))
    assert len(world.models.model.calls) == calls
    assert not world.stored
    queue(world, item_of(1))
    await world.retry(dequeue_count=3)
    assert len(world.stored) == 1, "a redriven item is tried anew"


@pytest.mark.parametrize("dequeue_count", [3, 6, 50])
async def test_who_died_beside_the_guilty_is_stored(dequeue_count) -> None:
    """A dequeue count, however high, is no proof: an item that the worker lives through is stored."""
    world = World()
    queue(world, item_of(1))
    await world.retry(dequeue_count=dequeue_count)
    assert len(world.stored) == 1
    assert not world.blobs.dead_letters


async def test_a_suspect_that_the_worker_lived_through_is_none_any_more() -> None:
    """Where it only could not be stored, it waits like any other, and its next try needs no turn and no mark."""
    world = World()
    queue(world, item_of(1), crashes=1)
    with world.store.refusing():
        await world.retry()
    assert [item.crashes for item in world.queue.items] == [0]


async def test_suspects_are_tried_one_at_a_time() -> None:
    """While one suspect is under way no other begins, so that a death is that one's."""
    world = World(budget=30.0)
    running = most = 0
    write = world.store.write

    async def slow(pk, writes):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return await write(pk, writes)

    world.store.write = slow
    for number in range(5):
        queue(world, item_of(number), crashes=1)
    messages, world.queue.messages = world.queue.messages, []
    await asyncio.gather(
        *(world.retrying.retry_events(message, dequeue_count=1, message_id="m") for message, _ in messages)
    )
    assert (len(world.stored), most) == (5, 1)


async def test_a_suspect_without_a_mark_is_not_tried_and_its_receipts_are_no_proof() -> None:
    """While blobs refuse, nothing could be proven: it goes on in a message that was never received, so that no
    number of receipts ever puts it into the poison queue, and is tried once they answer.
    """
    world = World()
    queue(world, item_of(1))
    with world.blobs.refusing():
        for dequeue_count in (3, 1, 1, 99):
            [summary] = await world.retry(dequeue_count=dequeue_count)
            assert (summary.received, summary.queued) == (1, 1)
            [item] = world.queue.items
            assert (item.crashes, item.attempts, item.body) == (1, 0, body_of(1)), "still a suspect, untried"
    assert not world.models.model.calls
    await world.retry()
    assert len(world.stored) == 1
    assert not world.queue.messages


async def test_a_suspect_that_neither_blobs_nor_queue_take_stays_in_its_message() -> None:
    """There is no other place for it."""
    world = World()
    queue(world, item_of(1))
    messages = list(world.queue.messages)
    with world.blobs.refusing(), world.queue.refusing(), pytest.raises(NoPlaceAnswersError):
        await world.retry(dequeue_count=3)
    assert world.queue.messages == messages


async def test_a_suspect_whose_turn_does_not_come_goes_on_in_another_message() -> None:
    """While another is tried for as long as an invocation lasts, its own receipts are no proof against it."""
    world = World(time_budget=2.0)
    queue(world, item_of(1), crashes=2)
    long = Deadline.after(60)
    async with world.retrying._suspects.trial(item_of(2), long, long):
        [summary] = await world.retry(dequeue_count=60)
    assert summary.queued == 1
    assert [(item.crashes, item.attempts) for item in world.queue.items] == [(2, 0)]
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [], "dead": []}


async def test_a_mark_that_cannot_be_taken_away_brings_no_event_again(caplog) -> None:
    """What the trial came to is accounted for: the message goes, and nothing of it is in the queue twice."""
    world = World()
    queue(world, item_of(1), crashes=1)
    put = world.blobs.put_claim_check

    async def refuse_zero(name: str, data: bytes) -> None:
        if data == b"0":
            raise OUT
        await put(name, data)

    world.blobs.put_claim_check = refuse_zero  # type: ignore[method-assign]
    with world.store.refusing():
        [summary] = await world.retry()
    assert summary.queued == 1
    assert [item.crashes for item in world.queue.items] == [0]
    assert "counts as one that was not lived through" in caplog.text
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [], "dead": []}


async def test_a_crashing_claim_check_is_dead_lettered_with_its_body() -> None:
    """The body is fetched from its blob for the dead letter; while blobs refuse, its event waits."""
    world = World()
    with world.store.refusing():
        await world.score(item_of(1, pad=LARGE))
    for deaths in range(3):
        await die_trying(world, 3 + deaths)
    world.blobs.reads_refuse = OUT
    await world.retry(dequeue_count=6)
    assert not world.blobs.dead_letters
    world.blobs.reads_refuse = None
    await world.retry(dequeue_count=7)
    [letter] = world.blobs.letters
    assert letter.item.body == body_of(1, pad=LARGE)
    assert letter.item.blob is None


async def test_a_crashing_claim_check_waits_for_a_silent_hub_no_longer_than_its_time() -> None:
    """Where the hub never answers, the message stays once the time is used up: the host would end it later."""
    world = World(time_budget=2.0)
    with world.store.refusing():
        await world.score(item_of(1, pad=LARGE))
    for deaths in range(3):
        await die_trying(world, 3 + deaths)
    world.blobs.claim_checks = {
        name: data for name, data in world.blobs.claim_checks.items() if name.startswith("suspects/")
    }

    async def silent(_):
        await asyncio.Event().wait()

    world.hub.fetch = silent  # type: ignore[method-assign]
    with pytest.raises(NoPlaceAnswersError, match="claim check"):
        await world.retry(dequeue_count=6)
    assert not world.blobs.dead_letters


@pytest.mark.parametrize(
    "failure",
    [
        OUT,
        Configuration(Stage.RETRY, "storage refuses access"),
        Unexpected(Stage.RETRY, "storage answers 418"),
        RuntimeError("nobody foresaw this"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_an_unread_claim_check_is_never_dead_lettered(failure) -> None:
    """While its blob cannot be read an event is only a pointer, and goes back at whatever age and count."""
    world = World()
    with world.store.refusing():
        await world.score(item_of(1, pad=LARGE))
    [pointer] = world.queue.items
    world.queue.messages.clear()
    pointer.queued_at = ago(days=30)
    queue(world, pointer, unexpected=2)
    world.blobs.reads_refuse = failure
    for _ in range(4):
        await world.retry()
    assert not world.blobs.dead_letters
    world.blobs.reads_refuse = None
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [], "dead": []}


async def test_an_unread_pending_dead_letter_is_not_written_without_its_body() -> None:
    """A pending dead letter whose blob does not answer waits on, also when the queue refuses at first."""
    world = World(budget=60)
    with world.blobs.refusing(), world.store.refusing():
        await world.score(item_of(1, b"{"))
    [item] = world.queued
    item.body = b"{" + LARGE.encode()
    world.queue.messages.clear()
    await world.placing.enqueue([Delayed(item, 1.0)])
    assert [pointer.is_pointer for pointer in world.queue.items] == [True]
    world.blobs.reads_refuse = OUT

    class Once:
        refused = False

    send = world.queue.send

    async def refuse_once(message, delay):
        if not Once.refused:
            Once.refused = True
            raise OUT
        await send(message, delay)

    world.queue.send = refuse_once  # type: ignore[method-assign]
    backoff_cap = backoff.HOLD_CAP
    try:
        backoff.HOLD_CAP = 0.0
        await world.retry()
    finally:
        backoff.HOLD_CAP = backoff_cap
    assert Once.refused
    assert not world.blobs.dead_letters
    world.blobs.reads_refuse = None
    await world.retry()
    [letter] = world.blobs.letters
    assert letter.item.body == item.body


async def test_a_claim_check_that_is_gone_comes_back_from_the_hub() -> None:
    """Where the blob is gone the hub's event is taken; where that is gone too, the dead letter says so."""
    world = World()
    with world.store.refusing():
        await world.score(item_of(1, pad=LARGE), item_of(2, pad=LARGE))
    world.blobs.claim_checks.clear()
    world.hub.events["0", 1] = HubEvent(body_of(1, pad=LARGE), {}, source_of(1))
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [], "dead": [2]}
    assert world.blobs.letters[0].item.reason == "body expired"


async def test_a_body_that_takes_too_long_waits_and_its_neighbours_are_stored() -> None:
    """Bodies that are not read within the time for it go back into the queue; what was read goes on."""
    world = World(time_budget=6.0)

    async def never(_source):
        await asyncio.Event().wait()

    world.hub.fetch = never
    pointer = Item(blob="items/gone.json", source=source_of(1), attempts=1)
    queue(world, pointer, item_of(2))
    [summary] = await world.retry()
    assert (summary.stored, summary.queued) == (1, 1)
    [waiting] = world.queue.items
    assert (waiting.blob, waiting.reason, waiting.attempts) == ("items/gone.json", "claim check not read", 2)


async def test_an_event_from_the_hub_is_not_looked_for_again_when_it_fails() -> None:
    """Once its body is there an item carries it on by itself, whatever fails next."""
    world = World()
    with world.store.refusing():
        await world.score(item_of(1, pad=LARGE))
    world.blobs.claim_checks.clear()
    world.hub.events["0", 1] = HubEvent(body_of(1, pad=LARGE), {}, source_of(1))
    with world.store.refusing():
        await world.retry()
    world.hub.events.clear()
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [], "dead": []}


async def test_records_of_a_large_body_are_each_their_own_from_then_on() -> None:
    """A body behind a claim check is unwrapped once; its failing records go on alone, none multiplied."""
    world = World(stream=stream_of(unwrap="array"))
    records = [body_of(0, pad=LARGE), body_of(1), body_of(2, pad=LARGE), body_of(3)]
    whole = item_of(7, b"[" + b",".join(records) + b"]")
    with world.store.refusing():
        await world.score(whole, retry=_unread())
        assert [item.unwrapped for item in world.queued] == [False]
        [summary] = await world.retry()
        assert summary.queued == 4
        for _ in range(3):
            await world.retry()
        assert sorted(item.source.index for item in world.queue.items) == [0, 1, 2, 3]
        assert {item.source.index: item.body for item in world.queued} == dict(enumerate(records))
    await world.retry()
    assert len(world.stored) == 4
    assert not world.queue.messages


async def test_a_crash_amid_the_records_of_a_large_body_loses_none() -> None:
    """Though a record got a claim check of its own, the body's message still finds all records."""
    world = World(stream=stream_of(unwrap="array"))
    records = [body_of(0, pad=LARGE), body_of(1), body_of(2)]
    await world.score(item_of(7, b"[" + b",".join(records) + b"]"), retry=_unread())
    with world.store.refusing(), world.queue.refusing(), pytest.raises(NoPlaceAnswersError):
        await world.retry()
    await world.retry()
    assert sorted(world.stored) == ["id-0", "id-1", "id-2"]


async def test_a_message_that_no_place_takes_stays() -> None:
    """Where neither store nor queue answers the call raises, and the message comes again."""
    world = World()
    queue(world, item_of(1))
    with world.store.refusing(), world.queue.refusing(), pytest.raises(NoPlaceAnswersError):
        await world.retry()
    assert world.sequence_numbers()["queued"] == [1]
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [], "dead": []}


async def test_it_holds_within_its_budget_before_it_raises(monkeypatch) -> None:
    """While its time budget lasts it asks again, so that a dequeue count climbs by crashes alone."""
    monkeypatch.setattr(backoff, "HOLD_CAP", 0.0)
    world = World(budget=60)
    queue(world, item_of(1))
    world.store.refuses = world.queue.refuses = OUT
    asked = 0
    pause = asyncio.sleep

    async def recover(_: float) -> None:
        nonlocal asked
        asked += 1
        if asked == 100:
            world.queue.refuses = None
        await pause(0)

    monkeypatch.setattr(asyncio, "sleep", recover)
    await world.retry()
    assert world.sequence_numbers()["queued"] == [1]
    assert asked >= 100


async def test_a_redriven_letter_is_removed_once_its_event_has_a_new_end() -> None:
    """Stored at last, an event leaves no dead letter behind; one that fails again keeps just the new one."""
    world = World()
    await world.score(item_of(1, pk=None), item_of(2, b"{"))
    names = {letter.item.source.sequence_number: name for name, letter in _letters(world).items()}
    good, bad = item_of(1), item_of(2, b"{")
    good.letter, bad.letter = names[1], names[2]
    queue(world, good, bad)
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [], "dead": [2]}


async def _fails_anew(world: World, item: Item) -> None:
    item.body = b"{"
    queue(world, item)
    await world.retry()


async def _waits_for_the_letters_to_answer(world: World, item: Item) -> None:
    item.dead_letter = True
    queue(world, item)
    world.blobs.letters_refuse = OUT
    await world.retry()
    assert [each.letter for each in world.queue.items] == ["old/name.json"], "it is still the only letter"
    world.blobs.letters_refuse = None
    await world.retry()


async def _kills_the_worker(world: World, item: Item) -> None:
    world.blobs.claim_checks[suspect_name(item)] = b"3"
    queue(world, item)
    await world.retry(dequeue_count=3)


async def _is_given_up_in_the_poison_queue(world: World, item: Item) -> None:
    queue(world, item, crashes=2)
    [(message, _)] = world.queue.messages
    world.queue.messages.clear()
    world.poison.put(base64.b64encode(message).decode())
    await world.keep()


@pytest.mark.parametrize(
    "ends",
    [_fails_anew, _waits_for_the_letters_to_answer, _kills_the_worker, _is_given_up_in_the_poison_queue],
)
async def test_a_redriven_event_that_ends_in_the_letters_again_has_one_letter(ends) -> None:
    """However it comes to that, the letter that it was redriven from goes, also where an earlier release named
    it otherwise; and it goes last.
    """
    world = World()
    item = item_of(1)
    item.letter = "old/name.json"
    world.blobs.dead_letters[item.letter] = encode_dead_letter(DeadLetter(item=item, failed_at=ago()))
    await ends(world, item)
    assert list(world.blobs.dead_letters) == [blob_name(item_of(1))]
    assert not world.queue.messages


async def test_a_letter_that_cannot_be_removed_has_its_event_come_again() -> None:
    """The new letter is there; the event waits as one to be written again until the old one is gone."""
    world = World()
    item = item_of(1, b"{")
    item.letter = "old/name.json"
    world.blobs.dead_letters[item.letter] = encode_dead_letter(DeadLetter(item=item, failed_at=ago()))
    queue(world, item)
    remove = world.blobs.delete_dead_letter

    async def refuse(_: str) -> None:
        raise OUT

    world.blobs.delete_dead_letter = refuse  # type: ignore[method-assign]
    await world.retry()
    assert len(world.blobs.dead_letters) == 2
    assert [each.dead_letter for each in world.queue.items] == [True]
    world.blobs.delete_dead_letter = remove  # type: ignore[method-assign]
    await world.retry()
    assert list(world.blobs.dead_letters) == [blob_name(item)]


async def test_hole_13_while_a_letter_cannot_be_removed_nothing_is_sent_again() -> None:
    """The message comes again for that letter; the next tries of its other events are sent once, with the last."""
    world = World()
    stored, failing = item_of(1), item_of(2, bomb=True)
    stored.letter = "old/name.json"
    queue(world, stored, failing)
    messages = list(world.queue.messages)
    world.blobs.letters_refuse = OUT
    for _ in range(3):
        with pytest.raises(NoPlaceAnswersError, match="cannot be removed"):
            await world.retry()
        assert world.queue.messages == messages
    world.blobs.letters_refuse = None
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [2], "dead": []}


async def test_a_redriven_body_of_records_keeps_the_letters_of_its_records() -> None:
    """A record's new dead letter, though named as the body's was, is not removed by its neighbours."""
    world = World(stream=stream_of(unwrap="array"))
    whole = item_of(7, b"[" + body_of(0, pk=None) + b"," + body_of(1) + b"," + body_of(2) + b"]")
    whole.letter = "2026/11/25/10/3000-events-0-7-0.json"
    world.blobs.dead_letters[whole.letter] = encode_dead_letter(DeadLetter(item=whole, failed_at=ago()))
    queue(world, whole)
    with world.store.refusing():
        await world.retry()
    await world.retry()
    [letter] = world.blobs.letters
    assert (letter.item.body, letter.item.unwrapped) == (body_of(0, pk=None), True)
    assert len(world.stored) == 2


async def test_events_of_an_unreadable_age_are_young() -> None:
    """A queuedAt that is no time neither raises nor makes an event old."""
    world = World()
    queue(world, item_of(1), queued_at="yesterday")
    with world.store.refusing():
        await world.retry()
    assert world.sequence_numbers()["queued"] == [1]


@pytest.mark.parametrize("queued_at", ["yesterday", "2602-11-25T10:31:00.000Z", None])
async def test_an_age_that_is_unknown_or_not_yet_begins_with_the_next_try(queued_at: str | None) -> None:
    """An event whose queuedAt is no time, or one that no clock has reached, is given up in the end as any other."""
    world = World(give_up=timedelta(0), brake=timedelta(0))
    item = item_of(1)
    queue(world, item, braked=BRAKED)
    item.queued_at = queued_at
    world.queue.messages = [(pack([item])[0][0].message, 0.0)]
    with world.store.refusing():
        await world.retry()
        await world.retry()
    assert world.sequence_numbers()["dead"] == [1]
    assert world.blobs.letters[0].item.reason == "gave up"
    world = World()
    world.queue.messages = [(pack([item])[0][0].message, 0.0)]
    with world.store.refusing():
        await world.retry()
    [waiting] = world.queue.items
    assert ago(minutes=1) < (waiting.queued_at or "") <= ago()


async def test_unknown_fields_of_an_envelope_are_no_hindrance() -> None:
    """An envelope of this schema with a field more is read."""
    world = World()
    item = {**msgspec.to_builtins(item_of(1)), "extra": {"a": 1}}
    message = msgspec.json.encode({"schema": 1, "items": [item], "extra": {"a": 1}})
    world.queue.messages = [(message, 0.0)]
    await world.retry()
    assert world.sequence_numbers()["stored"] == [1]


async def test_a_permanent_failure_of_the_store_becomes_a_dead_letter() -> None:
    """What the store refuses for good is dead-lettered from the retry queue as well."""
    world = World()
    queue(world, item_of(1))
    with world.store.refusing(Permanent(Stage.STORE, "refused by the store")):
        await world.retry()
    assert world.sequence_numbers()["dead"] == [1]


async def test_a_transient_failure_keeps_its_history() -> None:
    """Earlier failures stay readable in the item, oldest first."""
    world = World()
    queue(world, item_of(1))
    for reason in ("first", "second", "second", "third"):
        with world.store.refusing(Transient(Stage.STORE, reason)):
            await world.retry()
    [item] = world.queued
    assert [step.reason for step in item.history] == ["first", "second"]
    assert (item.reason, item.attempts) == ("third", 4)


def _unread():
    from everscore.flow.score_events import RetryState

    return RetryState(6, endless=True, previous="Exit code 139")


def _letters(world: World):
    return dict(zip(sorted(world.blobs.dead_letters), world.blobs.letters, strict=True))


async def test_bodies_in_the_message_wait_for_no_memory_of_others() -> None:
    """A message without claim checks is not held up by those that wait for memory to read theirs."""
    world = World(claimed=1_000)
    share = await world.claimed.share(1_000)
    first_in_line = asyncio.create_task(world.claimed.share(1_000))
    await asyncio.sleep(0)
    await world.placing.enqueue([Delayed(item_of(1), 1.0)])
    async with asyncio.timeout(60):
        await world.retry()
    assert list(world.stored) == ["id-1"]
    share.close()
    (await first_in_line).close()


async def test_what_was_not_tried_is_accounted_for_after_an_empty_slice() -> None:
    """An own decoder that gives fewer records when asked again loses nothing that came in the same message."""
    answers = iter([2])
    world = World(
        stream=stream_of(unwrap="array"),
        hook=lambda bodies: [[payload_of(n) for n in range(next(answers, 1))] for _ in bodies],
        memory=1,
    )
    pending = Item(body=b"pending", source=source_of(9), dead_letter=True)
    await world.placing.enqueue([Delayed(item_of(1, b"own"), 1.0), Delayed(pending, 1.0)])
    await world.retry()
    assert list(world.stored) == ["id-0"]
    assert [letter.item.body for letter in world.blobs.letters] == [b"pending"]


async def test_a_letter_whose_removal_meets_an_unforeseen_error_keeps_the_message() -> None:
    """It is tried again like any other refusal, and ends as no exception that nobody knows."""
    world = World()
    await world.placing.enqueue([Delayed(_redriven(), 1.0)])
    world.blobs.letters_refuse = RuntimeError("nobody foresaw this")
    with pytest.raises(NoPlaceAnswersError, match="nobody foresaw this"):
        await world.retry()
    world.blobs.letters_refuse = None
    await world.retry()
    assert list(world.stored) == ["id-1"]


def _redriven() -> Item:
    item = item_of(1)
    item.letter = "old"
    return item
