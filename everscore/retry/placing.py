"""Finds a place for events that are not stored: the retry queue or the dead letters."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from everscore.clock import times
from everscore.event.item import Item
from everscore.failures import Configuration, Failure, Throttled, Transient
from everscore.ports import Blobs, RetryQueue
from everscore.retry.envelope import DeadLetter, Packed, encode_dead_letter, encode_item, pack, slim

logger = logging.getLogger(__name__)

# Blob writes and queue sends at once; each is one request of a few milliseconds.
PARALLEL = 16
# Refusals in a row by which a place is held to be out of reach.
REFUSALS = 4
# What a header of blob metadata holds: printable ASCII, of a length that leaves room for the others.
_METADATA_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Delayed:
    """An item and the seconds until its next try."""

    item: Item
    delay: float


@dataclass(frozen=True, slots=True)
class _Filled:
    """Messages ready to be sent.

    Attributes:
        messages: with what each holds.
        whole: by the ``id`` of a pointer, the item that it stands for.
        unplaced: items that no message holds.
    """

    messages: list[Packed]
    whole: dict[int, Item]
    unplaced: list[Item]


class _Asked:
    """What one call has learned of a place: one that is out of reach is not asked for the rest of the call.

    Each refusal of a place that swallows requests takes the time-outs of its client, and hundreds of them in
    turn would take longer than an invocation may.
    """

    def __init__(self) -> None:
        self._refusals = 0

    @property
    def is_out(self) -> bool:
        """Whether the place has refused several times in a row."""
        return self._refusals >= REFUSALS

    def took(self) -> None:
        """The place answers."""
        self._refusals = 0

    def refused(self, error: Exception) -> None:
        """The place has refused; what may be the item's own fault does not count."""
        self._refusals += isinstance(error, Transient | Throttled | Configuration)


class Placing:
    """Puts items where they are safe. What no place took comes back, with nothing raised."""

    def __init__(self, queue: RetryQueue, blobs: Blobs) -> None:
        self._queue = queue
        self._blobs = blobs
        self._slots = asyncio.Semaphore(PARALLEL)

    async def enqueue(
        self, delayed: Sequence[Delayed], *, alone: bool = False, together: bool = False
    ) -> list[Delayed]:
        """Send items to the retry queue, many to a message.

        Args:
            delayed: items of one delay (in whole seconds) share messages.
            alone: one message an item, so that a message's dequeue count is the item's own.
            together: nothing is sent where a claim check is refused, since all of them come again then: what
                was sent would be in the queue once more each time.

        Returns:
            What may not be in the queue.
        """
        groups: dict[int, list[Item]] = defaultdict(list)
        for one in delayed:
            groups[round(one.delay)].append(one.item)
        blobs, queue = _Asked(), _Asked()
        filled = await asyncio.gather(*(self._fill(items, blobs, alone=alone) for items in groups.values()))
        if together and any(one.unplaced for one in filled):
            return list(delayed)
        results = await asyncio.gather(
            *(self._send_all(one, delay, queue) for delay, one in zip(groups, filled, strict=True))
        )
        return [Delayed(item, delay) for delay, items in zip(groups, results, strict=True) for item in items]

    async def _fill(self, items: list[Item], blobs: _Asked, *, alone: bool) -> _Filled:
        """The messages of one delay, with claim checks for what is too large for any."""
        batches = [[item] for item in items] if alone else [items]
        messages: list[Packed] = []
        too_large: list[Item] = []
        for batch in batches:
            packed, large = pack(batch)
            messages += packed
            too_large += large
        checked = await asyncio.gather(*(self._check_in(item, blobs) for item in too_large))
        placed = [pointer for pointer in checked if pointer is not None]
        whole = {id(pointer): item for pointer, item in zip(checked, too_large, strict=True) if pointer}
        unplaced = [item for item, pointer in zip(too_large, checked, strict=True) if pointer is None]
        for batch in [[item] for item in placed] if alone else [placed]:
            packed, large = pack(batch)
            messages += packed
            unplaced += [whole[id(pointer)] for pointer in large]
        return _Filled(messages, whole, unplaced)

    async def _send_all(self, filled: _Filled, delay: int, queue: _Asked) -> list[Item]:
        sent = await asyncio.gather(*(self._send(message, delay, queue) for message in filled.messages))
        unplaced = list(filled.unplaced)
        for message, ok in zip(filled.messages, sent, strict=True):
            if not ok:
                unplaced += [filled.whole.get(id(item), item) for item in message.items]
        return unplaced

    async def _check_in(self, item: Item, blobs: _Asked) -> Item | None:
        """Put the whole item into a blob; returns what points at it, or None where blobs do not answer."""
        if item.is_pointer and item.blob:
            return slim(item, item.blob)  # the event lies there already; its pointer must not overwrite it
        # A record never shares a name with the body that it was taken from: while that body's message lives,
        # the blob is the only place of the other records.
        kind = "records" if item.unwrapped or item.record_index is not None else "items"
        name = f"{kind}/{blob_name(item, hour=_hour(item, times.now()))}"
        async with self._slots:
            if blobs.is_out:
                return None
            try:
                await self._blobs.put_claim_check(name, encode_item(item))
            except Exception as error:  # noqa: BLE001 - whatever it is, the blobs have not taken the item
                blobs.refused(error)
                logger.warning("A claim check could not be written: %s", _why(error))
                return None
        blobs.took()
        return slim(item, name)

    async def _send(self, message: Packed, delay: int, queue: _Asked) -> bool:
        async with self._slots:
            if queue.is_out:
                return False
            try:
                await self._queue.send(message.message, delay)
            except Exception as error:  # noqa: BLE001 - whatever it is, the queue has not taken the message
                queue.refused(error)
                logger.warning(
                    "%d events could not be sent to the retry queue: %s", len(message.items), _why(error)
                )
                return False
        queue.took()
        return True

    async def dead_letter(self, items: Sequence[Item]) -> list[Item]:
        """Write items to the dead letters, their bodies inline.

        Returns:
            What may not be there.
        """
        blobs = _Asked()
        results = await asyncio.gather(*(self._dead_letter(item, blobs) for item in items))
        return [item for item, ok in zip(items, results, strict=True) if not ok]

    async def _dead_letter(self, item: Item, blobs: _Asked) -> bool:
        now = times.now()
        failed_at = times.milliseconds_text(now)
        letter = DeadLetter(item=item, failed_at=failed_at)
        item.dead_letter = False
        item.blob = None
        name = letter_name(item)
        metadata = {
            "stage": item.stage or "",
            "reason": ascii_text(item.reason or ""),
            "failedat": failed_at,
            "enqueuedat": ascii_text(item.source.enqueued_at or ""),
        }
        async with self._slots:
            if blobs.is_out:
                return False
            try:
                await self._blobs.put_dead_letter(
                    name, encode_dead_letter(letter), {key: text for key, text in metadata.items() if text}
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, the blobs have not taken the letter
                blobs.refused(error)
                logger.warning("Dead letter %s could not be written: %s", name, _why(error))
                return False
        blobs.took()
        return True


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, Failure) else f"unexpected {type(error).__name__}: {error}"


