"""The identity of an event: texts that any Cosmos DB SDK can read, made from whatever producers send."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from everscore.event import storable
from everscore.event.item import Source

# The newest schema of stream.json: what makes an identity is said by its number, and never changes under one.
SCHEMA = 2
ID_LIMIT = 900  # bytes; the service takes 1,023 of id
PK_LIMIT = 2_000  # bytes; the service takes 2,048 of partition key

_ESCAPED = re.compile(rb"~([0-9a-f]{2})")
_PLAIN = re.compile(r"[A-Za-z0-9\-_.]*")


def encode(value: str | float, schema: int = SCHEMA) -> str:
    r"""One field of an identity as a text of A–Z a–z 0–9 - _ . and ``~``.

    A text's other bytes (UTF-8) become ``~`` and two hex digits; a number ``~n`` and the shortest text of its
    value. Reversible and free of collisions, so that ``/ \ ? #``, which the service refuses in an id, can be
    in a key.

    Args:
        value: as it was sent.
        schema: of stream.json. Under 1 a number is written as Python does, so that 5 and 5.0 are two; that
            stays so, since documents that are stored under it would not be found any more.
    """
    if isinstance(value, str):
        # "." and ".." alone would be taken for path segments and vanish from the document's address.
        if _PLAIN.fullmatch(value) and value not in (".", ".."):
            return value
        return "".join(
            chr(byte) if _plain_byte(byte) and value not in (".", "..") else f"~{byte:02x}"
            for byte in value.encode("utf-8", "surrogatepass")
        )
    return "~n" + encode(repr(value) if schema == 1 else _number(value))


def _number(value: float) -> str:
    """The text of a number's value: equal numbers have equal texts, however they were written.

    A whole number is its digits, all of them (5, 5.0 and 5e0 are ``5``, -0.0 is ``0``, 1e21 is 1 and 21
    zeros); any other is the shortest text that a double reads back as the same.
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else repr(value)


def _plain_byte(byte: int) -> bool:
    return byte < 128 and (chr(byte).isalnum() or byte in b"-_.")


def decode(text: str) -> str | int | float | None:
    """What `encode` made a text of; None of a hash, and the text itself where it was made in no such way."""
    if text.startswith(("~h", "~b")):
        return None
    try:
        if text.startswith("~n"):
            digits = _unescape(text[2:])
            return int(digits) if digits.lstrip("-").isdigit() else float(digits)
        return _unescape(text)
    except ValueError:
        return text


def _unescape(text: str) -> str:
    plain = _ESCAPED.sub(
        lambda found: bytes.fromhex(found[1].decode()), text.encode("utf-8", "surrogatepass")
    )
    return plain.decode("utf-8", "surrogatepass")


def read_back(pk: str, doc_id: str) -> dict[str, Any]:
    """The key of an identity that was made by a rule that is no longer known, as far as its texts say it.

    A bucket stays a bucket, and of a hash nothing is said.
    """
    key: dict[str, Any] = {"pk": [decode(part) for part in pk.split("|")], "id": decode(doc_id)}
    return {name: storable.spell_long_integers(value)[0] for name, value in key.items() if value is not None}


def encode_id(value: str | float, schema: int = SCHEMA) -> str:
    """An id: encoded, or ``~h`` and the SHA-256 of the encoded form where that is over 900 bytes."""
    encoded = encode(value, schema)
    return encoded if len(encoded) <= ID_LIMIT else "~h" + hashlib.sha256(encoded.encode()).hexdigest()


def bucket(value: str | float, buckets: int, schema: int = SCHEMA) -> int:
    """The bucket of a value: SHA-256 of its encoded form, first 8 bytes, big-endian, modulo ``buckets``."""
    digest = hashlib.sha256(encode(value, schema).encode()).digest()
    return int.from_bytes(digest[:8], "big") % buckets


def source_id(source: Source, body: bytes, schema: int = SCHEMA) -> str:
    """The id of an event whose stream maps none: its place in the hub, or else its content.

    The place counts only where hub, partition, sequence number and enqueued time are all known, since two
    events could share what is left of it. Otherwise: the SHA-256 of the body. The record's index stands
    behind either.

    Args:
        source: where the event came from.
        body: the record's exact bytes.
        schema: of stream.json. From 2 on the hub's name is in lower case, as Event Hubs takes it in any, and
            the enqueued time is cut off at the second, which is all that an archive of the hub keeps. Under 1
            the name is as it was spelt and the time has milliseconds.
    """
    if source.place is None:
        return f"~b{hashlib.sha256(body).hexdigest()}.{source.index}"
    hub, partition, number, second = source.place
    spelt = (source.hub, source.enqueued_at) if schema == 1 else (hub, f"{second}Z")
    return encode_id(".".join(map(str, (spelt[0], partition, number, spelt[1], source.index))))
