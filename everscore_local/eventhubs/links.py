"""Links that publish to a hub and receive from a partition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from . import codec, messages
from .hub import Hub, Namespace, Partition
from .log import Cursor, StorageError
from .nodes import Node, unreadable
from .performatives import ACCEPTED, LinkRefusedError, TransferFrames, rejected

MAX_MESSAGE_SIZE = 1024 * 1024
"""Bytes of the largest send, a batch included (the service's bound)."""
_CREDIT = 1000
"""Sends that a publisher may have under way; topped up at half, since at 0 the SDK counts for itself."""
_SEND_COUNT = 512
_SEND_BYTES = 256 * 1024
"""Bounds of what one receiver is sent before others have their turn."""

_MODULO = 1 << 32


class LinkSession(Protocol):
    """A session, as its links see it.

    Attributes:
        channel: The channel, both ways.
        links: By the peer's handle.
    """

    channel: int
    links: dict[int, Link]

    @property
    def namespace(self) -> Namespace:
        """The hubs of the server."""

    @property
    def max_frame_size(self) -> int:
        """Bytes of the largest frame that the peer takes."""

    def send(self, data: bytes) -> None:
        """Send frames."""

    def send_flow(self, link: tuple[int, int, int] | None, *, drain: bool = False) -> None:
        """Tell the windows and a link's (handle, delivery-count, credit)."""

    def settle(self, delivery_id: int, outcome: bytes) -> None:
        """Settle a delivery received."""

    def detach(self, link: Link, reason: LinkRefusedError | None = None) -> None:
        """Close a link, with an error or none."""

    def want_turn(self, subscriber: Subscriber) -> None:
        """Have a subscriber send when it is its turn."""

    def deliveries_allowed(self, size: int) -> int:
        """Give how many deliveries the peer's window allows, if they and one more hold `size` bytes."""

    def add_delivery(self, frames: TransferFrames, out: list[bytes], message: bytes) -> None:
        """Append the frames of a delivery to `out`."""


@dataclass(frozen=True, slots=True)
class Ends:
    """What every link has.

    Attributes:
        session: The session that it belongs to.
        handle: The peer's handle; this side answers with the same number.
        name: The name that the peer gave.
        node: Where it goes.
    """

    session: LinkSession
    handle: int
    name: str
    node: Node


class Link:
    """This side's end of a link."""

    def __init__(self, ends: Ends) -> None:
        self.session = ends.session
        self.handle = ends.handle
        self.name = ends.name
        self.node = ends.node

    def on_attached(self) -> None:
        """The peer has been told; now it may be given credit."""

    def on_flow(self, delivery_count: int | None, credit: int, *, drain: bool) -> None:
        """The peer gives credit."""

    def on_transfer(self, fields: list[object], payload: bytes) -> None:  # noqa: ARG002 - overridden
        """The peer sends a frame of a delivery."""
        raise LinkRefusedError("amqp:not-allowed", "transfers are not taken on a receiving link")

    def on_closed(self) -> None:
        """The link is gone, for whatever reason."""

    def refuse(self, reason: LinkRefusedError) -> None:
        """Detach with an error."""
        self.session.detach(self, reason)


class IncomingLink(Link, ABC):
    """A link that the peer sends on: puts frames together to messages, keeps its credit up."""

    def __init__(self, ends: Ends, initial_delivery_count: int) -> None:
        super().__init__(ends)
        self._delivery_count = initial_delivery_count
        self._credit = 0
        self._delivery_id: int | None = None
        self._format = 0
        self._settled = False
        self._size = 0
        self._parts: list[bytes] = []

    def on_attached(self) -> None:
        """Give the first credit."""
        self._credit = _CREDIT
        self._give_credit()

    def on_flow(self, delivery_count: int | None, credit: int, *, drain: bool) -> None:
        """A sender's flow says nothing that is needed here."""

    def _give_credit(self) -> None:
        self.session.send_flow((self.handle, self._delivery_count, self._credit))

    def on_transfer(self, fields: list[object], payload: bytes) -> None:
        """Collect the frames of a delivery; settle it when the last is there."""
        _, delivery_id, _, message_format, settled, more, _, _, _, aborted, _ = fields
        if self._delivery_id is None:
            if not isinstance(delivery_id, int):
                raise LinkRefusedError(
                    "amqp:invalid-field", "the first transfer of a delivery has no delivery-id"
                )
            self._delivery_id = delivery_id
            self._format = message_format if isinstance(message_format, int) else 0
        self._settled = self._settled or bool(settled)
        self._size += len(payload)
        if self._size <= MAX_MESSAGE_SIZE:
            self._parts.append(payload)
        else:
            self._parts.clear()  # it will be refused: no need to hold it
        if more and not aborted:
            return
        number, is_settled, size = self._delivery_id, self._settled, self._size
        message = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._delivery_id, self._settled, self._size, self._parts = None, False, 0, []
        self._delivery_count = (self._delivery_count + 1) % _MODULO
        self._credit -= 1
        if self._credit <= _CREDIT // 2:
            self._credit = _CREDIT
            self._give_credit()
        if aborted:
            return
        if size > MAX_MESSAGE_SIZE:
            outcome = rejected(
                "amqp:link:message-size-exceeded",
                f"The received message (size {size}) exceeds the limit ({MAX_MESSAGE_SIZE}).",
            )
        else:
            outcome = self.on_message(message, self._format)
        if not is_settled:
            self.session.settle(number, outcome)

    @abstractmethod
    def on_message(self, message: bytes, message_format: int) -> bytes:
        """Take a whole message; gives the encoded outcome."""


class Publisher(IncomingLink):
    """Takes events for a hub, or for one partition of it."""

    def __init__(
        self, ends: Ends, initial_delivery_count: int, hub: Hub, partition: Partition | None
    ) -> None:
        super().__init__(ends, initial_delivery_count)
        self._hub = hub
        self._partition = partition

    def on_message(self, message: bytes, message_format: int) -> bytes:
        """Store the events; only then is the send accepted."""
        try:
            events, key = messages.publish(message, message_format)
            partition = self._partition or self._hub.choose(key)
            partition.publish(events, self.session.namespace.now())
        except codec.DecodeError as error:
            return rejected("amqp:decode-error", str(error))
        except StorageError as error:  # what a client tries again
            return rejected("com.microsoft:server-busy", str(error))
        return ACCEPTED


class OutgoingLink(Link):
    """A link that this side sends on: counts credit."""

    def __init__(self, ends: Ends) -> None:
        super().__init__(ends)
        self._delivery_count = 0
        self._credit = 0
        self._frames = TransferFrames(ends.session.channel, ends.handle, ends.session.max_frame_size)

    def on_flow(self, delivery_count: int | None, credit: int, *, drain: bool) -> None:
        """Take the credit up; a drain gives back what is not used."""
        left = ((delivery_count or 0) + credit - self._delivery_count) % _MODULO
        self._credit = left if left < _MODULO // 2 else 0
        self.on_credit()
        if drain and self._credit:
            self._delivery_count = (self._delivery_count + self._credit) % _MODULO
            self._credit = 0
            self.session.send_flow((self.handle, self._delivery_count, 0), drain=True)

    def on_credit(self) -> None:
        """There may be credit to send with."""

    def _deliver(self, out: list[bytes], message: bytes) -> None:
        self.session.add_delivery(self._frames, out, message)
        self._delivery_count = (self._delivery_count + 1) % _MODULO
        self._credit -= 1


class Subscriber(OutgoingLink):
    """Sends a partition's events to one receiver.

    Attributes:
        owner_level: Its epoch, or None.
    """

    def __init__(
        self, ends: Ends, partition: Partition, start: int, *, owner_level: int | None, wants_metrics: bool
    ) -> None:
        super().__init__(ends)
        self.owner_level = owner_level
        self._partition = partition
        self._wants_metrics = wants_metrics
        self._cursor = Cursor(partition.log, start)

    def wake(self) -> None:
        """There may be something to send."""
        if self._credit > 0:
            self.session.want_turn(self)

    def on_credit(self) -> None:
        """There may be something to send."""
        self.wake()

    def on_flow(self, delivery_count: int | None, credit: int, *, drain: bool) -> None:
        """Take the credit up; before a drain, send what there is."""
        if not drain:
            super().on_flow(delivery_count, credit, drain=False)
            return
        super().on_flow(delivery_count, credit, drain=False)
        while self.send_some():
            pass
        if self.session.links.get(self.handle) is self:  # not refused meanwhile
            super().on_flow(self._delivery_count, self._credit, drain=True)

    def on_closed(self) -> None:
        """Give the partition up."""
        self._partition.leave(self.node.group, self)
        self._cursor.close()

    def send_some(self) -> bool:
        """Send a bounded part of what there is; gives whether there may be more to send at once."""
        count = min(self._credit, self.session.deliveries_allowed(_SEND_BYTES), _SEND_COUNT)
        if count <= 0 or self._cursor.is_at_end:
            return False
        try:
            events = self._cursor.read(count, _SEND_BYTES)
        except OSError as error:  # left alone, the receiver would wait for ever without a word
            self.refuse(unreadable(self._partition, error))
            return False
        if self._wants_metrics:
            log = self._partition.log
            section = messages.runtime_metrics(
                log.next_sequence - 1, log.last_offset, log.last_time, self.session.namespace.now()
            )
            events = [messages.with_delivery_annotations(event, section) for event in events]
        out: list[bytes] = []
        for event in events:
            self._deliver(out, event)
        self.session.send(b"".join(out))
        return True
