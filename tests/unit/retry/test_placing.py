"""Places for events that are not stored."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everscore.event.item import Item
from everscore.failures import Stage, Unexpected
from everscore.retry import packing, placing
from everscore.retry.claim_checks import decode_item
from everscore.retry.placing import PARALLEL, REFUSALS, Delayed, Placing
from tests.fakes import LARGE, OUT, FakeBlobs, FakeQueue, World, item_of, source_of
from tests.support.items import incompressible


def bodies(world: World) -> list[bytes]:
    """The bodies of everything in the queue, claim checks read."""
    return sorted(item.body for item in world.queued)


SIZES = st.lists(st.integers(0, 3_000) | st.integers(30_000, 80_000), max_size=8)


@settings(max_examples=40)
@given(SIZES, st.lists(st.floats(0, 4), min_size=8, max_size=8), st.booleans())
def test_every_item_is_in_the_queue_once(sizes, delays, alone) -> None:
    """Whatever their sizes and delays, all items are in messages that the service takes, none twice."""

    async def scenario() -> None:
        world = World()
        items = [
            Item(body=incompressible(place, size), source=source_of(place))
            for place, size in enumerate(sizes)
        ]
        unplaced = await world.placing.enqueue(
            [Delayed(item, delay) for item, delay in zip(items, delays, strict=False)], alone=alone
        )
        assert unplaced == []
        assert bodies(world) == sorted(item.body for item in items)
        wanted = {item.source.sequence_number: math.ceil(delays[place]) for place, item in enumerate(items)}
        for message, delay in world.queue.messages:
            assert len(base64.b64encode(message)) < 64 * 1024
            one = World()
            one.queue.messages = [(message, delay)]
            assert {wanted[item.source.sequence_number] for item in one.queue.items} == {delay}
            assert not alone or len(one.queue.items) == 1

    asyncio.run(scenario())


@settings(max_examples=40)
@given(SIZES, st.sets(st.integers(0, 12)), st.booleans())
def test_what_no_place_took_comes_back(sizes, refused, blobs_refuse) -> None:
    """Each item is in the queue or among those that came back, with its body, never both and never neither."""

    async def scenario() -> None:
        world = World()
        sends = 0
        send = world.queue.send

        async def sometimes(message, delay):
            nonlocal sends
            sends += 1
            if sends in refused:
                raise OUT
            await send(message, delay)

        world.queue.send = sometimes  # type: ignore[method-assign]
        world.blobs.refuses = OUT if blobs_refuse else None
        items = [
            Item(body=incompressible(place, size), source=source_of(place))
            for place, size in enumerate(sizes)
        ]
        unplaced = await world.placing.enqueue([Delayed(item, place % 3) for place, item in enumerate(items)])
        assert all(not one.item.is_pointer for one in unplaced)
        back = [one.item.source.sequence_number for one in unplaced]
        queued = [item.source.sequence_number for item in world.queue.items]
        assert sorted(back + queued) == list(range(len(sizes)))
        assert {one.item.source.sequence_number: one.delay for one in unplaced} == {
            place: place % 3 for place in back
        }

    asyncio.run(scenario())


@pytest.mark.parametrize("place", ["dead letters", "claim checks", "queue"])
async def test_a_place_out_of_reach_is_not_asked_hundreds_of_times(place) -> None:
    """One round of requests finds out: each further one would cost a time-out, and nothing would be placed."""
    world = World()
    asked = 0

    async def silent(*_):
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        raise OUT.with_traceback(None)

    world.blobs.put_dead_letter = silent  # type: ignore[method-assign]
    world.blobs.put_claim_check = silent  # type: ignore[method-assign]
    world.queue.send = silent  # type: ignore[method-assign]
    items = [item_of(number, pad=LARGE * (place == "claim checks")) for number in range(200)]
    if place == "dead letters":
        assert await world.placing.dead_letter(items) == items
    else:
        unplaced = await world.placing.enqueue([Delayed(item, 1.0) for item in items], alone=True)
        assert [one.item for one in unplaced] == items
    assert asked < PARALLEL + REFUSALS


@pytest.mark.parametrize("place", ["put_dead_letter", "put_claim_check", "send"])
async def test_a_place_that_refuses_now_and_then_is_asked_for_each_item(place) -> None:
    """Single refusals, between which others are taken, leave no item untried."""
    world = World()
    asked = 0
    owner = world.queue if place == "send" else world.blobs
    take = getattr(owner, place)

    async def fickle(*arguments):
        nonlocal asked
        asked += 1
        if asked % 2:
            await asyncio.sleep(0)
            raise OUT.with_traceback(None)
        await take(*arguments)

    setattr(owner, place, fickle)
    items = [item_of(number, pad=LARGE * (place == "put_claim_check")) for number in range(200)]
    if place == "put_dead_letter":
        await world.placing.dead_letter(items)
    else:
        await world.placing.enqueue([Delayed(item, 1.0) for item in items], alone=True)
    assert asked == 200


@pytest.mark.parametrize("refusal", [Unexpected(Stage.RETRY, "storage answers 400"), RuntimeError("boom")])
@pytest.mark.parametrize("place", ["put_dead_letter", "put_claim_check", "send"])
async def test_what_a_place_says_of_some_items_is_no_reason_to_leave_the_others(place, refusal) -> None:
    """Refusals that may be the items' own, however many in a row, stop none of their neighbours."""
    world = World()
    owner = world.queue if place == "send" else world.blobs
    take = getattr(owner, place)
    guilty = 2 * REFUSALS

    async def take_others(*arguments):
        nonlocal guilty
        if guilty:
            guilty -= 1
            raise refusal
        await take(*arguments)

    setattr(owner, place, take_others)
    items = [item_of(number, pad=LARGE * (place == "put_claim_check")) for number in range(50)]
    if place == "put_dead_letter":
        back = await world.placing.dead_letter(items)
        placed = len(world.blobs.letters)
    else:
        back = [
            one.item
            for one in await world.placing.enqueue([Delayed(item, 1.0) for item in items], alone=True)
        ]
        placed = len(world.queue.items)
    assert back == items[: 2 * REFUSALS]
    assert placed == 50 - 2 * REFUSALS


