"""The identity of an event: texts that any Cosmos DB SDK can read, made from whatever producers send."""

from __future__ import annotations

import hashlib
import re

from everscore.event.item import Source

ID_LIMIT = 900  # bytes; the service takes 1,023 of id
PK_LIMIT = 2_000  # bytes; the service takes 2,048 of partition key

_PLAIN = re.compile(r"[A-Za-z0-9\-_.]*")


def encode(value: str | float) -> str:
    r"""One field of an identity as a text of A–Z a–z 0–9 - _ . and ``~``.

    A text's other bytes (UTF-8) become ``~`` and two hex digits; a number ``~n`` and its text. Reversible
    and free of collisions, so that ``/ \ ? #``, which the service refuses in an id, can be in a key.
    """
    if isinstance(value, str):
        # "." and ".." alone would be taken for path segments and vanish from the document's address.
        if _PLAIN.fullmatch(value) and value not in (".", ".."):
            return value
        return "".join(
            chr(byte) if _plain_byte(byte) and value not in (".", "..") else f"~{byte:02x}"
            for byte in value.encode("utf-8", "surrogatepass")
        )
    return "~n" + encode(repr(value))


def _plain_byte(byte: int) -> bool:
    return byte < 128 and (chr(byte).isalnum() or byte in b"-_.")


def encode_id(value: str | float) -> str:
    """An id: encoded, or ``~h`` and the SHA-256 of the encoded form where that is over 900 bytes."""
    encoded = encode(value)
    return encoded if len(encoded) <= ID_LIMIT else "~h" + hashlib.sha256(encoded.encode()).hexdigest()


def bucket(value: str | float, buckets: int) -> int:
    """The bucket of a value: SHA-256 of its encoded form, first 8 bytes, big-endian, modulo ``buckets``."""
    digest = hashlib.sha256(encode(value).encode()).digest()
    return int.from_bytes(digest[:8], "big") % buckets


def source_id(source: Source, body: bytes) -> str:
    """The id of an event whose stream maps none: its place in the hub, or else its content.

    The place counts only where hub, partition, sequence number and enqueued time are all known, since two
    events could share what is left of it. Otherwise: the SHA-256 of the body. The record's index stands
    behind either.
    """
    if source.place is None:
        return f"~b{hashlib.sha256(body).hexdigest()}.{source.index}"
    place = (source.hub, source.partition, source.sequence_number, source.enqueued_at, source.index)
    return encode_id(".".join(map(str, place)))
