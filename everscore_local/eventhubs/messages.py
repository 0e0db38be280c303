"""AMQP messages: taking published ones apart, making stored and management ones.

Source: OASIS AMQP 1.0, part 3.2 (message format); the annotations' names are what the Event Hubs SDKs read.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from . import codec

BATCH_FORMAT = 0x80013700
"""Message format of an envelope whose data sections are whole encoded messages."""

PARTITION_KEY = "x-opt-partition-key"
_OURS = frozenset({PARTITION_KEY, "x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time"})

_SEQUENCE_FIELD = codec.symbol("x-opt-sequence-number") + b"\x81"
_OFFSET_FIELD = codec.symbol("x-opt-offset") + b"\xa1"
_TIME_FIELD = codec.symbol("x-opt-enqueued-time") + b"\x83"
_ANNOTATIONS = b"\x00\x53\x72\xd1"
_FIXED_SIZE = 4 + len(_SEQUENCE_FIELD) + 8 + len(_OFFSET_FIELD) + 1 + len(_TIME_FIELD) + 8


class Section(IntEnum):
    """The sections of a message; the number is the descriptor."""

    HEADER = 0x70
    DELIVERY_ANNOTATIONS = 0x71
    MESSAGE_ANNOTATIONS = 0x72
    PROPERTIES = 0x73
    APPLICATION_PROPERTIES = 0x74
    DATA = 0x75
    SEQUENCE = 0x76
    VALUE = 0x77
    FOOTER = 0x78


# Plain numbers: comparing with an enumeration's members costs more than all the rest of a section.
_HEADER, _MESSAGE_ANNOTATIONS = int(Section.HEADER), int(Section.MESSAGE_ANNOTATIONS)
_DATA, _FOOTER = int(Section.DATA), int(Section.FOOTER)


class PublishedEvent(NamedTuple):
    """An event as its sender made it, taken apart where the hub adds its own annotations.

    Attributes:
        header: The encoded header section, or nothing.
        annotations: Encoded pairs of the sender's own annotations, the partition key among them.
        annotation_count: Keys and values in `annotations`.
        rest: Everything from the properties on, byte for byte.
    """

    header: bytes
    annotations: bytes
    annotation_count: int
    rest: bytes


def _section(message: bytes, position: int) -> tuple[int, int]:
    """Read a section's descriptor in any of its encodings: the number and the position of its value."""
    if message[position] != 0:
        raise codec.DecodeError(f"no message section at byte {position}")
    descriptor, position = codec.decode(message, position + 1)
    if not isinstance(descriptor, int):
        raise codec.DecodeError(f"unknown message section {descriptor!r}")
    return descriptor, position


def _walk(message: bytes) -> list[tuple[int, int, int, int]]:
    """Find the sections of a message: descriptor, position, position of the value, end.

    Raises:
        codec.DecodeError: the message does not end where its last section does.
    """
    found = []
    position, size = 0, len(message)
    try:
        while position < size:
            # The forms that senders use are read here; what else is allowed takes the longer way.
            if message[position] == 0 and message[position + 1] == 0x53:
                section, start = message[position + 2], position + 3
            else:
                section, start = _section(message, position)
            constructor = message[start]
            if constructor in _SHORT:
                end = start + 2 + message[start + 1]
            elif constructor in _LONG:
                end = start + 5 + int.from_bytes(message[start + 1 : start + 5])
            else:
                end = codec.skip(message, start)
            found.append((section, position, start, end))
            position = end
    except IndexError as error:
        raise codec.DecodeError("the message is cut short") from error
    if position > size:
        raise codec.DecodeError("the message is cut short")
    return found


_SHORT = frozenset({0xA0, 0xC0, 0xC1})
_LONG = frozenset({0xB0, 0xD0, 0xD1})


def publish(message: bytes, message_format: int) -> tuple[list[PublishedEvent], str | None]:
    """Take a published message apart: its events, and the partition key that they share.

    Raises:
        codec.DecodeError: it is not a message, or not a batch of messages.
    """
    if message_format == BATCH_FORMAT:
        return _open_batch(message)
    event, key = _take_apart(message, None)
    return [event], key


def _open_batch(message: bytes) -> tuple[list[PublishedEvent], str | None]:
    key: str | None = None
    bodies: list[bytes] = []
    for section, _, start, end in _walk(message):
        if section == _DATA:
            constructor = message[start]
            if constructor not in {0xA0, 0xB0}:
                raise codec.DecodeError("a data section holds no bytes")
            bodies.append(message[start + (2 if constructor == 0xA0 else 5) : end])
        elif section == _MESSAGE_ANNOTATIONS:
            key = _own_annotations(message[start:end])[2]
    if not bodies:
        raise codec.DecodeError("a batch without an event")
    return [_take_apart(body, key)[0] for body in bodies], key


