"""What travels with an event that is not stored yet: the retry queue's envelope and the dead letter.

Both carry the same item. A reader accepts every older schema; a newer one, met after a rollback, is put back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from everscore.event.item import Braked, Item, Step
from everscore.failures import EverscoreError

SCHEMA = 1
# Storage queues take 64 KiB a message; the limit below leaves room for the XML around it and for growth.
MESSAGE_LIMIT = 48 * 1024
# base64 makes 4 characters of 3 bytes.
_RAW_LIMIT = MESSAGE_LIMIT // 4 * 3


class UnreadableEnvelopeError(EverscoreError):
    """A message of the retry queue is no envelope of ours."""


class NewerEnvelopeError(EverscoreError):
    """An envelope was written by a newer release: it is put back for it."""


class Shared(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What most items of an envelope would say alike: it holds for each that says nothing of its own.

    In an outage this is a third of an item. Only what a reader can do without is here, since one that is
    older does not know of it: nothing of identity, age or counts, and nothing of a waiting dead letter.
    """

    stage: str | None = None
    reason: str | None = None
    exception: str | None = None
    failure_class: str | None = None
    first_failed_at: str | None = None
    traceparent: str | None = None
    history: tuple[Step, ...] = ()


class Envelope(msgspec.Struct, rename="camel"):
    """A message of the retry queue."""

    items: list[Item]
    schema: int = SCHEMA
    shared: Shared = Shared()


class DeadLetter(msgspec.Struct, rename="camel"):
    """A blob of the dead-letter container; its item's body is always inline."""

    item: Item
    failed_at: str
    schema: int = SCHEMA


class _Schema(msgspec.Struct):
    schema: int


class _Item1(Item):
    """An item as schema 1 wrote it: that it is braked was a yes or no."""

    braked: Braked | bool | None = None  # type: ignore[assignment]


class _Envelope1(msgspec.Struct, rename="camel"):
    items: list[_Item1]
    schema: int
    shared: Shared = Shared()


class _DeadLetter1(msgspec.Struct, rename="camel"):
    item: _Item1
    failed_at: str
    schema: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Envelope1)
_item_decoder = msgspec.json.Decoder(_Item1)
_letter_decoder = msgspec.json.Decoder(_DeadLetter1)
_schema_decoder = msgspec.json.Decoder(_Schema)
# RecursionError: brackets nested by the thousand, even in a field that no reader knows.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _encode(value: msgspec.Struct) -> bytes:
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        # A lone surrogate, which a JSON text can hold and UTF-8 cannot, in a field's name, a property or an
        # exception's text. It is spelt out, since an item that cannot be encoded has no place to go.
        return _encoder.encode(_encodable(msgspec.to_builtins(value)))


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_encodable(inner) for inner in value]
    return value


def decode_envelope(message: bytes) -> Envelope:
    """Read a message of the retry queue.

    Raises:
        NewerEnvelopeError: its schema is newer than this release knows.
        UnreadableEnvelopeError: it is no envelope, or one without items.
    """
    _check_schema(message)
    try:
        written = _decoder.decode(message)
    except _UNREADABLE as error:
        raise UnreadableEnvelopeError(str(error)) from error
    envelope = Envelope([_lifted(item) for item in written.items], written.schema, written.shared)
    if not envelope.items:
        raise UnreadableEnvelopeError("the envelope holds no item")
    for name, said in _said(envelope.shared):
        for item in envelope.items:
            if _said_by(item, name) is None:
                setattr(item, name, list(said) if isinstance(said, tuple) else said)
    return envelope


def decode_dead_letter(blob: bytes) -> DeadLetter:
    """Read a dead-letter blob.

    Raises:
        NewerEnvelopeError: its schema is newer than this release knows.
        UnreadableEnvelopeError: it is no dead letter.
    """
    _check_schema(blob)
    try:
        written = _letter_decoder.decode(blob)
    except _UNREADABLE as error:
        raise UnreadableEnvelopeError(str(error)) from error
    return DeadLetter(_lifted(written.item), written.failed_at, written.schema)


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """The blob's bytes."""
    return _encode(letter)


def _lifted(written: _Item1) -> Item:
    """An item of schema 1: one that was braked has been so since it entered the queue."""
    fields = msgspec.structs.asdict(written)
    if isinstance(written.braked, bool):
        since = Braked(at=written.queued_at or "", configuration="")
        fields["braked"] = since if written.braked else None
    return Item(**fields)


