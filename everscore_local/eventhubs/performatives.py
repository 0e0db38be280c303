"""AMQP 1.0 frames: the nine performatives, SASL, and the frame around them.

Source: OASIS AMQP 1.0, parts 2 (transport) and 5 (security). Every field is sent, even a trailing null:
azure-eventhub 5.15.1 indexes them without looking (Azure/azure-sdk-for-python#47660).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from . import codec

PROTOCOL_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"

MAX_FRAME_SIZE = 1024 * 1024
"""Bytes of the largest frame taken."""
SMALLEST_MAX_FRAME_SIZE = 512
"""Bytes of a frame that every peer must take (AMQP 1.0, 2.3.1)."""
CHANNEL_MAX = 1023
HANDLE_MAX = 65_535

_AMQP_TYPE = 0
_SASL_TYPE = 1


class Performative(IntEnum):
    """What a frame says; the number is its descriptor."""

    OPEN = 0x10
    BEGIN = 0x11
    ATTACH = 0x12
    FLOW = 0x13
    TRANSFER = 0x14
    DISPOSITION = 0x15
    DETACH = 0x16
    END = 0x17
    CLOSE = 0x18


class Sasl(IntEnum):
    """The SASL frames in use; the number is their descriptor."""

    MECHANISMS = 0x40
    INIT = 0x41
    OUTCOME = 0x44


_FIELDS = {
    Performative.OPEN: 10,
    Performative.BEGIN: 8,
    Performative.ATTACH: 14,
    Performative.FLOW: 11,
    Performative.TRANSFER: 11,
    Performative.DISPOSITION: 6,
    Performative.DETACH: 3,
    Performative.END: 1,
    Performative.CLOSE: 1,
    Sasl.INIT: 3,
}

# Fields that hold a uint or nothing; some go back to the peer, in a form that only a uint has.
_UINTS: dict[int, tuple[int, ...]] = {
    Performative.OPEN: (2, 4),
    Performative.BEGIN: (1, 2, 3, 4),
    Performative.ATTACH: (1, 9),
    Performative.FLOW: (0, 1, 2, 3, 4, 5, 6, 7),
    Performative.TRANSFER: (0, 1, 3),
    Performative.DISPOSITION: (1, 2),
    Performative.DETACH: (0,),
}
_UINT_LIMIT = 1 << 32


class ProtocolError(Exception):
    """The peer broke the protocol: the connection is closed with this error.

    Attributes:
        condition: The AMQP error condition.
    """

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.condition = condition


class LinkRefusedError(Exception):
    """A link cannot be had, or cannot be kept: it is detached with this error.

    Attributes:
        condition: The AMQP error condition.
    """

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.condition = condition


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame received: its performative's fields, padded to full length, and what follows them."""

    channel: int
    descriptor: int
    fields: list[object]
    payload: bytes


def parse_frame(data: bytes) -> Frame | None:
    """Read one whole frame; None for an empty one (a heartbeat).

    Raises:
        ProtocolError: the frame is malformed.
    """
    start = data[4] * 4
    if start < 8 or start > len(data):
        raise ProtocolError("amqp:connection:framing-error", f"a frame's header cannot be {start} bytes long")
    if start == len(data):
        return None
    try:
        value, end = codec.decode(data, start)
    except codec.DecodeError as error:
        raise ProtocolError("amqp:decode-error", str(error)) from error
    match value:
        case codec.Described(descriptor=int(descriptor), value=list(fields)) if descriptor in _FIELDS:
            # Senders may leave out trailing nulls.
            missing = _FIELDS[descriptor] - len(fields)  # type: ignore[index]  # an IntEnum's key is its int
            if missing < 0:
                raise ProtocolError(
                    "amqp:decode-error", f"performative 0x{descriptor:02x} has too many fields"
                )
            fields.extend([None] * missing)
            for index in _UINTS.get(descriptor, ()):
                field = fields[index]
                if field is not None and not (isinstance(field, int) and 0 <= field < _UINT_LIMIT):
                    raise ProtocolError(
                        "amqp:invalid-field", f"field {index} of performative 0x{descriptor:02x} is no uint"
                    )
            return Frame(int.from_bytes(data[6:8]), descriptor, fields, data[end:])
    raise ProtocolError("amqp:decode-error", "a frame holds no known performative")