def blob_name(item: Item, *, hour: datetime) -> str:
    """``<yyyy>/<mm>/<dd>/<hh>/<mmssfff>-<hub>-<partition>-<sequence>-<index>.json``; repeats have the same.

    Minute to millisecond of its enqueuing are part of it, since a hub made anew counts from 0 again, perhaps
    within the hour; they are missing where that time is not known. Where any part of the place is unknown,
    the item's content stands in for partition and sequence number: two events would share what is left.
    """
    source = item.source
    if source.place is None:
        where = f"{source.hub or 'unknown'}-{_content_hash(item)}"
    else:
        where = f"{source.place.hub}-{source.place.partition}-{source.place.sequence_number}"
    enqueued = _parsed(source.enqueued_at)
    moment = f"{enqueued:%M%S}{enqueued.microsecond // 1000:03}-" if enqueued else ""
    return f"{hour:%Y/%m/%d/%H}/{moment}{where}-{source.index}.json"


def _content_hash(item: Item) -> str:
    """SHA-256 of an item's body and properties, which a repeat has again.

    An id can stand in a property, so that events of equal bodies are two. The body of an item that only
    points at its claim check is not at hand: the blob's name stands in for it.
    """
    content = hashlib.sha256(item.blob.encode() if item.is_pointer and item.blob else item.body)
    if item.properties:
        content.update(json.dumps(item.properties, sort_keys=True).encode())
    return content.hexdigest()


def letter_name(item: Item) -> str:
    """The name of an item's dead letter, below the hour of its enqueuing or, unknown, its first failure."""
    return blob_name(item, hour=_hour(item, times.now()))


def suspect_name(item: Item) -> str:
    """The name of the mark that an item has while it is tried as one that may kill the worker."""
    return f"suspects/{blob_name(item, hour=_hour(item, times.now()))}"


def _hour(item: Item, otherwise: datetime) -> datetime:
    return _parsed(item.source.enqueued_at) or _parsed(item.first_failed_at) or otherwise


def _parsed(text: str | None) -> datetime | None:
    try:
        return times.parse(text) if text else None
    except ValueError:
        return None


def ascii_text(text: str) -> str:
    """A text as blob metadata can carry it: printable ASCII, other characters as ``?``, bounded."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:_METADATA_LIMIT].strip()
