"""Names of blobs, each following from where an event came from alone: what comes twice has one name."""

from __future__ import annotations

import hashlib
import json
import re

import msgspec

from everscore.clock import times
from everscore.event.item import Item

# What hubs, partitions and messages of a queue are called, well below the 1,024 characters of a blob's name.
_PLAIN = re.compile(r"[A-Za-z0-9._$-]{1,500}")
# Where letters lie whose event has no time.
UNKNOWN = "unknown/"


def blob_name(item: Item) -> str:
    """Of an item's dead letter; other blobs of it have the same, below a folder of theirs.

    ``<yyyy>/<mm>/<dd>/<hh>/<mmss>-<hub>-<partition>-<sequence>-<index>.json``, by the time of enqueuing.

    That time is in whole seconds, since an archive of the hub keeps no more. Minute and second are part of
    it, since a hub made anew counts from 0 again, perhaps within the hour. Where the time is not known,
    nothing stands in for it that would be another with each try: the name begins with ``unknown/``. Where any
    part of the place is unknown, the item's content stands in for partition and sequence number: two events
    would share what is left. Where the place has characters or a length that no hub gives it, and that the
    service may refuse in a name, its SHA-256 does.
    """
    source = item.source
    if source.place is None:
        where = f"{source.hub or 'unknown'}-{_content_hash(item)}"
    else:
        where = f"{source.place.hub}-{source.place.partition}-{source.place.sequence_number}"
    where = f"{where}-{source.index}"
    if not _PLAIN.fullmatch(where):
        where = hashlib.sha256(where.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_moment(source.enqueued_at)}{where}.json"


def _content_hash(item: Item) -> str:
    """SHA-256 of an item's body and properties, which a repeat has again.

    An id can stand in a property, so that events of equal bodies are two. The body of an item that only
    points at its claim check is not at hand: the blob's name stands in for it.
    """
    content = hashlib.sha256(item.blob.encode() if item.is_pointer and item.blob else item.body)
    if item.properties:
        plain = msgspec.to_builtins(item.properties, str_keys=True)
        content.update(json.dumps(plain, sort_keys=True).encode())
    return content.hexdigest()


def _moment(enqueued_at: str | None) -> str:
    try:
        return f"{times.parse(enqueued_at):%Y/%m/%d/%H/%M%S}-" if enqueued_at else UNKNOWN
    except ValueError:
        return UNKNOWN


def suspect_name(item: Item) -> str:
    """Of the mark that an item has while it is tried as one that may kill the worker."""
    return f"suspects/{blob_name(item)}"


def claim_check_name(item: Item, *, whole: bool) -> str:
    """Of an item's claim check.

    A record never shares a name with the body that it was taken from: while that body's message lives, the
    blob is the only place of the other records.

    Args:
        item: whose body the blob holds.
        whole: the blob holds all else of the item, too.
    """
    is_record = item.unwrapped or item.record_index is not None
    kind = "records" if is_record else "items"
    return f"{kind if whole else f'bodies-of-{kind}'}/{blob_name(item)}"