async def test_an_item_whose_pointer_no_message_holds_comes_back() -> None:
    """What is too large even without its body, as only a message by hand can be, is not lost in silence."""
    world = World()
    item = Item(body=b"x", letter=LARGE, source=source_of(1))
    assert await world.placing.enqueue([Delayed(item, 1.0)]) == [Delayed(item, 1.0)]
    assert not world.queue.messages


async def test_a_pointer_is_sent_again_without_a_new_blob() -> None:
    """An unread claim check goes back as it is: its blob is not overwritten with a pointer."""
    world = World()
    await world.placing.enqueue([Delayed(Item(body=LARGE.encode(), source=source_of(1)), 0)])
    [pointer] = world.queue.items
    before = dict(world.blobs.claim_checks)
    pointer.exception = LARGE  # far beyond what ever happens: even then
    world.queue.messages.clear()
    assert await world.placing.enqueue([Delayed(pointer, 0)]) == []
    assert world.blobs.claim_checks == before
    assert bodies(world) == [LARGE.encode()]


@pytest.mark.parametrize("place", [{"unwrapped": True}, {"record_index": 0}])
async def test_records_and_their_body_have_blobs_of_their_own(place) -> None:
    """The first record of a body never overwrites the claim check of the body that it came from."""
    world = World()
    whole = Item(body=b"w" + LARGE.encode(), source=source_of(1))
    record = Item(body=b"r" + LARGE.encode(), source=source_of(1), **place)
    await world.placing.enqueue([Delayed(whole, 0), Delayed(record, 0)])
    assert bodies(world) == [b"r" + LARGE.encode(), b"w" + LARGE.encode()]
    assert len(world.blobs.claim_checks) == 2


