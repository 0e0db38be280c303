"""Fills messages with items: as many in each as the queue takes in one message."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from everscore.event.item import Item
from everscore.retry.envelope import UNPACKED_LIMIT, encode_envelope, encode_item

# Storage queues take 64 KiB of text a message, which is 48 KiB before base64; some of it is left free.
MESSAGE_LIMIT = 47 * 1024
# What does not fit into one message fills several only so far: the texts in it change with each try, and what
# was one message is to stay one.
_FILLED = 43 * 1024
# For the items, beside the head of their array.
_ROOM = UNPACKED_LIMIT - 8


# Of a claim check whose pointer does not say: what an event of 1 MiB, the largest that most hubs take, is in
# base64, its properties included.
_UNKNOWN_SIZE = 3 * 512 * 1024


def claimed_size(item: Item) -> int:
    """Bytes of the blob that must be read before an item can be tried."""
    return (item.blob_size or _UNKNOWN_SIZE) if item.is_pointer else 0


@dataclass(frozen=True, slots=True)
class Packed:
    """One message and the items that it holds."""

    message: bytes
    items: list[Item]


def pack(
    items: Sequence[Item], pointers: Mapping[int, Item] | None = None, *, claimed_limit: int | None = None
) -> tuple[list[Packed], list[Item]]:
    """Fill messages with items.

    Args:
        items: in order; the order is kept.
        pointers: by ``id`` of an item, what is written in its place.
        claimed_limit: bytes in claim checks that one message may point at, unless it is of one item.

    Returns:
        The messages, and the items that alone are too large for one: they need a claim check.
    """
    pointers = pointers or {}
    written = [pointers.get(id(item), item) for item in items]
    encoded = [encode_item(item) for item in written]
    messages: list[Packed] = []
    too_large: list[Item] = []
    for start, end in _bounded(written, encoded, claimed_limit):
        _fill(items[start:end], encoded[start:end], messages, too_large)
    return messages, too_large


def _bounded(
    written: Sequence[Item], encoded: Sequence[bytes], claimed_limit: int | None
) -> Iterator[tuple[int, int]]:
    """Ranges that stay below the limits of what a message may become where it is read."""
    start = size = claimed = 0
    for index, (item, text) in enumerate(zip(written, encoded, strict=True)):
        behind = claimed_size(item)
        is_over = size + len(text) > _ROOM or (claimed_limit is not None and claimed + behind > claimed_limit)
        if is_over and index > start:
            yield start, index
            start, size, claimed = index, 0, 0
        size += len(text)
        claimed += behind
    if encoded:
        yield start, len(encoded)


def _fill(
    items: Sequence[Item], encoded: Sequence[bytes], messages: list[Packed], too_large: list[Item]
) -> None:
    # More than may be unpacked is not even tried: its size once packed would say nothing.
    message = encode_envelope(encoded) if sum(map(len, encoded)) <= _ROOM else None
    if message is not None and len(message) <= MESSAGE_LIMIT:
        messages.append(Packed(message, list(items)))
    elif message is None or len(items) == 1:
        too_large += items
    else:
        for start, end in _parts(encoded, max(2, -(-len(message) // _FILLED))):
            _fill(items[start:end], encoded[start:end], messages, too_large)


def _parts(encoded: Sequence[bytes], count: int) -> Iterator[tuple[int, int]]:
    """Ranges of about equal size."""
    ends = list(accumulate(map(len, encoded)))
    found = [0, *(bisect_left(ends, ends[-1] * part // count) + 1 for part in range(1, count)), len(ends)]
    bounds = sorted({min(bound, len(ends)) for bound in found})
    if len(bounds) == 2:  # the last one is nearly all of it
        bounds.insert(1, len(ends) - 1)
    yield from pairwise(bounds)