def _check_schema(data: bytes) -> None:
    try:
        schema = _schema_decoder.decode(data).schema
    except _UNREADABLE as error:
        raise UnreadableEnvelopeError(str(error)) from error
    if schema > SCHEMA:
        raise NewerEnvelopeError(
            f"schema {schema} is newer than {SCHEMA}, the newest that this release reads"
        )
    if schema < 1:
        raise UnreadableEnvelopeError(f"schema {schema} was never in use")


def encode_item(item: Item) -> bytes:
    """An item alone, as a claim-check blob holds it."""
    return _encode(item)


def decode_item(data: bytes) -> Item:
    """Read a claim-check blob.

    Raises:
        UnreadableEnvelopeError: it is no item.
    """
    try:
        return _lifted(_item_decoder.decode(data))
    except _UNREADABLE as error:
        raise UnreadableEnvelopeError(str(error)) from error


# What a slim item keeps when the rest of it lies in a blob: all that decides its fate without reading it.
_SLIM = (
    "source", "attempts", "unexpected", "crashes", "braked", "first_failed_at", "queued_at", "dead_letter",
    "letter",
    "stage", "reason", "failure_class",
)  # fmt: skip


def slim(item: Item, blob: str) -> Item:
    """The item that points at its claim-check blob."""
    return Item(blob=blob, **{name: getattr(item, name) for name in _SLIM})


def restore(pointer: Item, whole: Item) -> Item:
    """The item of a claim-check blob, with what its message knows better.

    It points at no blob any more: whatever has a body of its own must never be read from elsewhere again.
    """
    for name in _SLIM:
        setattr(whole, name, getattr(pointer, name))
    whole.blob = None
    return whole


class Packed(msgspec.Struct, frozen=True):
    """One message and what it holds."""

    message: bytes
    items: list[Item]


# Left free where there are several messages: tries are counted up, and what was one message is to stay one.
_GROWTH = 512
_FRESH = Item()
_HEAD, _TAIL = b'{"items":[', b'],"schema":%d}' % SCHEMA


def pack(items: Sequence[Item], limit: int = _RAW_LIMIT) -> tuple[list[Packed], list[Item]]:
    """Fill messages with items, each message below the limit in its final encoding.

    Args:
        items: in order; the order is kept.
        limit: bytes of a message before base64.

    Returns:
        The messages, and the items that alone are too large for one: they need a claim check.
    """
    shared = _shared_by(items)
    tail = b'],"schema":%d,"shared":%b}' % (SCHEMA, _encode(shared)) if shared != Shared() else _TAIL
    encoded = [encode_item(_without(item, shared)) for item in items]
    room = limit - len(_HEAD) - len(tail)
    if sum(map(len, encoded)) + len(encoded) > room:
        room -= _GROWTH
    messages: list[Packed] = []
    too_large: list[Item] = []
    texts: list[bytes] = []
    packed: list[Item] = []
    size = 0

    def close() -> None:
        if texts:
            messages.append(Packed(_HEAD + b",".join(texts) + tail, list(packed)))
        texts.clear()
        packed.clear()

    for item, text in zip(items, encoded, strict=True):
        if len(text) > room:
            alone = encode_item(item)
            if len(alone) > limit - len(_HEAD) - len(_TAIL):
                too_large.append(item)
            else:
                close()
                messages.append(Packed(_HEAD + alone + _TAIL, [item]))
                size = 0
            continue
        if texts and size + len(text) + 1 > room:
            close()
            size = 0
        texts.append(text)
        packed.append(item)
        size += len(text) + 1
    close()
    return messages, too_large


def _shared_by(items: Sequence[Item]) -> Shared:
    """What several of the items say alike, of the fields of which each item says something."""
    found: dict[str, Any] = {}
    for name in Shared.__struct_fields__:
        counts = Counter(_said_by(item, name) for item in items)
        for said, count in counts.most_common(1):
            if count > 1 and None not in counts:
                found[name] = said
    return Shared(**found)


def _without(item: Item, shared: Shared) -> Item:
    if item.dead_letter:  # it is not tried again, so that an older release would have no reason to write
        return item
    alike = {name: getattr(_FRESH, name) for name, said in _said(shared) if _said_by(item, name) == said}
    return msgspec.structs.replace(item, **alike) if alike else item


def _said_by(item: Item, name: str) -> str | tuple[Step, ...] | None:
    value = getattr(item, name)
    return tuple(value) or None if isinstance(value, list) else value


def _said(shared: Shared) -> list[tuple[str, str | tuple[Step, ...]]]:
    return [(name, said) for name, said in msgspec.structs.asdict(shared).items() if said not in (None, ())]
