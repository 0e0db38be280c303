"""A session: its links, by handle, and the windows that bound what is under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from . import codec, performatives
from .hub import Namespace
from .links import MAX_MESSAGE_SIZE, Link, Subscriber
from .performatives import (
    ACCEPTED,
    Frame,
    LinkRefusedError,
    Performative,
    ProtocolError,
    TransferFrames,
    Window,
)
from .sas import Grant

_WINDOW = 65_536
"""Frames that may be under way."""
_MODULO = 1 << 32


class SessionConnection(Protocol):
    """A connection, as its sessions see it.

    Attributes:
        namespace: The hubs of the server.
        max_frame_size: Bytes of the largest frame that the client takes.
    """

    namespace: Namespace
    max_frame_size: int

    def send(self, data: bytes) -> None:
        """Send bytes, together with all that is sent in the same step."""

    def want_flush(self, session: Session) -> None:
        """Have a session flushed when the bytes at hand are handled."""

    def want_turn(self, subscriber: Subscriber) -> None:
        """Put a subscriber in the line of those that have something to send."""

    def grant(self, grant: Grant) -> None:
        """Remember what a token allows."""

    def is_granted(self, path: str) -> bool:
        """Whether a token of this connection allows a resource path, now."""


type Attach = Callable[[Session, list[object]], None]
"""Answers an attach, given its fields: with a link, or with the reason why there is none."""


class Session:
    """One session, on the channel number that the peer chose.

    Attributes:
        channel: The channel, both ways.
        links: By the peer's handle.
    """

    def __init__(self, connection: SessionConnection, begin: Frame, attach: Attach) -> None:
        _, next_outgoing_id, incoming_window, _, _, _, _, _ = begin.fields
        if not isinstance(next_outgoing_id, int) or not isinstance(incoming_window, int):
            raise ProtocolError("amqp:invalid-field", "begin needs next-outgoing-id and incoming-window")
        self.channel = begin.channel
        self.links: dict[int, Link] = {}
        self._connection = connection
        self._attach = attach
        self._next_incoming_id = next_outgoing_id
        self._incoming_left = _WINDOW
        self._next_outgoing_id = 0
        self._next_delivery_id = 0
        self._remote_window = incoming_window
        self._accepted: tuple[int, int] | None = None
        self.send(performatives.begin(self.channel, _WINDOW, _WINDOW))

    @property
    def namespace(self) -> Namespace:
        """The hubs of the server."""
        return self._connection.namespace

    @property
    def connection(self) -> SessionConnection:
        """The connection that it runs on."""
        return self._connection

    @property
    def max_frame_size(self) -> int:
        """Bytes of the largest frame that the peer takes."""
        return self._connection.max_frame_size

    def send(self, data: bytes) -> None:
        """Send frames."""
        self._connection.send(data)

    def want_turn(self, subscriber: Subscriber) -> None:
        """Have a subscriber send when it is its turn."""
        self._connection.want_turn(subscriber)

    def on_frame(self, frame: Frame) -> None:
        """Handle a frame of this session.

        Raises:
            ProtocolError: the peer broke the protocol.
        """
        match frame.descriptor:
            case Performative.TRANSFER:
                self._on_transfer(frame)
            case Performative.FLOW:
                self._on_flow(frame.fields)
            case Performative.ATTACH:
                self._attach(self, frame.fields)
            case Performative.DETACH:
                self._on_detach(frame.fields)
            case Performative.DISPOSITION:
                pass  # all that is sent here is settled already

    def _on_transfer(self, frame: Frame) -> None:
        self._next_incoming_id = (self._next_incoming_id + 1) % _MODULO
        self._incoming_left -= 1
        link = self._link(frame.fields[0])
        if link is not None:
            try:
                link.on_transfer(frame.fields, frame.payload)
            except LinkRefusedError as error:
                self.detach(link, error)
        if self._incoming_left <= _WINDOW // 2:
            self.send_flow(None)

    def _on_flow(self, fields: list[object]) -> None:
        next_incoming_id, incoming_window, _, _, handle, delivery_count, credit, _, drain, echo, _ = fields
        if not isinstance(incoming_window, int):
            raise ProtocolError("amqp:invalid-field", "flow needs an incoming-window")
        start = next_incoming_id if isinstance(next_incoming_id, int) else 0
        window = (start + incoming_window - self._next_outgoing_id) % _MODULO
        self._remote_window = window if window < _MODULO // 2 else 0
        link = self._link(handle)
        if link is not None:
            count = delivery_count if isinstance(delivery_count, int) else None
            link.on_flow(count, credit if isinstance(credit, int) else 0, drain=bool(drain))
        for other in self.links.values():  # a wider window lets all of them go on
            if isinstance(other, Subscriber):
                other.wake()
        if echo:
            self.send_flow(None)

    def _on_detach(self, fields: list[object]) -> None:
        link = self._link(fields[0])
        if link is not None:
            self.detach(link)

    def _link(self, handle: object) -> Link | None:
        """Find a link; of one just closed by this side, frames may still come and are dropped."""
        return self.links.get(handle) if isinstance(handle, int) else None

    def detach(self, link: Link, reason: LinkRefusedError | None = None) -> None:
        """Close a link, with an error or none."""
        if self.links.get(link.handle) is link:
            del self.links[link.handle]
            link.on_closed()
        self.flush()
        problem = codec.NULL if reason is None else performatives.error(reason.condition, str(reason))
        self.send(performatives.detach(self.channel, link.handle, problem))

    def close(self) -> None:
        """Close all links; the peer knows."""
        for link in list(self.links.values()):
            link.on_closed()
        self.links.clear()

    def send_flow(self, link: tuple[int, int, int] | None, *, drain: bool = False) -> None:
        """Tell the windows and a link's (handle, delivery-count, credit)."""
        self._incoming_left = _WINDOW
        window = Window(self._next_incoming_id, _WINDOW, self._next_outgoing_id, _WINDOW)
        self.send(performatives.flow(self.channel, window, link, drain=drain))

    def settle(self, delivery_id: int, outcome: bytes) -> None:
        """Settle a delivery received; runs of accepted ones go out as one frame."""
        if outcome is ACCEPTED:
            if self._accepted is not None and delivery_id == self._accepted[1] + 1:
                self._accepted = (self._accepted[0], delivery_id)
                return
            self.flush()
            self._accepted = (delivery_id, delivery_id)
            self._connection.want_flush(self)
            return
        self.flush()
        self.send(performatives.disposition(self.channel, delivery_id, delivery_id, outcome))

    def flush(self) -> None:
        """Send the run of accepted deliveries."""
        if self._accepted is not None:
            first, last = self._accepted
            self._accepted = None
            self.send(performatives.disposition(self.channel, first, last, ACCEPTED))

    def deliveries_allowed(self, size: int) -> int:
        """Give how many deliveries the peer's window allows, if they and one more hold `size` bytes."""
        spare = (size + MAX_MESSAGE_SIZE) // (self.max_frame_size // 2) + 2
        return max(self._remote_window - spare, min(self._remote_window, 1))

    def add_delivery(self, frames: TransferFrames, out: list[bytes], message: bytes) -> None:
        """Append the frames of a delivery to `out`."""
        count = frames.add(out, self._next_delivery_id, message)
        self._next_delivery_id = (self._next_delivery_id + 1) % _MODULO
        self._next_outgoing_id = (self._next_outgoing_id + count) % _MODULO
        self._remote_window -= count
