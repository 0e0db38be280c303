"""From a batch of bodies to events, each with its identity or its failure, as many at a time as fit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from typing import NamedTuple

from everscore.clock.deadline import Deadline
from everscore.clock.threads import Threads
from everscore.decode.bodies import Bodies, BodyLimits, failed
from everscore.decode.memory import PER_EVENT, Share, parsed_size
from everscore.decode.own_decoder import Hook, call_hook
from everscore.decode.packing import NoRoomError
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.event.stream import Stream
from everscore.failures import Failure

# Bytes that an own decoder is taken to make of one byte: Avro and the like are dense.
_OWN_GROWTH = 20
# Calls of an own decoder at a time; most of its time may be waiting.
_OWN_THREADS = 8
# Bytes of bodies that are looked at together.
_AT_ONCE = 1024 * 1024


class Position(NamedTuple):
    """A place in a batch.

    Attributes:
        item: so many are read to their end.
        record: and so many records of the next one.
    """

    item: int
    record: int


START = Position(0, 0)


class Decoder:
    """Turns items into events by the rules of a stream. Several threads may use one.

    Args:
        stream: how a body is unwrapped, and where identity and time stand.
        limits: what one body may become.
        hook: an own decoder for bodies that are no JSON; called once a slice, by several threads at a time.
    """

    def __init__(self, stream: Stream, *, limits: BodyLimits | None = None, hook: Hook | None = None) -> None:
        self._bodies = Bodies(stream, limits or BodyLimits())
        self._hook = hook
        # One thread for all batches: Python reads one body at a time anyway, and the allocator of the C
        # library keeps for each thread what that once had in use (measured: 60 MB more with four). The own
        # decoder may wait for something, and has more.
        self._threads = Threads(1 if hook is None else _OWN_THREADS, "decode")

    def decode(self, items: Sequence[Item]) -> list[Event]:
        """Decode and validate all at once; see `Reading.next`."""
        return self.read(items).next(Share())

    async def decode_slice(self, reading: Reading, share: Share, until: Deadline) -> list[Event]:
        """`Reading.next` off the event loop, which all invocations share.

        Raises:
            NotBegunError: no thread was free by the deadline.
            StillRunningError: it has not ended by then; the reading is of no use any more.
        """
        # In the second half of the time an own decoder may end its last call, and is not called again.
        return await self._threads.run(partial(reading.next, share, until.share(0.5)), until)

    def read(self, items: Sequence[Item], begin: Position = START) -> Reading:
        """Begin to decode a batch, slice by slice; what comes before ``begin`` is left out."""
        return Reading(self._bodies, self._hook, items, begin)


class Reading:
    """A batch that is decoded slice by slice. Between two slices it keeps nothing but its place."""

    def __init__(
        self, bodies: Bodies, hook: Hook | None, items: Sequence[Item], begin: Position = START
    ) -> None:
        self._bodies = bodies
        self._hook = hook
        self._items = items
        self._at, self._record = begin
        self._lacked = 0

    @property
    def position(self) -> Position:
        """Where the next slice begins."""
        return Position(self._at, self._record)

    @property
    def left(self) -> Sequence[Item]:
        """The items that are not read to their end."""
        return self._items[self._at :]

    @property
    def need(self) -> int:
        """Bytes that the next slice needs to begin with, as far as that is known."""
        if self._lacked or self._at == len(self._items):
            return self._lacked
        item = self._items[self._at]
        if self._hook is not None and not item.unwrapped:
            return _decoded_size(item)
        return parsed_size(item.body) + PER_EVENT

    def next(self, share: Share, until: Deadline | None = None) -> list[Event]:
        """Decode and validate as many events as the share allows.

        A body that holds several records gives one event for each. What fails comes back with its failure,
        never as an exception.

        Args:
            share: of the memory.
            until: when an own decoder is not called any more to find out for which body it raises.

        Returns:
            The events; none where not even the first fits, and ``need`` says what it takes.
        """
        events: list[Event] = []
        decoded = self._call_hook(self._hook, share, until) if self._hook is not None else {}
        at_once = self._hook is None
        while self._at < len(self._items):
            if at_once and (at_once := self._take_plain(share, events)):
                continue
            item = self._items[self._at]
            if self._hook is None or item.unwrapped:
                finished = self._take(item, share, events)
            else:
                finished = self._at in decoded and self._take_decoded(item, decoded[self._at], share, events)
            if not finished:
                break
            self._at += 1
            self._record = 0
        if events:
            self._lacked = 0
        return events

    def _may(self, size: int, share: Share, *, first: bool) -> bool:
        if share.take(size, first=first):
            return True
        if first:
            self._lacked = max(self._lacked, share.used + size)
        return False

    def _take_plain(self, share: Share, events: list[Event]) -> bool:
        """Decode the bodies that come next and are one event each, with one look at their memory.

        Nearly all bodies are such; one by one the looking would cost a tenth of the decoding. Returns whether
        there were any and they fit.
        """
        run = list(takewhile(self._bodies.is_plain, self.left))
        if not run or sum(len(item.body) for item in run) > _AT_ONCE:
            return False
        if not share.take(parsed_size(b"".join([item.body for item in run])) + PER_EVENT * len(run)):
            return False
        events.extend([self._bodies.event(item, item.body) for item in run])
        self._at += len(run)
        return True

    def _take(self, item: Item, share: Share, events: list[Event]) -> bool:
        """Decode one body, or what is left of its records; returns whether it was finished."""
        held = 0

        def room(size: int) -> bool:
            nonlocal held
            if not share.take(size, first=not events):
                return False
            held += size
            return True

        try:
            text = self._bodies.text(item, room)
        except NoRoomError:
            share.give_back(held)
            if not events:
                self._lacked = max(self._lacked, share.used + self._bodies.most(item))
            return False
        except Exception as error:  # noqa: BLE001 - this one body's own: its neighbours go on
            share.give_back(held)
            events.append(failed(item, error))
            return True
        if held:  # until the text was whole it took more than itself
            share.give_back(held - len(text))
            held = len(text)
        try:
            if self._bodies.holds_one(item):
                return self._take_one(item, text, share, events)
            return self._take_records(item, text, share, events)
        finally:
            share.give_back(held)

    def _take_one(self, item: Item, text: bytes, share: Share, events: list[Event]) -> bool:
        if not self._may(parsed_size(text) + PER_EVENT, share, first=not events):
            return False
        events.append(self._bodies.event(item, text))
        return True

    def _take_records(self, item: Item, text: bytes, share: Share, events: list[Event]) -> bool:
        try:
            records = self._bodies.split(text)
        except Exception as error:  # noqa: BLE001 - this one body's own: its neighbours go on
            events.append(failed(item, error))
            return True
        for index in range(self._record, len(records)):
            record = bytes(records[index])
            if not self._may(parsed_size(record) + PER_EVENT, share, first=not events):
                return False
            events.append(self._bodies.record(item, record, index))
            self._record = index + 1
        return True

    def _call_hook(self, hook: Hook, share: Share, until: Deadline | None) -> dict[int, object]:
        """What the own decoder makes of as many bodies as the share allows, by one call."""
        admitted: list[int] = []
        reserved = 0
        for index in range(self._at, len(self._items)):
            item = self._items[index]
            if item.unwrapped:
                continue  # its body is JSON, and is taken by itself
            size = _decoded_size(item)
            # Records take memory once more, for their JSON and documents: without it a slice would decode all
            # bodies that fit, and have room for one record of the first.
            spare = 0 if self._bodies.holds_one(item) else size
            if not self._may(size + spare, share, first=not admitted):
                break
            reserved += spare
            admitted.append(index)
        share.give_back(reserved)
        bodies = [self._items[index].body for index in admitted]
        results = call_hook(hook, bodies, until) if admitted else []
        return dict(zip(admitted, results, strict=True))

    def _take_decoded(self, item: Item, decoded: object, share: Share, events: list[Event]) -> bool:
        """Finish what the own decoder made of one body; returns whether nothing of it is left."""
        if isinstance(decoded, Failure):
            events.append(failed(item, decoded))
            return True
        if self._bodies.holds_one(item):
            events.append(self._bodies.decoded(item, decoded))
            return True
        try:
            records = self._bodies.unwrap_decoded(item, decoded)
        except Failure as failure:
            events.append(failed(item, failure))
            return True
        if item.record_index is not None:
            events.append(self._bodies.decoded_record(item, records[item.record_index], item.record_index))
            return True
        for index in range(self._record, len(records)):
            event = self._bodies.decoded_record(item, records[index], index)
            # Its values are here already; the JSON that is its body from now on, and its document, are not.
            if not self._may(4 * len(event.item.body) + PER_EVENT, share, first=not events):
                return False
            events.append(event)
            self._record = index + 1
        return True


def _decoded_size(item: Item) -> int:
    return _OWN_GROWTH * len(item.body) + PER_EVENT
