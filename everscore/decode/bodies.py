"""From one body, or one record of it, to events with an identity; what fails is the event's own failure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from everscore.config.settings import Settings
from everscore.decode import packing, records
from everscore.decode.json_text import check_json, parse_json
from everscore.event import identity, storable
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.event.stream import Stream
from everscore.failures import Failure, Permanent, Stage, unexpected


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What one body may become.

    Attributes:
        unpacked: bytes that a compressed body may grow to; for one event never more than a document holds.
        records: events that it may hold.
    """

    unpacked: int = 16 * 1024 * 1024
    records: int = 5_000

    @classmethod
    def of(cls, settings: Settings) -> BodyLimits:
        """The limits that the settings name."""
        return cls(settings.decompressed_limit_mib * 1024 * 1024, settings.body_limit_records)


class Bodies:
    """Reads bodies by the rules of a stream."""

    def __init__(self, stream: Stream, limits: BodyLimits) -> None:
        self._stream = stream
        self._limits = limits
        self._one_limit = min(limits.unpacked, storable.SIZE_LIMIT)

    def holds_one(self, item: Item) -> bool:
        """Whether an item's body is one event."""
        return item.unwrapped or self._stream.unwrap == "object"

    def is_plain(self, item: Item) -> bool:
        """Whether an item's body is one event, neither compressed nor in another encoding."""
        body = item.body
        return self.holds_one(item) and bool(body) and (item.unwrapped or body[0] not in packing.SPECIAL)

    def most(self, item: Item) -> int:
        """Bytes that an item's body may take until it is a text in UTF-8, at most."""
        if item.unwrapped or not packing.is_packed(item.body):
            return packing.RECODED * len(item.body)
        return (1 + packing.RECODED) * min(len(item.body) * packing.MOST_GROWTH, self._limit(item) + 1)

    def _limit(self, item: Item) -> int:
        return self._one_limit if self.holds_one(item) else self._limits.unpacked

    def text(self, item: Item, room: packing.Room) -> bytes:
        """The body's text in UTF-8.

        Args:
            item: that has the body.
            room: takes so many bytes of memory, or returns false.

        Raises:
            NoRoomError: there is no memory for it.
            Permanent: it is empty, cannot be unpacked, or is not in the encoding that its mark names.
        """
        body = item.body
        if not body:
            raise Permanent(Stage.DECODE, "empty body", "the event carries no data")
        if item.unwrapped:  # it stood in a text that was read already
            return body
        if packing.is_packed(body):
            limit = self._limit(item)
            document_ends_it = limit < self._limits.unpacked
            hint = "a document holds no more" if document_ends_it else "DECOMPRESSED_LIMIT_MIB sets the limit"
            body = packing.decompress(body, limit, hint, room)
        return packing.to_utf8(body, room)

    def event(self, item: Item, text: bytes) -> Event:
        """The event that a text holds."""
        try:
            return self._identify(item, *parse_json(text))
        except Exception as error:  # noqa: BLE001 - this one event's own: its neighbours go on
            return failed(item, error)

    def split(self, text: bytes) -> Sequence[msgspec.Raw | memoryview]:
        """The bytes of each record of a text, as views.

        Raises:
            Permanent: it holds none, too many, or cannot be taken apart.
        """
        try:
            found = records.split(text, wrapped=self._stream.unwrap == "records", limit=self._limits.records)
        except records.TooManyRecordsError:
            raise self._too_many() from None
        except records.NotWrappedError as error:
            check_json(text)  # a clearer failure, where it is no JSON at all
            raise Permanent(Stage.DECODE, "not wrapped as declared", str(error)) from error
        if not found:
            raise Permanent(Stage.DECODE, "no records", "the list of records is empty")
        return found

    def _too_many(self) -> Permanent:
        return Permanent(
            Stage.DECODE,
            "too many records",
            f"the body holds over {self._limits.records} (BODY_LIMIT_RECORDS sets the limit)",
        )

    def record(self, item: Item, record: bytes, index: int) -> Event:
        """The event of one record out of an item's body."""
        return self.event(_at_index(item, record, index), record)

    def decoded(self, item: Item, decoded: object) -> Event:
        """The event that an own decoder made of a body."""
        try:
            return self._identify(item, *storable.clean(decoded))
        except Exception as error:  # noqa: BLE001 - this one event's own: its neighbours go on
            return failed(item, error)

    def unwrap_decoded(self, item: Item, decoded: object) -> list[object]:
        """The records that an own decoder made of a body.

        Raises:
            Permanent: there are none, or too many.
        """
        found = decoded
        if self._stream.unwrap == "records" and isinstance(decoded, dict):
            found = decoded.get("records")
        if not isinstance(found, list) or not found:
            raise Permanent(Stage.DECODE, "no records", "the decoder gave no list of records")
        if len(found) > self._limits.records:
            raise self._too_many()
        if item.record_index is not None and item.record_index >= len(found):
            detail = f"the decoder gave {len(found)}, wanted is [{item.record_index}]"
            raise Permanent(Stage.DECODE, "no such record", detail)
        return found

    def decoded_record(self, item: Item, record: object, index: int) -> Event:
        """The event of one record that an own decoder made of a body."""
        # A record out of a decoded body has no bytes of its own: its JSON is its body from here on. While it
        # has none, it is the whole body and its place in there.
        try:
            payload, long_integers = storable.clean(record)
            text = json.dumps(payload, separators=(",", ":")).encode()
        except Exception as error:  # noqa: BLE001 - this one record's own: its neighbours go on
            return failed(_record_of(item, index), error)
        whole = _at_index(item, text, index)
        try:
            return self._identify(whole, payload, long_integers)
        except Exception as error:  # noqa: BLE001 - this one event's own: its neighbours go on
            return failed(whole, error)

    def _identify(self, item: Item, payload: object, long_integers: bool) -> Event:
        if not isinstance(payload, dict):
            raise Permanent(
                Stage.DECODE, "not an object", f"a JSON object is needed, found {type(payload).__name__}"
            )
        event = Event(
            item,
            payload,
            fingerprint=hashlib.sha256(item.body).hexdigest(),
            long_integers=long_integers,
        )
        # Identity that was found once is kept, so that a new rule never doubles a document.
        kept = None if item.id is None or item.pk is None or item.time is None else (item.pk, item.id)
        try:
            found = self._stream.identify(payload, item.source, item.properties, item.body)
        except Failure as failure:
            if kept is None:
                event.failure = detached(failure)
            else:
                event.key = identity.read_back(*kept)
            return event
        if kept is None:
            item.id, item.pk, item.time = found.id, found.pk, found.time
        elif kept != (found.pk, found.id):
            event.key = identity.read_back(*kept)
            return event
        event.key, event.clock_ahead = found.key, found.clock_ahead
        return event


def failed(item: Item, error: Exception) -> Event:
    """An event that goes no further, with the failure that it met."""
    failure = error if isinstance(error, Failure) else unexpected(Stage.DECODE, error)
    return Event(item, failure=detached(failure))


def detached(failure: Failure) -> Failure:
    """The failure without where it was raised and what it was raised from: both hold bodies and payloads."""
    failure.__traceback__ = failure.__cause__ = failure.__context__ = None
    return failure


def _at_index(item: Item, body: bytes, index: int) -> Item:
    copy = msgspec.structs.replace(item)
    copy.body = body
    # Of the whole body, if at all; each record has its own.
    copy.id = copy.pk = copy.time = copy.scores = copy.unscored = None
    # One record alone answers for the dead letter that the body was redriven from: the one of that name.
    copy.letter = item.letter if index == item.source.index else None
    copy.unwrapped, copy.record_index = True, None
    copy.source = msgspec.structs.replace(item.source, index=index)
    return copy


def _record_of(item: Item, index: int) -> Item:
    copy = _at_index(item, item.body, index)
    copy.unwrapped, copy.record_index = False, index
    return copy
