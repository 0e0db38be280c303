"""A dead letter: one blob, with its event whole, and a name that follows from where the event came from."""

from __future__ import annotations

import msgspec

from everscore.event.item import Item
from everscore.retry import schema_1
from everscore.retry.envelope import SCHEMA, encodable, schema_of, unreadable

# What a header of blob metadata holds: printable ASCII, of a length that leaves room for the others.
_METADATA_LIMIT = 256


class DeadLetter(msgspec.Struct, rename="camel"):
    """A blob of the dead-letter container; its item's body is always inline.

    Attributes:
        item: all that is known of the event.
        failed_at: when the letter was written.
    """

    item: Item
    failed_at: str
    schema: int = SCHEMA


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DeadLetter)


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """The blob's bytes: JSON, the body in base64."""
    return encode_json(letter)


def decode_dead_letter(blob: bytes) -> DeadLetter:
    """Read a dead letter, of this schema or of schema 1.

    Raises:
        NewerEnvelopeError: its schema is newer than this release knows.
        UnreadableEnvelopeError: it is no dead letter.
    """
    schema = schema_of(blob)
    with unreadable():
        if schema == 1:
            return DeadLetter(*schema_1.read_dead_letter(blob), schema)
        return _decoder.decode(blob)


def encode_json(value: msgspec.Struct) -> bytes:
    """A struct as JSON; what UTF-8 cannot hold is spelt out."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(encodable(msgspec.to_builtins(value)))


def metadata_of(letter: DeadLetter) -> dict[str, str]:
    """What a listing shows of a letter without reading it; what is empty is left out."""
    item = letter.item
    metadata = {
        "stage": ascii_text(item.stage or ""),
        "reason": item.reason or "",
        "failedat": ascii_text(letter.failed_at),
        "enqueuedat": item.source.enqueued_at or "",
    }
    return {key: plain for key, text in metadata.items() if (plain := ascii_text(text))}


def ascii_text(text: str) -> str:
    """A text as blob metadata can carry it: printable ASCII, other characters as ``?``, bounded."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:_METADATA_LIMIT].strip()
