"""The poison queue, emptied before its messages vanish."""

from __future__ import annotations

import asyncio
import base64

import pytest

from everscore.clock.deadline import Deadline
from everscore.event.item import Item
from everscore.failures import Transient
from everscore.retry.packing import pack
from tests.fakes import LARGE, OUT, World, ago, body_of, item_of


def poison(world: World, *items: Item) -> None:
    """Put items into one message of the poison queue."""
    [packed], _ = pack(items)
    world.poison.put(base64.b64encode(packed.message).decode())


async def test_an_empty_queue_is_nothing() -> None:
    """Without messages nothing is counted, and nothing is written."""
    world = World()
    summary = await world.keep()
    assert summary.received == 0
    assert not world.queue.messages


async def test_a_message_is_split_and_each_item_goes_back_alone() -> None:
    """Each item of a readable envelope goes back by itself, one crash more to its name."""
    world = World()
    poison(world, item_of(1), item_of(2), item_of(3))
    summary = await world.keep()
    assert (summary.received, summary.queued) == (3, 3)
    assert len(world.queue.messages) == 3
    assert [item.crashes for item in world.queue.items] == [1, 1, 1]
    assert len(world.poison.deleted) == 1
    await world.retry()
    assert world.sequence_numbers()["stored"] == [1, 2, 3]


@pytest.mark.parametrize(("crashes", "dead"), [(1, False), (2, True)])
async def test_at_the_third_crash_an_item_is_dead_lettered(crashes, dead) -> None:
    """Three times in the poison queue is enough; a neighbour with fewer goes back."""
    world = World()
    guilty, neighbour = item_of(1), item_of(2)
    guilty.crashes = crashes
    poison(world, guilty, neighbour)
    await world.keep()
    assert world.sequence_numbers()["dead"] == ([1] if dead else [])
    assert 2 in world.sequence_numbers()["queued"]
    if dead:
        [letter] = world.blobs.letters
        assert (letter.item.reason, letter.item.body) == ("crashes the worker", body_of(1))


@pytest.mark.parametrize(
    ("queued_at", "old"),
    [(ago(days=6.9), False), (ago(days=7.1), True), ("garbled", False), (None, False)],
    ids=["younger", "older", "garbled", "unknown"],  # not the times themselves: each xdist worker has its own
)
async def test_hole_19_past_the_give_up_age_an_item_has_one_last_try(queued_at, old) -> None:
    """It goes back once, whatever its age; here again without having come through, it is given up, no crash."""
    world = World()
    item = item_of(1)
    item.queued_at = queued_at
    poison(world, item)
    await world.keep()
    assert not world.blobs.dead_letters
    assert len(world.poison.deleted) == 1
    [again] = world.queue.items
    world.queue.messages.clear()
    poison(world, again)
    await world.keep()
    assert [letter.item.reason for letter in world.blobs.letters] == ["gave up"] * old
    assert len(world.queue.items) == (not old)


async def test_hole_19_the_last_try_of_an_old_event_stores_it() -> None:
    """An event that is only old, and stored by its last try, is no dead letter."""
    world = World()
    item = item_of(1)
    item.queued_at = ago(days=30)
    poison(world, item)
    await world.keep()
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [], "dead": []}


async def test_a_claim_check_comes_back_for_its_dead_letter() -> None:
    """The body of a dead letter is inline; while its blob does not answer, the event goes back to the queue."""
    world = World()
    with world.store.refusing():
        await world.score(item_of(1, pad=LARGE))
    [pointer] = world.queue.items
    world.queue.messages.clear()
    pointer.crashes = 2
    poison(world, pointer)
    world.blobs.reads_refuse = OUT
    await world.keep()
    assert len(world.poison.deleted) == 1
    assert not world.blobs.dead_letters
    assert [(item.blob, item.crashes) for item in world.queue.items] == [(pointer.blob, 3)]
    world.blobs.reads_refuse = None
    poison(world, pointer)
    await world.keep()
    [letter] = world.blobs.letters
    assert letter.item.body == body_of(1, pad=LARGE)


@pytest.mark.parametrize("refusal", [OUT, RuntimeError("nobody foresaw this")])
async def test_a_body_out_of_reach_keeps_no_neighbour_in_the_poison_queue(refusal) -> None:
    """A message expires there after 7 days: one blob that cannot be read does not take the others with it."""
    world = World()
    pointer = Item(blob="items/locked.json", crashes=2, source=item_of(2).source)
    poison(world, item_of(1), pointer, item_of(3))
    world.blobs.reads_refuse = refusal
    summary = await world.keep()
    assert (summary.received, summary.queued, len(world.poison.deleted)) == (3, 3, 1)
    assert world.sequence_numbers()["queued"] == [1, 2, 3]


async def test_a_hub_that_never_answers_leaves_time_to_send_the_event_back() -> None:
    """A body looked for in the hub is waited for only as long as the queue can still take the event back."""
    world = World()
    poison(world, Item(blob="items/gone.json", crashes=2, source=item_of(1).source))

    async def silent(_):
        await asyncio.Event().wait()

    world.hub.fetch = silent  # type: ignore[method-assign]
    await world.keep(seconds=4)
    assert world.sequence_numbers()["queued"] == [1]


