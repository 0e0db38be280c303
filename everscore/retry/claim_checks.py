"""Claim checks: bodies too large for a message lie in a blob, and a pointer to it waits in the queue.

The blob holds what never changes with a try (body, properties, system properties), the pointer all else. So
the blob is written once, however often its event is tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from everscore.event.item import Item
from everscore.failures import Permanent, Stage, Transient
from everscore.ports import Blobs, Hub
from everscore.retry import schema_1
from everscore.retry.dead_letter import encode_json
from everscore.retry.envelope import (
    SCHEMA,
    NewerEnvelopeError,
    UnreadableEnvelopeError,
    schema_of,
    unreadable,
)

# What the blob holds.
_BODY = ("body", "properties", "system", "unwrapped", "record_index")
# What stands in a pointer in any case: all that decides its fate without reading the blob.
_FATE = (
    "kind", "source", "attempts", "unexpected", "crashes", "braked", "first_failed_at", "failed_at",
    "queued_at", "dead_letter", "letter", "stage", "reason", "failure_class",
)  # fmt: skip
# What it says besides, unless that is too much for a message by itself: what stages made of the event, …
_MADE = ("id", "pk", "time", "scores", "unscored", "shadow", "etag", "traceparent")
# … and how its tries went. A blob that was not read is such a try, too, of a pointer that knows nothing else.
_TOLD = ("field", "exception", "history")
_FRESH = Item()


class ClaimCheck(msgspec.Struct):
    """A claim-check blob of schema 2.

    Attributes:
        item: its body, properties and source; or all of it, where its pointer says the least.
    """

    item: Item
    schema: int = SCHEMA


class _Numbered(msgspec.Struct):
    schema: int | None = None


_decoder = msgspec.json.Decoder(ClaimCheck)
_numbered_decoder = msgspec.json.Decoder(_Numbered)


def encode_item(item: Item) -> bytes:
    """A claim-check blob with all of an item."""
    return encode_json(ClaimCheck(item))


def encode_body(item: Item) -> bytes:
    """A claim-check blob with the body of an item, what belongs to it, and its source."""
    return encode_item(Item(source=item.source, **_taken(item, _BODY)))


def decode_item(data: bytes) -> Item:
    """Read a claim-check blob, of this schema or of schema 1.

    Raises:
        UnreadableEnvelopeError: it is none.
        NewerEnvelopeError: its schema is newer than this release knows.
    """
    with unreadable():
        if _numbered_decoder.decode(data).schema is None:
            return schema_1.read_claim_check(data)
        schema_of(data)
        return _decoder.decode(data).item


def pointer(item: Item, blob: str, size: int | None) -> Item:
    """The item that points at a blob with its body."""
    return Item(blob=blob, blob_size=size, **_taken(item, (*_FATE, *_MADE, *_TOLD)))


def slim_pointer(item: Item, blob: str, size: int | None) -> Item:
    """The item that points at a blob with all of it."""
    return Item(blob=blob, blob_size=size, **_taken(item, _FATE))


def shortened(unread: Item) -> Item:
    """A pointer whose blob was not read, without what only tells how its tries went."""
    return msgspec.structs.replace(unread, field=None, exception=None, traceparent=None, history=[])


def restore(unread: Item, stored: Item) -> Item:
    """The item of a pointer and of what its blob holds.

    It points at no blob: whatever has a body of its own must never be read from elsewhere again.
    """
    made = unread if _says(unread, _MADE) else stored
    told = unread if _says(unread, _TOLD) else stored
    return Item(
        **_taken(unread, _FATE), **_taken(made, _MADE), **_taken(told, _TOLD), **_taken(stored, _BODY)
    )


def _says(item: Item, names: tuple[str, ...]) -> bool:
    return any(getattr(item, name) != getattr(_FRESH, name) for name in names)


def _taken(item: Item, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(item, name) for name in names}


@dataclass(frozen=True, slots=True)
class Redeemed:
    """An item with its body.

    Attributes:
        item: points nowhere.
        unread: the pointer that it was, where its blob holds the body still and nothing else.
    """

    item: Item
    unread: Item | None = None

    def put_back(self) -> Item:
        """The item for its next try: a pointer to the same blob, where there is one."""
        unread = self.unread
        if unread is None or unread.blob is None:
            return self.item
        return pointer(self.item, unread.blob, unread.blob_size)


class ClaimChecks:
    """Reads bodies back: from the claim-check blob, and, where that is gone, from the hub by the source.

    Args:
        blobs: where claim checks lie.
        hub: where events lie until retention takes them.
    """

    def __init__(self, blobs: Blobs, hub: Hub) -> None:
        self._blobs = blobs
        self._hub = hub

    async def redeem(self, item: Item) -> Redeemed:
        """The item with its body; one that has it already comes back as it is.

        Raises:
            Permanent: the body is gone everywhere (reason ``body expired``), or the blob is none of ours.
            Failure: blobs or hub do not answer.
        """
        if item.blob is None:
            return Redeemed(item)
        data = await self._blobs.get_claim_check(item.blob)
        if data is None:
            return Redeemed(await self._from_hub(item))
        try:
            stored = decode_item(data)
        except UnreadableEnvelopeError as error:
            item.body = data
            detail = f"the blob {item.blob} holds no event: {error}"
            raise Permanent(Stage.RETRY, "claim check unreadable", detail) from error
        except NewerEnvelopeError as error:
            detail = f"the blob {item.blob}: {error}; deploy the release that wrote it, or a later one"
            raise Transient(Stage.RETRY, "newer schema of a claim check", detail) from error
        return Redeemed(restore(item, stored), None if _says(stored, (*_MADE, *_TOLD)) else item)

    async def _from_hub(self, item: Item) -> Item:
        found = await self._hub.fetch(item.source)
        if found is None:
            raise Permanent(
                Stage.RETRY,
                "body expired",
                f"the claim check {item.blob} is gone, and so is the event in the hub",
            )
        # The hub holds whole bodies: a record comes back with its neighbours, which identity makes harmless.
        item.body, item.properties = found.body, found.properties or None
        item.unwrapped, item.record_index, item.blob, item.blob_size = False, None, None, None
        return item
