"""From the bytes of an event to a payload with an identity, each event on its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

import msgspec

from everscore.decode import records as unwrapping
from everscore.decode.json_text import GZIP_MAGIC, decompress, parse_json
from everscore.decode.own_decoder import Hook, call_hook
from everscore.event import storable
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.event.stream import Stream
from everscore.failures import Failure, Permanent, Stage, unexpected


class Decoder:
    """Turns items into events by the rules of a stream.

    Args:
        stream: how a body is unwrapped, and where identity and time stand.
        decompressed_limit: bytes that a compressed body may grow to.
        hook: an own decoder for bodies that are no JSON; called once a batch.
    """

    def __init__(self, stream: Stream, *, decompressed_limit: int, hook: Hook | None = None) -> None:
        self._stream = stream
        self._limit = decompressed_limit
        self._hook = hook

    def decode(self, items: Sequence[Item]) -> list[Event]:
        """Decode and validate; an event that fails comes back with its failure, never as an exception.

        A body that holds several records gives one event for each.
        """
        if self._hook is None:
            return [event for item in items for event in self._decode_one(item)]
        decoded = iter(self._decode_with_hook(self._hook, [item for item in items if not item.unwrapped]))
        events: list[Event] = []
        for item in items:
            events.extend(self._decode_one(item) if item.unwrapped else next(decoded))
        return events

    def _decode_one(self, item: Item) -> Iterator[Event]:
        try:
            _refuse_empty(item.body)
            if item.unwrapped or self._stream.unwrap == "object":
                payload, text_numbers = self._parse(item.body)
                yield self._identify(item, payload, text_numbers)
                return
            records = self._split(item.body)
        except Failure as failure:
            yield Event(item, failure=failure)
            return
        except Exception as error:  # noqa: BLE001 - this one event's own: its neighbours go on
            yield Event(item, failure=unexpected(Stage.DECODE, error))
            return
        for record in _record_items(item, records):
            yield from self._decode_one(record)

    def _parse(self, body: bytes) -> tuple[object, list[str]]:
        if body.startswith(GZIP_MAGIC):
            body = decompress(body, self._limit)
        return parse_json(body)

    def _split(self, body: bytes) -> list[bytes]:
        if body.startswith(GZIP_MAGIC):
            body = decompress(body, self._limit)
        try:
            records = unwrapping.split(body, wrapped=self._stream.unwrap == "records")
        except unwrapping.NotWrappedError as error:
            parse_json(body)  # a clearer failure, where it is no JSON at all
            raise Permanent(Stage.DECODE, "not wrapped as declared", str(error)) from error
        if not records:
            raise Permanent(Stage.DECODE, "no records", "the list of records is empty")
        return records

    def _identify(self, item: Item, payload: object, text_numbers: list[str]) -> Event:
        if not isinstance(payload, dict):
            raise Permanent(
                Stage.DECODE, "not an object", f"a JSON object is needed, found {type(payload).__name__}"
            )
        event = Event(
            item, payload, fingerprint=hashlib.sha256(item.body).hexdigest(), text_numbers=text_numbers
        )
        try:
            found = self._stream.identify(payload, item.source, item.properties, item.body, text_numbers)
        except Failure as failure:
            # Identity that was found once is kept, so that a new rule never doubles a document.
            if item.id is None or item.pk is None or item.time is None:
                event.failure = failure
            return event
        event.key, event.clock_ahead = found.key, found.clock_ahead
        if item.id is None or item.pk is None or item.time is None:
            item.id, item.pk, item.time = found.id, found.pk, found.time
        return event

    def _decode_with_hook(self, hook: Hook, items: Sequence[Item]) -> Iterator[list[Event]]:
        """Bodies by the own decoder, one call a batch; a raise is narrowed down to the guilty body."""
        results = call_hook(hook, [item.body for item in items]) if items else []
        for item, result in zip(items, results, strict=True):
            if isinstance(result, Failure):
                yield [Event(item, failure=result)]
            elif self._stream.unwrap == "object":
                yield [self._finish(item, result)]
            else:
                yield list(self._unwrap_decoded(item, result))

    def _finish(self, item: Item, decoded: object) -> Event:
        try:
            payload, text_numbers = storable.clean(decoded)
            return self._identify(item, payload, text_numbers)
        except Failure as failure:
            return Event(item, failure=failure)
        except Exception as error:  # noqa: BLE001 - this one event's own: its neighbours go on
            return Event(item, failure=unexpected(Stage.DECODE, error))

    def _unwrap_decoded(self, item: Item, decoded: object) -> Iterator[Event]:
        records = decoded
        if self._stream.unwrap == "records" and isinstance(decoded, dict):
            records = decoded.get("records")
        if not isinstance(records, list) or not records:
            failure = Permanent(Stage.DECODE, "no records", "the decoder gave no list of records")
            yield Event(item, failure=failure)
            return
        if item.record_index is None:
            for index, record in enumerate(records):
                yield self._finish_record(item, record, index)
        elif item.record_index < len(records):
            yield self._finish_record(item, records[item.record_index], item.record_index)
        else:
            failure = Permanent(
                Stage.DECODE,
                "no such record",
                f"the decoder gave {len(records)}, wanted is [{item.record_index}]",
            )
            yield Event(item, failure=failure)

    def _finish_record(self, item: Item, record: object, index: int) -> Event:
        # A record out of a decoded body has no bytes of its own: its JSON is its body from here on. While it
        # has none, it is the whole body and its place in there.
        try:
            payload, text_numbers = storable.clean(record)
        except Failure as failure:
            return Event(_record_of(item, index), failure=failure)
        except Exception as error:  # noqa: BLE001 - this one record's own: its neighbours go on
            return Event(_record_of(item, index), failure=unexpected(Stage.DECODE, error))
        whole = _at_index(item, json.dumps(payload, separators=(",", ":")).encode(), index)
        try:
            return self._identify(whole, payload, text_numbers)
        except Failure as failure:
            return Event(whole, failure=failure)
        except Exception as error:  # noqa: BLE001 - this one event's own: its neighbours go on
            return Event(whole, failure=unexpected(Stage.DECODE, error))


def _record_items(item: Item, records: list[bytes]) -> list[Item]:
    return [_at_index(item, record, index) for index, record in enumerate(records)]


def _at_index(item: Item, body: bytes, index: int) -> Item:
    copy = msgspec.structs.replace(item)
    copy.body = body
    copy.id = copy.pk = copy.time = copy.scores = (
        None  # of the whole body, if at all; each record has its own
    )
    # One record alone answers for the dead letter that the body was redriven from: the one of that name.
    copy.letter = item.letter if index == item.source.index else None
    copy.unwrapped, copy.record_index = True, None
    copy.source = msgspec.structs.replace(item.source, index=index)
    return copy


def _record_of(item: Item, index: int) -> Item:
    copy = _at_index(item, item.body, index)
    copy.unwrapped, copy.record_index = False, index
    return copy


def _refuse_empty(body: bytes) -> None:
    if not body:
        raise Permanent(Stage.DECODE, "empty body", "the event carries no data")
