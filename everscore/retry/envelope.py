"""A message of the retry queue: the items that wait in it, packed, with the number of their schema in clear.

Schema 2 is ``{"schema":2,"items":"…"}``, the items being a MessagePack array, compressed (zlib), in base64.
The number stands outside of what is packed, so that a release that knows none but schema 1 sees that the
message is newer, and puts it back. A reader accepts every older schema.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec

from everscore.event.item import Item
from everscore.failures import EverscoreError
from everscore.quoting import writable
from everscore.retry import schema_1

SCHEMA = 2
# Bytes of the items of one message once unpacked, when written as when read: a few hundred events, or one as
# large as a hub takes. Sixty bytes of zlib can become sixty thousand.
UNPACKED_LIMIT = 2 * 1024 * 1024
# As measured on items of an outage: level 6 takes four times as long for a sixth less.
_COMPRESSION = 1
_HEAD, _TAIL = b'{"schema":%d,"items":"' % SCHEMA, b'"}'


class UnreadableEnvelopeError(EverscoreError):
    """What should be a message, a dead letter or a claim check of ours is none."""


class NewerEnvelopeError(EverscoreError):
    """It was written by a newer release, and is kept for that."""


class Envelope(msgspec.Struct):
    """A message of the retry queue, read."""

    items: list[Item]
    schema: int = SCHEMA


class _Envelope2(msgspec.Struct):
    items: bytes
    schema: int


class _Numbered(msgspec.Struct):
    schema: int


_numbered_decoder = msgspec.json.Decoder(_Numbered)
_envelope_decoder = msgspec.json.Decoder(_Envelope2)
_items_decoder = msgspec.msgpack.Decoder(list[Item])
_item_encoder = msgspec.msgpack.Encoder()
# RecursionError: brackets nested by the thousand, even in a field that no reader knows. MemoryError: an array
# that says of itself how long it is.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, MemoryError, zlib.error)


@contextmanager
def unreadable() -> Iterator[None]:
    """What a decoder raises in the block means that the data is none of ours.

    Raises:
        UnreadableEnvelopeError: in place of that.
    """
    try:
        yield
    except _UNREADABLE as error:
        raise UnreadableEnvelopeError(str(error)) from error


def schema_of(data: bytes) -> int:
    """The schema number of a JSON text that this release reads.

    Raises:
        NewerEnvelopeError: it is newer than this release knows.
        UnreadableEnvelopeError: there is none, or one that was never in use.
    """
    with unreadable():
        schema = _numbered_decoder.decode(data).schema
    if schema > SCHEMA:
        raise NewerEnvelopeError(
            f"schema {schema} is newer than {SCHEMA}, the newest that this release reads"
        )
    if schema < 1:
        raise UnreadableEnvelopeError(f"schema {schema} was never in use")
    return schema


def decode_envelope(message: bytes) -> Envelope:
    """Read a message of the retry queue, of this schema or of schema 1.

    Raises:
        NewerEnvelopeError: its schema is newer than this release knows.
        UnreadableEnvelopeError: it is no envelope, or one without items.
    """
    schema = schema_of(message)
    with unreadable():
        if schema == 1:
            items = schema_1.read_envelope(message)
        else:
            items = _items_decoder.decode(_unpacked(_envelope_decoder.decode(message).items))
            _check_writable(items)
    if not items:
        raise UnreadableEnvelopeError("the envelope holds no item")
    return Envelope(items, schema)


def _check_writable(items: Sequence[Item]) -> None:
    """MessagePack holds values that JSON does not: their items could never become dead letters.

    What the trigger and the hub give are values of JSON, so that no message of ours holds others.

    Raises:
        UnreadableEnvelopeError: an item has such a value.
    """
    try:
        msgspec.json.encode([(item.properties, item.system, item.shadow) for item in items])
    except TypeError as error:
        raise UnreadableEnvelopeError(f"an item holds what JSON cannot: {error}") from error


def _unpacked(data: bytes) -> bytes:
    reading = zlib.decompressobj()
    unpacked = reading.decompress(data, UNPACKED_LIMIT + 1)
    if len(unpacked) > UNPACKED_LIMIT:
        raise UnreadableEnvelopeError(f"its items unpack to more than {UNPACKED_LIMIT} bytes")
    if not reading.eof or reading.unused_data:
        raise UnreadableEnvelopeError("its items do not end where they should")
    return unpacked


def encode_item(item: Item) -> bytes:
    """One item in MessagePack, to be put together with others by ``encode_envelope``."""
    try:
        return _item_encoder.encode(item)
    except (UnicodeEncodeError, OverflowError):
        kept = (bytes, bytearray, memoryview, datetime)
        return _item_encoder.encode(encodable(msgspec.to_builtins(item, builtin_types=kept)))


def encode_envelope(items: Sequence[bytes]) -> bytes:
    """A message of items that ``encode_item`` has encoded."""
    packed = zlib.compress(_item_encoder.encode([msgspec.Raw(item) for item in items]), _COMPRESSION)
    return _HEAD + base64.b64encode(packed) + _TAIL


_LEAST, _MOST = -(2**63), 2**64 - 1


def encodable(value: object) -> object:
    """A value of a property that every encoding takes: what it cannot hold is spelt out.

    A JSON text can hold a lone surrogate, which UTF-8 cannot, and an integer of any length. An item that
    cannot be encoded would have no place to go.
    """
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, dict):
        return {encodable(name): encodable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [encodable(inner) for inner in value]
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        return str(value)
    return value
