"""Messages filled with items: below the limit, in order, none lost, and as few as can be."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from everscore.event.item import Item
from everscore.failures import Stage
from everscore.retry.envelope import UNPACKED_LIMIT, decode_envelope, encode_envelope, encode_item
from everscore.retry.packing import MESSAGE_LIMIT, Packed, pack
from tests.support.items import ITEMS, incompressible, waiting

# What a storage queue takes; its text is the message in base64.
QUEUE_LIMIT = 64 * 1024


def check(messages: list[Packed], too_large: list[Item], items: list[Item]) -> None:
    """Every item is in one message or named as too large, and no message is more than the queue takes."""
    for packed in messages:
        assert len(base64.b64encode(packed.message)) < QUEUE_LIMIT
        assert decode_envelope(packed.message).items == packed.items
    placed = [id(item) for packed in messages for item in packed.items]
    large = {id(item) for item in too_large}
    assert placed == [id(item) for item in items if id(item) not in large]
    assert len(placed) + len(too_large) == len(items)


@settings(max_examples=60)
@given(st.lists(ITEMS, max_size=12))
def test_packing_stays_below_the_limit_and_loses_nothing(items: list[Item]) -> None:
    """Every item is in exactly one message, in order, or named as too large; no message is over 64 KiB."""
    messages, too_large = pack(items)
    check(messages, too_large, items)
    for item in too_large:
        assert len(encode_envelope([encode_item(item)])) > MESSAGE_LIMIT


@settings(max_examples=30)
@given(
    st.lists(
        st.integers(0, 3_000) | st.sampled_from([30_000, 34_000, 40_000, 2_200_000]), min_size=1, max_size=60
    ),
    st.integers(0, 2**32),
)
@example([0] * 59 + [2_200_000], 1)
@example([2_200_000, *[20] * 50, 34_000], 1)
def test_items_of_all_sizes_that_no_compression_helps(sizes: list[int], seed: int) -> None:
    """However small and large ones are mixed, what fits into a message is in one."""
    items = [Item(body=incompressible(seed + place, size)) for place, size in enumerate(sizes)]
    messages, too_large = pack(items)
    check(messages, too_large, items)
    assert {len(item.body) for item in too_large} <= {40_000, 2_200_000}


def test_hole_11_a_message_holds_a_whole_batch_of_an_outage() -> None:
    """256 real flights that could not be stored, with their scores and their failure, are one message."""
    items = [waiting(number) for number in range(256)]
    messages, too_large = pack(items)
    assert (len(messages), too_large) == (1, [])
    messages, _ = pack([waiting(number) for number in range(2_000)])
    assert 2_000 / len(messages) >= 250


def test_what_is_one_message_stays_one_however_long_the_outage() -> None:
    """Events that fail together again and again, now of this and now of that, are as many messages as at first."""
    messages, _ = pack([waiting(number) for number in range(256)])
    for attempt in range(60):
        for index, packed in enumerate(messages):
            items = decode_envelope(packed.message).items
            for item in items:
                item.attempts += 1
                item.record(
                    at=f"2026-11-25T17:12:{attempt:02d}.504Z",
                    stage=Stage.STORE,
                    reason=f"out {attempt % 3}",
                    field=None,
                    exception="",
                    failure_class="transient",
                )
            again, too_large = pack(items)
            assert (len(again), too_large) == (1, [])
            messages[index] = again[0]
    assert all(len(item.history) == 5 for packed in messages for item in packed.items)


def test_no_message_unpacks_to_more_than_its_readers_take() -> None:
    """However well items compress, a message of them is no larger once unpacked than what is read."""
    items = [Item(body=b"x" * 400_000) for _ in range(20)]
    messages, too_large = pack(items)
    check(messages, too_large, items)
    assert not too_large
    assert len(messages) == 4
    huge = Item(body=b"x" * UNPACKED_LIMIT)
    assert pack([huge]) == ([], [huge])


@pytest.mark.parametrize("size", [0, 10, 4_000, 9_000, 13_000, 20_000, 27_000])
def test_items_of_any_one_size_fill_their_messages(size: int) -> None:
    """Messages are filled up to the limit and no further, however the sizes divide it."""
    items = [Item(body=incompressible(seed, size)) for seed in range(40)]
    messages, too_large = pack(items)
    check(messages, too_large, items)
    assert not too_large
    each = -(-len(encode_item(items[0])) // 3) * 4
    a_message = MESSAGE_LIMIT // (each + 64)
    assert len(messages) <= -(-40 // max(1, a_message - 1))


def test_what_is_written_in_place_of_an_item_counts_and_the_item_is_named() -> None:
    """A pointer is packed for its item; the message is said to hold the item itself."""
    item, other = Item(body=incompressible(1, 60_000)), Item(body=b"x")
    stand_in = Item(blob="b", blob_size=60_000)
    messages, too_large = pack([item, other], {id(item): stand_in})
    assert not too_large
    [packed] = messages
    assert decode_envelope(packed.message).items == [stand_in, other]
    assert [id(each) for each in packed.items] == [id(item), id(other)]


def test_hole_12_no_message_points_at_more_than_is_read_at_a_time() -> None:
    """Pointers to large bodies are spread over messages, so that no one of them fills the worker's memory."""
    pointers = [Item(blob=f"b{number}", blob_size=1_000_000) for number in range(10)]
    messages, too_large = pack([Item(body=b"x"), *pointers], claimed_limit=3_000_000)
    assert not too_large
    assert [len(packed.items) for packed in messages] == [4, 3, 3, 1]
    [alone], _ = pack([Item(blob="b", blob_size=9_000_000)], claimed_limit=3_000_000)
    assert len(alone.items) == 1