async def test_dead_letters_that_were_refused_come_back() -> None:
    """Exactly those that the blobs did not take."""
    blobs, queue = FakeBlobs(), FakeQueue()
    placing = Placing(queue, blobs)
    items = [item_of(number) for number in range(4)]
    put = blobs.put_dead_letter

    async def sometimes(name, data, metadata):
        if "-2-" in name:
            raise OUT
        await put(name, data, metadata)

    blobs.put_dead_letter = sometimes  # type: ignore[method-assign]
    assert [item.source.sequence_number for item in await placing.dead_letter(items)] == [2]
    assert len(blobs.letters) == 3


async def test_a_dead_letter_written_twice_is_one() -> None:
    """A repeat overwrites: its name follows from the event's place alone."""
    world = World()
    for _ in range(2):
        await world.placing.dead_letter([item_of(1)])
    assert len(world.blobs.dead_letters) == 1


async def test_metadata_is_what_headers_can_hold() -> None:
    """A reason in any script is written; what is empty is left out."""
    world = World()
    item = Item(body=b"x", stage="decode", reason="Größe\n€\ud800")
    assert await world.placing.dead_letter([item]) == []
    [metadata] = world.blobs.metadata.values()
    assert metadata["reason"] == "Gr??e???"
    assert set(metadata) == {"stage", "reason", "failedat"}


async def test_hole_09_events_of_two_partitions_have_a_letter_each() -> None:
    """Of two events with equal numbers and times, whose partitions are unknown, each has its dead letter and
    its claim check.
    """
    world = World()
    items = [
        Item(body=body + incompressible(1, 80_000), source=source_of(1, partition=None), properties={"n": 1})
        for body in (b"a", b"b")
    ]
    assert await world.placing.enqueue([Delayed(item, 0) for item in items]) == []
    assert {check.body for check in map(decode_item, world.blobs.claim_checks.values())} == {
        item.body for item in items
    }
    assert await world.placing.dead_letter(items) == []
    assert {letter.item.body for letter in world.blobs.letters} == {item.body for item in items}


async def test_dead_letters_hold_what_was_made_of_an_event() -> None:
    """Identity, scores and history travel with a dead letter, for a redrive."""
    world = World()
    with world.store.refusing():
        await world.score(item_of(1))
    [item] = world.queued
    await world.placing.dead_letter([item])
    [letter] = world.blobs.letters
    assert letter.item == item


async def test_a_dead_letter_points_nowhere() -> None:
    """Its body is inline, so that it outlives the claim check that the body once lay in."""
    world = World()
    item = Item(body=b"x", blob="items/x.json", dead_letter=True, source=source_of(1))
    assert await world.placing.dead_letter([item]) == []
    [letter] = world.blobs.letters
    assert (letter.item.body, letter.item.blob, letter.item.dead_letter) == (b"x", None, False)


async def test_an_item_that_has_no_name_or_form_leaves_its_neighbours_alone(monkeypatch) -> None:
    """What cannot be named or encoded comes back as not placed, and nothing is raised."""
    world = World()
    odd, good = item_of(1), item_of(2)
    for name in ("blob_name", "claim_check_name"):
        real = getattr(placing, name)
        monkeypatch.setattr(placing, name, _failing(real, odd))
    monkeypatch.setattr(packing, "encode_item", _failing(packing.encode_item, odd))
    assert await world.placing.dead_letter([odd, good]) == [odd]
    assert [letter.item.source for letter in world.blobs.letters] == [good.source]
    assert await world.placing.enqueue([Delayed(odd, 1.0), Delayed(good, 1.0)]) == [Delayed(odd, 1.0)]
    assert [item.source for item in world.queue.items] == [good.source]


def _failing(real: Callable[..., Any], odd: Item) -> Callable[..., Any]:
    def call(item: Item, **arguments: Any) -> Any:
        if item is odd:
            raise TypeError("nobody foresaw this")
        return real(item, **arguments)

    return call