def frame(channel: int, body: bytes, kind: int = _AMQP_TYPE) -> bytes:
    """Put the frame header before a body."""
    return struct.pack(">IBBH", len(body) + 8, 2, kind, channel) + body


def sasl_mechanisms(names: tuple[str, ...]) -> bytes:
    """Offer ways to sign in."""
    return frame(0, codec.composite(Sasl.MECHANISMS, codec.symbols(names)), _SASL_TYPE)


def sasl_outcome(code: int) -> bytes:
    """Answer a sign-in: 0 is let in, 1 is refused."""
    return frame(0, codec.composite(Sasl.OUTCOME, codec.ubyte(code), codec.NULL), _SASL_TYPE)


def error(condition: str, description: str) -> bytes:
    """Encode an error, always with its three elements."""
    return codec.composite(0x1D, codec.symbol(condition), codec.string(description), codec.mapping(()))


def open_(container: str) -> bytes:
    """Answer the peer's open."""
    body = codec.composite(
        Performative.OPEN,
        codec.string(container),
        codec.NULL,  # hostname
        codec.uint(MAX_FRAME_SIZE),
        codec.ushort(CHANNEL_MAX),
        *(codec.NULL,) * 6,  # idle time-out, locales, capabilities, properties
    )
    return frame(0, body)


def begin(channel: int, incoming_window: int, outgoing_window: int) -> bytes:
    """Answer the peer's begin on the same channel number."""
    body = codec.composite(
        Performative.BEGIN,
        codec.ushort(channel),
        codec.uint(0),  # next-outgoing-id
        codec.uint(incoming_window),
        codec.uint(outgoing_window),
        codec.uint(HANDLE_MAX),
        *(codec.NULL,) * 3,  # capabilities, properties
    )
    return frame(channel, body)


def _source(address: str) -> bytes:
    return codec.composite(0x28, codec.string(address), *_TERMINUS, *(codec.NULL,) * 5)


def _target(address: str) -> bytes:
    return codec.composite(0x29, codec.string(address), *_TERMINUS, codec.NULL)


# durable, expiry-policy, timeout, dynamic, dynamic-node-properties
_TERMINUS = (codec.uint(0), codec.symbol("session-end"), codec.uint(0), codec.FALSE, codec.NULL)


def attach(
    channel: int,
    handle: int,
    name: str,
    *,
    sender: bool,
    source: str,
    target: str,
    settle_mode: int,
    max_message_size: int,
    is_refused: bool = False,
) -> bytes:
    """Answer the peer's attach.

    Args:
        channel: Of the session.
        handle: Of the link.
        name: Of the link.
        sender: This side sends on it.
        source: Address, as the peer gave it.
        target: Address, as the peer gave it.
        settle_mode: The sender's (snd-settle-mode). A peer that sends must get its own back: told otherwise,
            the .NET client takes its requests, all of one tag, for unsettled, and stumbles over them.
        max_message_size: Bytes of a message.
        is_refused: Leave this side's terminus out, which says that a detach follows (AMQP 1.0, 2.6.3).
    """
    body = codec.composite(
        Performative.ATTACH,
        codec.string(name),
        codec.uint(handle),
        codec.boolean(not sender),
        codec.ubyte(settle_mode),
        codec.ubyte(0),  # rcv-settle-mode first
        codec.NULL if is_refused and sender else _source(source),
        codec.NULL if is_refused and not sender else _target(target),
        codec.NULL,  # unsettled
        codec.FALSE,  # incomplete-unsettled
        codec.uint(0) if sender else codec.NULL,  # initial-delivery-count
        codec.ulong(max_message_size),
        *(codec.NULL,) * 3,  # capabilities, properties
    )
    return frame(channel, body)