def _take_apart(message: bytes, envelope_key: str | None) -> tuple[PublishedEvent, str | None]:
    header = b""
    annotations, count, key = b"", 0, None
    rest = 0
    is_body = False
    for section, position, start, end in _walk(message):
        if section > _MESSAGE_ANNOTATIONS:
            if section > _FOOTER:
                raise codec.DecodeError(f"unknown message section 0x{section:02x}")
            is_body = True
            continue
        if is_body or section < _HEADER:  # what a receiver could not read must not get in
            raise codec.DecodeError(f"message section 0x{section:02x} is out of place")
        if section == _MESSAGE_ANNOTATIONS:
            annotations, count, key = _own_annotations(message[start:end])
        elif section == _HEADER:
            header = message[position:end]
        rest = end
    if not is_body:
        raise codec.DecodeError("a message without a body")
    if envelope_key is not None:
        key = envelope_key
    if key is not None:
        annotations += codec.symbol(PARTITION_KEY) + codec.string(key)
        count += 2
    return PublishedEvent(header, annotations, count, message[rest:]), key


@lru_cache(maxsize=256)
def _own_annotations(encoded: bytes) -> tuple[bytes, int, str | None]:
    """Separate the sender's annotations from those that the hub sets: pairs, their count, partition key.

    Cached, since most events of a sender have the same ones, or none.
    """
    values, _ = codec.decode(encoded)
    if not isinstance(values, dict):
        raise codec.DecodeError("message annotations are no map")
    found = values.get(PARTITION_KEY)
    key = found.decode(errors="replace") if isinstance(found, bytes) else found
    if key is not None and not isinstance(key, str):
        raise codec.DecodeError("the partition key is no text")
    if values.keys() <= _OURS:
        return b"", 0, key
    position = 3 if encoded[0] == 0xC1 else 9  # behind constructor, size and count
    kept: list[bytes] = []
    while position < len(encoded):
        name, value_at = codec.decode(encoded, position)
        after = codec.skip(encoded, value_at)
        if name not in _OURS:
            kept.append(encoded[position:after])
        position = after
    return b"".join(kept), 2 * len(kept), key


def bake(event: PublishedEvent, sequence: int, offset: int, enqueued_at: bytes) -> bytes:
    """Encode an event as receivers get it; `enqueued_at` is 8 bytes of milliseconds since 1970."""
    position = b"%d" % offset
    own = event.annotations
    return b"".join(
        (
            event.header,
            _ANNOTATIONS,
            struct.pack(">II", _FIXED_SIZE + len(position) + len(own), 6 + event.annotation_count),
            _SEQUENCE_FIELD,
            sequence.to_bytes(8),
            _OFFSET_FIELD,
            bytes((len(position),)),
            position,
            _TIME_FIELD,
            enqueued_at,
            own,
            event.rest,
        )
    )


def with_delivery_annotations(message: bytes, section: bytes) -> bytes:
    """Put a delivery-annotations section where the format wants it: behind the header."""
    at = codec.skip(message, 0) if message[:3] == b"\x00\x53\x70" else 0
    return message[:at] + section + message[at:]


def runtime_metrics(sequence: int, offset: int, enqueued_at: int, now: int) -> bytes:
    """Encode the partition's state as delivery annotations; times in milliseconds since 1970."""
    pairs = (
        (codec.symbol("last_enqueued_sequence_number"), codec.int64(sequence)),
        (codec.symbol("last_enqueued_offset"), codec.string(str(offset))),
        (codec.symbol("last_enqueued_time_utc"), codec.timestamp(enqueued_at)),
        (codec.symbol("runtime_info_retrieval_time_utc"), codec.timestamp(now)),
    )
    return codec.described(Section.DELIVERY_ANNOTATIONS, codec.mapping(pairs))


@dataclass(frozen=True, slots=True)
class Request:
    """A message to `$cbs` or `$management`.

    Attributes:
        message_id: The encoded id, to be given back as it is.
        reply_to: Address, or link name, of the answer; empty where the sender names none.
        properties: Application properties.
        body: The amqp-value.
    """

    message_id: bytes
    reply_to: str
    properties: dict[str, object]
    body: object


def parse_request(message: bytes) -> Request:
    """Read a request.

    Raises:
        codec.DecodeError: it is not a message.
    """
    message_id, reply_to, body = codec.NULL, "", None
    properties: dict[str, object] = {}
    for section, _, start, _ in _walk(message):
        value, _ = codec.decode(message, start)
        match section, value:
            case Section.PROPERTIES, [_, *others]:
                first = start + {0xC0: 3, 0xD0: 9}[message[start]]
                message_id = message[first : codec.skip(message, first)]
                reply_to = str(others[3]) if len(others) > 3 and others[3] is not None else ""
            case Section.APPLICATION_PROPERTIES, dict():
                properties = {_as_text(name): entry for name, entry in value.items()}
            case Section.VALUE, _:
                body = value
    return Request(message_id, reply_to, properties, body)


def _as_text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def response(correlation_id: bytes, properties: dict[str, bytes], body: bytes) -> bytes:
    """Encode an answer; the values of `properties` and the body are encoded already."""
    return b"".join(
        (
            codec.composite(
                Section.PROPERTIES,
                *(codec.NULL,) * 5,  # message-id, user-id, to, subject, reply-to
                correlation_id,
                *(codec.NULL,) * 7,
            ),
            codec.described(
                Section.APPLICATION_PROPERTIES,
                codec.mapping((codec.string(name), value) for name, value in properties.items()),
            ),
            codec.described(Section.VALUE, body),
        )
    )