async def test_a_refused_dead_letter_waits_where_nothing_expires() -> None:
    """It goes into the retry queue with its neighbours, once, and is written when the dead letters answer."""
    world = World()
    spent = item_of(4)
    spent.crashes = 2
    poison(world, item_of(1), item_of(2), item_of(3), spent)
    world.blobs.letters_refuse = OUT
    for _ in range(10):
        await world.keep()
        world.poison.end_leases()
    assert world.sequence_numbers() == {"stored": [], "queued": [1, 2, 3, 4], "dead": []}
    assert len(world.poison.deleted) == 1
    *neighbours, pending = world.queue.messages
    world.queue.messages = [pending]
    world.blobs.refuses = OUT  # nor could a mark be written: there is none to be
    await world.retry()
    assert world.sequence_numbers()["queued"] == [4]
    world.queue.messages += neighbours
    world.blobs.refuses = world.blobs.letters_refuse = None
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1, 2, 3], "queued": [], "dead": [4]}
    [letter] = world.blobs.letters
    assert letter.item.reason == "crashes the worker"


async def test_a_refused_letter_of_what_is_no_message_waits_where_nothing_expires() -> None:
    """The bytes of a foreign message go into the retry queue as they are, and from there to the dead letters."""
    world = World()
    world.poison.put("words")
    world.blobs.letters_refuse = OUT
    await world.keep()
    assert not world.poison.left
    world.blobs.letters_refuse = None
    await world.retry()
    [letter] = world.blobs.letters
    assert (letter.item.body, letter.item.reason) == (b"words", "poison message unreadable")


async def test_a_page_is_left_when_the_time_is_over(monkeypatch) -> None:
    """A slow page does not run into the next run of the timer: what is not reached appears again by itself."""
    world = World()
    for number in range(5):
        poison(world, item_of(number))
    budget = Deadline.after(3600)
    send = world.queue.send

    async def last_of_the_time(message, delay):
        await send(message, delay)
        monkeypatch.setattr(Deadline, "passed", True)

    world.queue.send = last_of_the_time  # type: ignore[method-assign]
    await world.keeper.empty_poison_queue(budget)
    assert [message.id for message in world.poison.deleted] == ["m0"]
    assert world.sequence_numbers()["queued"] == [0]


async def test_a_body_that_is_gone_is_said() -> None:
    """Where neither blob nor hub has it, the dead letter says that the body expired."""
    world = World()
    pointer = Item(blob="items/gone.json", crashes=2, source=item_of(1).source)
    poison(world, pointer)
    await world.keep()
    [letter] = world.blobs.letters
    assert letter.item.reason == "body expired"


async def test_a_newer_schema_goes_back_as_it_is() -> None:
    """A message of a newer release is put back unchanged."""
    world = World()
    message = b'{"schema":3,"items":"other"}'
    world.poison.put(base64.b64encode(message).decode())
    await world.keep()
    assert [sent for sent, _ in world.queue.messages] == [message]
    assert len(world.poison.deleted) == 1


@pytest.mark.parametrize(
    "text", ["plain words", "%%%", "", "aGVsbG8=", "aGVsbG8", "é", base64.b64encode(b'{"schema":1}').decode()]
)
async def test_anything_else_is_dead_lettered_byte_for_byte(text) -> None:
    """What is no base64 or no envelope is kept as it lay there."""
    world = World()
    world.poison.put(text)
    await world.keep()
    [letter] = world.blobs.letters
    assert letter.item.body == text.encode()
    assert letter.item.reason == "poison message unreadable"
    assert len(world.poison.deleted) == 1


@pytest.mark.parametrize("refusal", [OUT, RuntimeError("nobody foresaw this")])
async def test_a_message_that_cannot_be_moved_stays_and_stops_no_other(refusal) -> None:
    """Only then is a message deleted; one that stays harms none of its neighbours."""
    world = World()
    poison(world, item_of(1))
    world.poison.put(LARGE)  # no message, and too much for one without a claim check
    poison(world, item_of(2))
    world.blobs.refuses = refusal
    await world.keep()
    assert [message.id for message in world.poison.deleted] == ["m0", "m2"]
    assert [message.id for message in world.poison.released] == ["m1"]
    assert world.sequence_numbers()["queued"] == [1, 2]
    with world.queue.refusing(refusal):
        poison(world, item_of(3))
        await world.keep()
    assert len(world.poison.deleted) == 2


async def test_one_message_that_meets_a_fault_of_ours_harms_no_other(monkeypatch) -> None:
    """An exception nobody foresaw, while one message is moved, leaves that one and moves the rest."""
    world = World()
    poison(world, item_of(1))
    poison(world, item_of(2))
    enqueue = world.placing.enqueue

    async def fragile(delayed, **options):
        if delayed[0].item.source.sequence_number == 1:
            raise ZeroDivisionError
        return await enqueue(delayed, **options)

    monkeypatch.setattr(world.placing, "enqueue", fragile)
    await world.keep()
    assert [message.id for message in world.poison.deleted] == ["m1"]


async def test_a_message_that_is_moved_but_not_deleted_is_no_loss() -> None:
    """A crash between the two leaves the event twice, which identity makes harmless."""
    world = World()
    poison(world, item_of(1))

    async def lost(_):
        raise Transient(OUT.stage, "lost")

    delete = world.poison.delete
    world.poison.delete = lost  # type: ignore[method-assign]
    await world.keep()
    world.poison.delete = delete  # type: ignore[method-assign]
    poison(world, item_of(1))
    await world.keep()
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [], "dead": []}
    assert world.store.accepted == [("p", "id-1")]


async def test_it_goes_on_until_the_queue_is_empty_or_its_time_is_over() -> None:
    """Page after page within its budget; without budget nothing is begun."""
    world = World()
    world.poison.page = 2
    for number in range(7):
        poison(world, item_of(number))
    await world.keep(seconds=0)
    assert not world.poison.deleted
    await world.keep()
    assert len(world.poison.deleted) == 7


async def test_an_unreadable_poison_queue_is_a_failure() -> None:
    """When the queue itself does not answer, the caller is told."""
    world = World()
    with world.poison.refusing(), pytest.raises(Transient):
        await world.keep()