@dataclass(frozen=True, slots=True)
class Window:
    """The session's part of a flow."""

    next_incoming_id: int
    incoming_window: int
    next_outgoing_id: int
    outgoing_window: int


def flow(
    channel: int, window: Window, link: tuple[int, int, int] | None = None, *, drain: bool = False
) -> bytes:
    """Tell windows and, for a link given as (handle, delivery-count, credit), its credit."""
    state = (codec.NULL,) * 3 if link is None else tuple(codec.uint(number) for number in link)
    body = codec.composite(
        Performative.FLOW,
        codec.uint(window.next_incoming_id),
        codec.uint(window.incoming_window),
        codec.uint(window.next_outgoing_id),
        codec.uint(window.outgoing_window),
        *state,
        codec.NULL,  # available
        codec.boolean(drain),
        codec.FALSE,  # echo
        codec.NULL,  # properties
    )
    return frame(channel, body)


ACCEPTED = codec.composite(0x24)


def rejected(condition: str, description: str) -> bytes:
    """Encode the outcome of a delivery that was not taken."""
    return codec.composite(0x25, error(condition, description))


def disposition(channel: int, first: int, last: int, outcome: bytes) -> bytes:
    """Settle deliveries received, `first` to `last`."""
    body = codec.composite(
        Performative.DISPOSITION,
        codec.TRUE,  # role: receiver
        codec.uint(first),
        codec.uint(last),
        codec.TRUE,  # settled
        outcome,
        codec.FALSE,  # batchable
    )
    return frame(channel, body)


def detach(channel: int, handle: int, problem: bytes = codec.NULL) -> bytes:
    """Close a link, with an encoded error or none."""
    body = codec.composite(Performative.DETACH, codec.uint(handle), codec.TRUE, problem)
    return frame(channel, body)


def end(channel: int, problem: bytes = codec.NULL) -> bytes:
    """End a session, with an encoded error or none."""
    return frame(channel, codec.composite(Performative.END, problem))


def close(problem: bytes = codec.NULL) -> bytes:
    """Close the connection, with an encoded error or none."""
    return frame(0, codec.composite(Performative.CLOSE, problem))


class TransferFrames:
    """Frames one link's settled deliveries, from parts encoded once.

    The delivery tag is the same for every delivery: it need only differ between unsettled ones, and
    azure-eventhub 5.15.1 keeps each tag it has seen for as long as the link lives.
    """

    def __init__(self, channel: int, handle: int, max_frame_size: int) -> None:
        self._channel = channel
        handle_field = codec.uint(handle)
        tail = (
            codec.binary(b"\x00"),  # delivery-tag
            codec.uint(0),  # message-format
            codec.TRUE,  # settled
        )
        rest = (codec.NULL,) * 5  # rcv-settle-mode, state, resume, aborted, batchable
        # The field delivery-id stands as 0x70 and four bytes, so that lengths never change.
        whole = codec.composite(
            Performative.TRANSFER, handle_field, b"\x70\0\0\0\0", *tail, codec.FALSE, *rest
        )
        split = codec.composite(
            Performative.TRANSFER, handle_field, b"\x70\0\0\0\0", *tail, codec.TRUE, *rest
        )
        at = whole.index(b"\x70\0\0\0\0") + 1
        self._before = struct.pack(">BBH", 2, _AMQP_TYPE, channel) + whole[:at]
        self._last = whole[at + 4 :]
        self._more = split[at + 4 :]
        self._overhead = 8 + len(whole)
        self._room = max_frame_size - self._overhead

    def add(self, out: list[bytes], delivery_id: int, payload: bytes) -> int:
        """Append the frames of one delivery to `out`; gives how many they are."""
        number = delivery_id.to_bytes(4)
        size = len(payload)
        if size <= self._room:
            out += ((self._overhead + size).to_bytes(4), self._before, number, self._last, payload)
            return 1
        frames = 0
        for start in range(0, size, self._room):
            part = payload[start : start + self._room]
            suffix = self._more if start + self._room < size else self._last
            out += ((self._overhead + len(part)).to_bytes(4), self._before, number, suffix, part)
            frames += 1
        return frames
