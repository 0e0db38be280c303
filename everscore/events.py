"""From the bytes of an event to a payload with an identity, each event on its own."""

from __future__ import annotations

import hashlib
import importlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from everscore import plain, unwrapping
from everscore.envelope import Item
from everscore.failures import Failure, Permanent, SettingError, Stage, Unexpected
from everscore.stream import Stream

GZIP_MAGIC = b"\x1f\x8b"
# Below this many brackets a payload cannot nest too deep, and need not be walked.
_SAFE_BRACKETS = plain.DEPTH_LIMIT
# Every digit as 0: a search for 16 of them then costs a tenth of what a regular expression does.
_DIGITS = bytes(ord("0") if chr(byte) in "0123456789" else byte for byte in range(256))
_LONG_NUMBER = b"0" * 16
# Bytes of a gzip member that zlib gets at first; then twice as many each time.
_FIRST_PIECE = 512
_any = msgspec.json.Decoder()

type Hook = Callable[[list[bytes]], Sequence[object]]


class Done(StrEnum):
    """How an event ended well."""

    STORED = "stored"
    SUPERSEDED = "superseded"


@dataclass(slots=True)
class Event:
    """One event on its way through the pipeline.

    Attributes:
        item: its bytes, its source and what is known of it so far.
        payload: the parsed record, storable.
        key: the fields that its identity was made of.
        fingerprint: SHA-256 of the record's bytes.
        text_numbers: where integers became texts.
        failure: what stopped it, if anything has.
        done: how it ended, once it is in the store.
    """

    item: Item
    payload: Any = None
    key: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    text_numbers: list[str] = field(default_factory=list)
    failure: Failure | None = None
    done: Done | None = None


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
        event.key = found.key
        if item.id is None or item.pk is None or item.time is None:
            item.id, item.pk, item.time = found.id, found.pk, found.time
        return event

    def _decode_with_hook(self, hook: Hook, items: Sequence[Item]) -> Iterator[list[Event]]:
        """Bodies by the own decoder, one call a batch; a raise is narrowed down to the guilty body."""
        results = _call_hook(hook, [item.body for item in items]) if items else []
        for item, result in zip(items, results, strict=True):
            if isinstance(result, Failure):
                yield [Event(item, failure=result)]
            elif self._stream.unwrap == "object":
                yield [self._finish(item, result)]
            else:
                yield list(self._unwrap_decoded(item, result))

    def _finish(self, item: Item, decoded: object) -> Event:
        try:
            payload, text_numbers = plain.clean(decoded)
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
            payload, text_numbers = plain.clean(record)
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


def parse_json(body: bytes) -> tuple[object, list[str]]:
    """Parse one JSON text.

    Returns:
        The payload and the JSON Pointers of integers that became texts.

    Raises:
        Permanent: it is not UTF-8, not JSON, holds a number that is not finite, or nests too deep.
    """
    try:
        payload = _any.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # The slow parser gives positions and fields, and takes what the fast one does not: lone surrogates
        # written as \\ud800, which JSON allows, and a byte order mark.
        payload = _parse_slowly(body)
        return plain.clean(payload)
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > _SAFE_BRACKETS and plain.depth_of(payload) > plain.DEPTH_LIMIT:
        raise plain.too_deep()
    if _LONG_NUMBER in body.translate(_DIGITS):
        return plain.clean(payload)
    return payload, []


def _parse_slowly(body: bytes) -> object:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Permanent(
            Stage.DECODE, "not UTF-8", f"byte {error.start} is {body[error.start]:#04x}: {error.reason}"
        ) from error
    try:
        # NaN and Infinity, which are no JSON, come back as floats: clean() names the field.
        return json.loads(text)
    except RecursionError as error:
        raise plain.too_deep() from error
    except json.JSONDecodeError as error:
        raise Permanent(Stage.DECODE, "not JSON", f"{error.msg} at character {error.pos}") from error
    except ValueError as error:  # an integer of over 4,300 digits
        raise Permanent(Stage.DECODE, "number too long", str(error)[:200]) from error


def decompress(body: bytes, limit: int) -> bytes:
    """Unpack gzip, all members, up to a limit, so that a small body cannot fill the memory.

    What is behind a member comes back from zlib as a copy, so that each gets its bytes piece by piece: tens
    of thousands of empty members would otherwise copy a body of one megabyte as often.

    Raises:
        Permanent: it is corrupt or truncated, or larger than the limit.
    """
    out = bytearray()
    at = 0
    while at < len(body):
        unpacker = zlib.decompressobj(wbits=31)
        size = _FIRST_PIECE
        while not unpacker.eof:
            if at >= len(body):
                raise Permanent(Stage.DECODE, "gzip truncated", "the compressed data ends too early")
            piece = body[at : at + size]
            try:
                out += unpacker.decompress(piece, limit + 1 - len(out))
            except zlib.error as error:
                raise Permanent(Stage.DECODE, "gzip corrupt", str(error)) from error
            if len(out) > limit:
                raise Permanent(
                    Stage.DECODE,
                    "decompressed too large",
                    f"it grows over {limit} bytes (DECOMPRESSED_LIMIT_MIB sets the limit)",
                )
            at += len(piece)
            size *= 2
        at -= len(unpacker.unused_data)
    return bytes(out)


def unexpected(stage: Stage, error: BaseException) -> Unexpected:
    """The failure of an event that met an exception nobody foresaw."""
    failure = Unexpected(stage, f"unexpected {type(error).__name__}", str(error)[:500])
    failure.__cause__ = error
    return failure


def load_hook(setting: str) -> Hook:
    """Import the own decoder that the setting DECODER names.

    Raises:
        SettingError: there is no such module or function.
    """
    module_name, _, name = setting.partition(":")
    try:
        hook = getattr(importlib.import_module(module_name), name)
    except Exception as error:
        raise SettingError(
            f"DECODER is {setting!r}; expected module:function of this app: {type(error).__name__}: {error}."
        ) from error
    if not callable(hook):
        raise SettingError(f"DECODER is {setting!r}; expected a function.")
    found: Hook = hook
    return found


def _call_hook(hook: Hook, bodies: list[bytes]) -> list[object]:
    try:
        results = list(hook(bodies))
        if len(results) != len(bodies):
            raise ValueError(f"the decoder gave {len(results)} results for {len(bodies)} bodies")  # noqa: TRY301
    except Exception as error:  # noqa: BLE001 - foreign code: bisected to the guilty body
        if len(bodies) == 1:
            return [unexpected(Stage.DECODE, error)]
        half = len(bodies) // 2
        return _call_hook(hook, bodies[:half]) + _call_hook(hook, bodies[half:])
    return [_as_failure(result) if isinstance(result, Exception) else result for result in results]


def _as_failure(error: Exception) -> Failure:
    if isinstance(error, Failure):
        return error
    return Permanent(Stage.DECODE, f"decoder: {type(error).__name__}", str(error)[:500])
