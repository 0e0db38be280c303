"""Finds a place for events that are not stored: the retry queue or the dead letters."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from everscore.clock import times
from everscore.event.item import Item
from everscore.failures import Configuration, Failure, Throttled, Transient, describe
from everscore.ports import Blobs, RetryQueue
from everscore.retry.claim_checks import encode_body, encode_item, pointer, shortened, slim_pointer
from everscore.retry.dead_letter import DeadLetter, encode_dead_letter, metadata_of
from everscore.retry.names import blob_name, claim_check_name
from everscore.retry.packing import Packed, pack

logger = logging.getLogger(__name__)

# Blob writes and queue sends at once; each is one request of a few milliseconds.
PARALLEL = 16
# Refusals in a row by which a place is held to be out of reach.
REFUSALS = 4
# Bytes of bodies that are packed on the event loop, in a few milliseconds.
_SMALL = 512 * 1024


@dataclass(frozen=True, slots=True)
class Delayed:
    """An item, the seconds until its next try, and whether it then has a message of its own."""

    item: Item
    delay: float
    alone: bool = False


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
    """Puts items where they are safe. What no place took comes back, with nothing raised.

    Args:
        queue: where items wait for another try.
        blobs: where dead letters and claim checks lie.
        claimed_limit: bytes in claim checks that one message may point at, unless it is of one item.
    """

    def __init__(self, queue: RetryQueue, blobs: Blobs, *, claimed_limit: int | None = None) -> None:
        self._queue = queue
        self._blobs = blobs
        self.claimed_limit = claimed_limit
        self._slots = asyncio.Semaphore(PARALLEL)

    async def enqueue(
        self,
        delayed: Sequence[Delayed],
        *,
        alone: bool = False,
        together: bool = False,
        pointers: Mapping[int, Item] | None = None,
    ) -> list[Delayed]:
        """Send items to the retry queue, many to a message.

        Args:
            delayed: items of one delay (in whole seconds) share messages.
            alone: one message an item, so that a message's dequeue count is the item's own.
            together: nothing is sent where a claim check is refused, since all of them come again then: what
                was sent would be in the queue once more each time.
            pointers: by ``id`` of an item whose body lies in a blob already, what points there.

        Returns:
            What may not be in the queue.
        """
        groups: dict[tuple[int, bool], list[Item]] = defaultdict(list)
        for one in delayed:
            groups[math.ceil(one.delay), alone or one.alone].append(one.item)
        blobs, queue = _Asked(), _Asked()
        filled = await asyncio.gather(
            *(self._fill(items, pointers or {}, blobs, alone=each) for (_, each), items in groups.items())
        )
        if together and any(unplaced for _, unplaced in filled):
            return list(delayed)
        left = {id(item) for _, unplaced in filled for item in unplaced}
        messages = [
            (packed, delay) for (delay, _), (full, _) in zip(groups, filled, strict=True) for packed in full
        ]
        sent = await asyncio.gather(*(self._send(packed, delay, queue) for packed, delay in messages))
        for (packed, _), ok in zip(messages, sent, strict=True):
            left |= {id(item) for item in packed.items if not ok}
        return [one for one in delayed if id(one.item) in left]

    async def _fill(
        self, items: list[Item], known: Mapping[int, Item], blobs: _Asked, *, alone: bool
    ) -> tuple[list[Packed], list[Item]]:
        """The messages of one delay, with claim checks for what is too large; and what no message holds."""
        messages: list[Packed] = []
        pointers = dict(known)
        unplaced: list[Item] = []
        # First as they are; then by a pointer that says all but the body; then by one that says the least.
        for whole in (None, False, True):
            if whole is not None:
                checked = await asyncio.gather(*(self._check_in(item, blobs, whole=whole) for item in items))
                unplaced += [item for item, found in zip(items, checked, strict=True) if found is None]
                pointers |= {id(item): found for item, found in zip(items, checked, strict=True) if found}
                items = [item for item in items if id(item) in pointers]
            batches = [[item] for item in items] if alone else [items]
            items = []
            for batch in batches:
                packed, too_large = await self._pack(batch, pointers)
                messages += packed
                items += too_large
        return messages, unplaced + items

    async def _pack(self, items: list[Item], pointers: dict[int, Item]) -> tuple[list[Packed], list[Item]]:
        """Fill messages; an item that cannot be encoded is one that fits into none, and its neighbours do."""
        try:
            return await self._pack_all(items, pointers)
        except Exception as error:  # noqa: BLE001 - one item's own: narrowed down to it
            if len(items) == 1:
                logger.warning("The event of %s fits into no message: %s", items[0].source, _why(error))
                return [], items
        half = len(items) // 2
        first, second = await self._pack(items[:half], pointers), await self._pack(items[half:], pointers)
        return first[0] + second[0], first[1] + second[1]

    async def _pack_all(
        self, items: list[Item], pointers: dict[int, Item]
    ) -> tuple[list[Packed], list[Item]]:
        if sum(len(item.body) for item in items) < _SMALL:
            return pack(items, pointers, claimed_limit=self.claimed_limit)
        # What takes tens of milliseconds must not stall the loop that all invocations share.
        return await asyncio.to_thread(pack, items, pointers, claimed_limit=self.claimed_limit)

    async def _check_in(self, item: Item, blobs: _Asked, *, whole: bool) -> Item | None:
        """Put an item's body, or all of it, into a blob; what points at it, or None where blobs refuse."""
        if item.is_pointer:  # the event lies there already; its pointer must not overwrite it
            return shortened(item)
        async with self._slots:
            if blobs.is_out:
                return None
            try:
                name = claim_check_name(item, whole=whole)
                data = encode_item(item) if whole else encode_body(item)
                await self._blobs.put_claim_check(name, data)
            except Exception as error:  # noqa: BLE001 - whatever it is, the blobs have not taken the item
                blobs.refused(error)
                logger.warning("A claim check could not be written: %s", _why(error))
                return None
        blobs.took()
        return slim_pointer(item, name, len(data)) if whole else pointer(item, name, len(data))

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

        The letter that an item was redriven from is removed, if the new one has another name.

        Returns:
            What may not be there, or not alone.
        """
        blobs = _Asked()
        results = await asyncio.gather(*(self._dead_letter(item, blobs) for item in items))
        return [item for item, ok in zip(items, results, strict=True) if not ok]

    async def _dead_letter(self, item: Item, blobs: _Asked) -> bool:
        item.dead_letter = False
        item.blob = item.blob_size = None
        letter = DeadLetter(item=item, failed_at=times.milliseconds_text(times.now()))
        async with self._slots:
            if blobs.is_out:
                return False
            try:
                name = blob_name(item)
                await self._blobs.put_dead_letter(name, encode_dead_letter(letter), metadata_of(letter))
                # Only then: between the two the event has two letters, and never none.
                if item.letter and item.letter != name:
                    await self._blobs.delete_dead_letter(item.letter)
            except Exception as error:  # noqa: BLE001 - whatever it is, the blobs have not taken the letter
                blobs.refused(error)
                logger.warning("The dead letter of %s could not be written: %s", item.source, _why(error))
                return False
        blobs.took()
        return True


def _why(error: Exception) -> str:
    return f"{'' if isinstance(error, Failure) else 'unexpected '}{describe(error)}"
