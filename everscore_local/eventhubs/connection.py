"""One client's connection: bytes to frames, signing in, sessions, turns of its subscribers, tokens."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from enum import Enum

from . import performatives
from .attaching import attach
from .hub import Namespace
from .links import Subscriber
from .performatives import (
    EMPTY_FRAME,
    MAX_FRAME_SIZE,
    PROTOCOL_HEADER,
    SASL_HEADER,
    Frame,
    LinkRefusedError,
    Performative,
    ProtocolError,
    Sasl,
)
from .sas import Grant
from .session import Session

_LOG = logging.getLogger(__name__)

_MECHANISMS = ("MSSBCBS", "ANONYMOUS")
_HIGH_WATER = 1024 * 1024
"""Bytes waiting for the network at which subscribers pause."""
_MAX_GRANTS = 1000


class _Expecting(Enum):
    HEADER = "header"
    SASL_INIT = "sasl-init"
    PROTOCOL_HEADER = "protocol header"
    FRAMES = "frames"
    NOTHING = "nothing"


class Connection(asyncio.Protocol):
    """Serves one client.

    Attributes:
        namespace: The hubs of the server.
        max_frame_size: Bytes of the largest frame that the client takes.
    """

    def __init__(self, namespace: Namespace, container: str, on_gone: Callable[["Connection"], None]) -> None:
        self.namespace = namespace
        self.max_frame_size = performatives.SMALLEST_MAX_FRAME_SIZE
        self._container = container
        self._on_gone = on_gone
        self._expecting = _Expecting.HEADER
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._needed = 8
        self._out: list[bytes] = []
        self._sessions: dict[int, Session] = {}
        self._unflushed: list[Session] = []
        self._turns: deque[Subscriber] = deque()
        self._turn_is_due = False
        self._is_paused = False
        self._grants: dict[str, Grant] = {}
        self._heartbeat: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        del exc
        self._expecting = _Expecting.NOTHING
        self._transport = None
        for timer in (self._heartbeat, self._expiry):
            if timer is not None:
                timer.cancel()
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        self._turns.clear()
        self._on_gone(self)

    def pause_writing(self) -> None:
        """The network is slower than the subscribers."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The network has caught up."""
        self._is_paused = False
        self._ask_for_turn()

    def data_received(self, data: bytes) -> None:
        """Take bytes; handle the frames that are whole."""
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered < self._needed:
            return
        buffer = data if len(self._chunks) == 1 else b"".join(self._chunks)
        position = 0
        try:
            while self._expecting is not _Expecting.NOTHING:
                self._needed = self._next_size(buffer, position)
                if len(buffer) - position < self._needed:
                    break
                self._on_unit(buffer[position : position + self._needed])
                position += self._needed
        except ProtocolError as error:
            _LOG.warning("A client broke the protocol: %s", error)
            self.shut(error)
        rest = buffer[position:]
        self._chunks = [rest] if rest else []
        self._buffered = len(rest)
        for session in self._unflushed:
            session.flush()
        self._unflushed.clear()
        self._flush()

    # --- what comes in

    def _next_size(self, buffer: bytes, position: int) -> int:
        """Give the size of the header or frame at a position; 8 while its first bytes are missing."""
        if self._expecting in {_Expecting.HEADER, _Expecting.PROTOCOL_HEADER} or len(buffer) - position < 8:
            return 8
        size = int.from_bytes(buffer[position : position + 4])
        if not 8 <= size <= MAX_FRAME_SIZE:
            raise ProtocolError("amqp:connection:framing-error", f"a frame of {size} bytes is out of bounds")
        return size

    def _on_unit(self, data: bytes) -> None:
        match self._expecting:
            case _Expecting.HEADER:
                self._on_first_header(data)
            case _Expecting.PROTOCOL_HEADER:
                if data != PROTOCOL_HEADER:
                    raise ProtocolError("amqp:connection:framing-error", f"unexpected header {data!r}")
                self.send(PROTOCOL_HEADER)
                self._expecting = _Expecting.FRAMES
            case _:
                frame = performatives.parse_frame(data)
                if frame is not None:
                    self._on_frame(frame)

    def _on_first_header(self, data: bytes) -> None:
        if data == SASL_HEADER:
            self.send(SASL_HEADER)
            self.send(performatives.sasl_mechanisms(_MECHANISMS))
            self._expecting = _Expecting.SASL_INIT
        elif data == PROTOCOL_HEADER:  # signing in is done by tokens, so that SASL may be left out
            self.send(PROTOCOL_HEADER)
            self._expecting = _Expecting.FRAMES
        else:
            if data[:2] == b"\x16\x03":
                _LOG.warning(
                    "A client speaks TLS, this server does not: "
                    "the connection string must end in UseDevelopmentEmulator=true;"
                )
            else:
                _LOG.warning("A client does not speak AMQP 1.0 (it sent %r)", data)
            self.send(SASL_HEADER)  # what this server would speak (AMQP 1.0, 2.2)
            self._close()

    def _on_frame(self, frame: Frame) -> None:
        if self._expecting is _Expecting.SASL_INIT:
            if frame.descriptor != Sasl.INIT:
                raise ProtocolError("amqp:connection:framing-error", "a sasl-init was expected")
            is_known = frame.fields[0] in _MECHANISMS
            self.send(performatives.sasl_outcome(0 if is_known else 1))
            self._expecting = _Expecting.PROTOCOL_HEADER if is_known else _Expecting.NOTHING
            if not is_known:
                self._close()
            return
        match frame.descriptor:
            case Performative.OPEN:
                self._on_open(frame.fields)
            case Performative.BEGIN:
                if frame.channel in self._sessions or frame.channel > performatives.CHANNEL_MAX:
                    raise ProtocolError("amqp:not-allowed", f"channel {frame.channel} cannot be had")
                self._sessions[frame.channel] = Session(self, frame, attach)
            case Performative.END:
                session = self._sessions.pop(frame.channel, None)
                if session is not None:
                    session.flush()
                    session.close()
                    self.send(performatives.end(frame.channel))
            case Performative.CLOSE:
                self.shut()
            case _:
                session = self._sessions.get(frame.channel)
                if session is not None:  # after an end, the SDK still sends its detach
                    session.on_frame(frame)

    def _on_open(self, fields: list[object]) -> None:
        _, _, max_frame_size, _, idle_timeout, *_ = fields
        if isinstance(max_frame_size, int):
            if max_frame_size < performatives.SMALLEST_MAX_FRAME_SIZE:
                raise ProtocolError("amqp:invalid-field", f"max-frame-size {max_frame_size} is too small")
            self.max_frame_size = min(max_frame_size, MAX_FRAME_SIZE)
        else:
            self.max_frame_size = MAX_FRAME_SIZE
        self.send(performatives.open_(self._container))
        if isinstance(idle_timeout, int) and idle_timeout > 0:
            self._beat(max(idle_timeout / 2000, 0.05))

    def _beat(self, seconds: float) -> None:
        """Send an empty frame every so many seconds, so that the client knows that this side lives."""
        self._heartbeat = self._loop.call_later(seconds, self._beat, seconds)
        if self._expecting is _Expecting.FRAMES:
            self.send(EMPTY_FRAME)

    # --- what goes out

    def send(self, data: bytes) -> None:
        """Send bytes, together with all that is sent in the same step."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
        self._out.clear()

    def want_flush(self, session: Session) -> None:
        """Have a session flushed when the bytes at hand are handled."""
        self._unflushed.append(session)

    def want_turn(self, subscriber: Subscriber) -> None:
        """Put a subscriber in the line of those that have something to send."""
        if subscriber not in self._turns:
            self._turns.append(subscriber)
            self._ask_for_turn()

    def _ask_for_turn(self) -> None:
        if self._turns and not self._turn_is_due and not self._is_paused:
            self._turn_is_due = True
            self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Let one subscriber send; others, and other connections, come before it is its turn again."""
        self._turn_is_due = False
        if self._turns and not self._is_paused:
            subscriber = self._turns.popleft()
            if subscriber.send_some():
                self._turns.append(subscriber)
            self._flush()
        self._ask_for_turn()

    def shut(self, error: ProtocolError | None = None) -> None:
        """Close the connection, with an error or none."""
        if self._expecting is _Expecting.FRAMES:
            for session in self._sessions.values():
                session.flush()
            self.send(
                performatives.close()
                if error is None
                else performatives.close(performatives.error(error.condition, str(error)))
            )
        self._close()

    def _close(self) -> None:
        self._expecting = _Expecting.NOTHING
        self._flush()
        if self._transport is not None:
            self._transport.close()

    # --- tokens

    def grant(self, grant: Grant) -> None:
        """Remember what a token allows; a newer one for the same resource takes its place."""
        if len(self._grants) >= _MAX_GRANTS:
            now = self.namespace.clock()
            self._grants = {path: known for path, known in self._grants.items() if known.expires_at > now}
        self._grants[grant.path] = grant
        self._watch_expiry()

    def is_granted(self, path: str) -> bool:
        """Whether a token of this connection allows a resource path, now."""
        now = self.namespace.clock()
        return any(grant.covers(path, now) for grant in self._grants.values())

    def _watch_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        soonest = min(grant.expires_at for grant in self._grants.values())
        # A loop's timer cannot wait for ever; a day is soon enough to look again.
        wait = min(max(soonest - self.namespace.clock(), 0.01), 86_400)
        self._expiry = self._loop.call_later(wait, self._on_expiry)

    def _on_expiry(self) -> None:
        """Close the links whose token has expired and was not renewed."""
        now = self.namespace.clock()
        self._grants = {path: grant for path, grant in self._grants.items() if grant.expires_at > now}
        expired = LinkRefusedError(
            "amqp:unauthorized-access", "ExpiredToken: the token of this link has expired"
        )
        for session in self._sessions.values():
            for link in list(session.links.values()):
                if link.node.needs_token and not self.is_granted(link.node.path):
                    link.refuse(expired)
        if self._grants:
            self._watch_expiry()
