"""Messages of the retry queue: read back whole, bounded, older and newer ones told apart."""

from __future__ import annotations

import base64
import contextlib
import zlib
from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from everscore.event.item import Braked, Item, Source, Step
from everscore.event.scores import Scores
from everscore.retry import claim_checks, dead_letter, envelope
from everscore.retry.dead_letter import DeadLetter, decode_dead_letter, encode_dead_letter
from everscore.retry.envelope import (
    UNPACKED_LIMIT,
    NewerEnvelopeError,
    UnreadableEnvelopeError,
    decode_envelope,
    encode_envelope,
    encode_item,
)
from everscore.retry.names import blob_name, suspect_name
from tests.support.items import ITEMS


def message_of(*items: Item) -> bytes:
    """A message that holds items."""
    return encode_envelope([encode_item(item) for item in items])


def packed(data: bytes) -> bytes:
    """A message of this schema with something in the place of its items."""
    return b'{"schema":2,"items":"' + base64.b64encode(data) + b'"}'


@settings(max_examples=50)
@given(st.lists(ITEMS, min_size=1, max_size=4))
def test_items_come_back_as_they_were(items: list[Item]) -> None:
    """Items read back equal from a message, from a claim check and from a dead letter."""
    read = decode_envelope(message_of(*items))
    assert (read.items, read.schema) == (items, 2)
    for item in items:
        assert claim_checks.decode_item(claim_checks.encode_item(item)) == item
        letter = DeadLetter(item=item, failed_at="2026-11-25T10:00:00.000Z")
        assert decode_dead_letter(encode_dead_letter(letter)) == letter


def test_a_release_that_knows_schema_1_alone_sees_that_a_message_is_newer() -> None:
    """Its reader looks at the schema number first, in JSON, and puts back what is above its own."""

    class Schema(msgspec.Struct):  # as everscore.envelope of release 1 had it, decoder and comparison alike
        schema: int

    assert msgspec.json.Decoder(Schema).decode(message_of(Item(body=b"x"))).schema > 1


def test_what_is_empty_is_left_out() -> None:
    """A fresh item is its body alone; names are in camel case, and the body is bytes."""
    assert msgspec.msgpack.decode(encode_item(Item(body=b"\x00"))) == {"body": b"\x00"}
    item = Item(body=b"a", source=Source(sequence_number=0, index=0), kind="event")
    assert msgspec.msgpack.decode(encode_item(item)) == {"body": b"a", "source": {"sequenceNumber": 0}}


def test_a_message_unpacks_to_no_more_than_its_limit() -> None:
    """A few bytes that would fill the memory once unpacked are refused before they do."""
    bomb = packed(zlib.compress(b"\x00" * 50 * UNPACKED_LIMIT, 9))
    assert len(bomb) < UNPACKED_LIMIT
    with pytest.raises(UnreadableEnvelopeError, match="more than 2097152 bytes"):
        decode_envelope(bomb)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"", UnreadableEnvelopeError),
        (b"\xff\xfe", UnreadableEnvelopeError),
        (b"null", UnreadableEnvelopeError),
        (b"[]", UnreadableEnvelopeError),
        (b"{}", UnreadableEnvelopeError),
        (b'{"schema":0,"items":[{}]}', UnreadableEnvelopeError),
        (b'{"schema":"1","items":[{}]}', UnreadableEnvelopeError),
        (b'{"schema":1}', UnreadableEnvelopeError),
        (b'{"schema":1,"items":[]}', UnreadableEnvelopeError),
        (b'{"schema":1,"items":[{"body":"%%"}]}', UnreadableEnvelopeError),
        (b'{"schema":1,"items":[{"attempts":"many"}]}', UnreadableEnvelopeError),
        (b'{"schema":1,"items":[{"attempts":-1}]}', UnreadableEnvelopeError),
        (b'{"schema":1,"items":[{"source":{"sequenceNumber":%d}}]}' % 2**63, UnreadableEnvelopeError),
        (b'{"schema":1,"items":[{}],"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}", UnreadableEnvelopeError),
        (b'{"schema":2}', UnreadableEnvelopeError),
        (b'{"schema":2,"items":[{}]}', UnreadableEnvelopeError),
        (b'{"schema":2,"items":"%%%"}', UnreadableEnvelopeError),
        (packed(b""), UnreadableEnvelopeError),
        (packed(b"words"), UnreadableEnvelopeError),
        (packed(zlib.compress(b"words")), UnreadableEnvelopeError),
        (packed(zlib.compress(b"\x90")), UnreadableEnvelopeError),  # no item
        (packed(zlib.compress(b"\x91\x80")[:-1]), UnreadableEnvelopeError),  # cut off
        (packed(zlib.compress(b"\x91\x80") + b"more"), UnreadableEnvelopeError),
        (packed(zlib.compress(b"\xdd\xff\xff\xff\xff")), UnreadableEnvelopeError),  # says four billion items
        (packed(zlib.compress(b"\x91" * 90_000)), UnreadableEnvelopeError),
        (packed(zlib.compress(msgspec.msgpack.encode([{"kind": "word"}]))), UnreadableEnvelopeError),
        (b'{"schema":3,"items":[{}]}', NewerEnvelopeError),
        (b'{"schema":3,"parts":"other"}', NewerEnvelopeError),
    ],
)
def test_what_is_no_envelope_is_told_apart_from_a_newer_one(message: bytes, error: type[Exception]) -> None:
    """Only what says a newer schema is kept for a newer release; all else is unreadable, by no other error."""
    with pytest.raises(error):
        decode_envelope(message)


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, is_packed: bool) -> None:
    """No message makes the readers raise anything but their own two errors."""
    message = packed(zlib.compress(data)) if is_packed else data
    for read in (decode_envelope, decode_dead_letter, claim_checks.decode_item):
        with contextlib.suppress(UnreadableEnvelopeError, NewerEnvelopeError):
            read(message)


def test_fields_that_a_later_release_of_this_schema_adds_are_no_hindrance() -> None:
    """An item and a message with a field more are read."""
    inner = zlib.compress(msgspec.msgpack.encode([{"body": b"x", "wonder": 1}]))
    message = packed(inner)[:-1] + b',"more":[1]}'
    assert decode_envelope(message).items == [Item(body=b"x")]


LONE, SPELT = "a\ud800", "a\\ud800"
TEXTS = (
    "blob", "id", "pk", "time", "etag", "stage", "reason", "field", "exception", "failure_class", "failed_at",
    "first_failed_at", "queued_at", "traceparent", "letter",
)  # fmt: skip


def scores_of(text: str) -> dict[str, Scores]:
    """Scores with a text wherever they have one."""
    return {text: Scores(text, text, text, 1.0, {text: 1.0})}


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        *((each, LONE, SPELT) for each in TEXTS),
        ("properties", {LONE: [LONE, {LONE: (LONE,)}]}, {SPELT: [SPELT, {SPELT: [SPELT]}]}),
        ("system", {LONE: {"a": LONE}}, {SPELT: {"a": SPELT}}),
        ("source", Source(LONE, LONE, LONE, 1, LONE, LONE), Source(SPELT, SPELT, SPELT, 1, SPELT, SPELT)),
        ("braked", Braked(LONE, LONE), Braked(SPELT, SPELT)),
        ("history", [Step(LONE, LONE, LONE)], [Step(SPELT, SPELT, SPELT)]),
        ("scores", scores_of(LONE), scores_of(SPELT)),
        ("shadow", {LONE: {LONE: {LONE: LONE}}}, {SPELT: {SPELT: {SPELT: SPELT}}}),
    ],
)
def test_a_lone_surrogate_in_any_field_is_spelt_out(name: str, value: object, read: object) -> None:
    """An item that no message, claim check or dead letter could hold would have no place to go."""
    item = Item(body=b"\xff", **{name: value})
    [sent] = decode_envelope(encode_envelope([encode_item(item)])).items
    checked = claim_checks.decode_item(claim_checks.encode_item(item))
    lettered = decode_dead_letter(encode_dead_letter(DeadLetter(item, "2026-11-25T10:00:00.000Z"))).item
    for back in (sent, checked, lettered):
        assert back.body == b"\xff"
        assert getattr(back, name) == read


def test_lone_surrogates_do_not_keep_an_item_from_being_written() -> None:
    """A text that UTF-8 cannot hold is spelt out; body and all other fields stay exact."""
    item = Item(
        body=b"\xff",
        properties={"\ud800": ["\udfff", {"a": 1, "b": b"\x00"}]},
        field="/\ud800",
        scores={"toy": Scores("1", "0", None, 0.25, {})},
    )
    [back] = decode_envelope(message_of(item)).items
    assert (back.body, back.scores) == (item.body, item.scores)
    assert back.field == "/\\ud800"
    assert back.properties == {"\\ud800": ["\\udfff", {"a": 1, "b": b"\x00"}]}
    as_json = msgspec.structs.replace(back, properties={"\\ud800": ["\\udfff", {"a": 1, "b": "AA=="}]})
    assert claim_checks.decode_item(claim_checks.encode_item(item)) == as_json
    assert decode_dead_letter(encode_dead_letter(DeadLetter(item=item, failed_at=""))).item == as_json


_TEXTS = [
    field.name for field in msgspec.structs.fields(Item) if field.type in (str | None, dict[str, Any] | None)
]


@pytest.mark.parametrize("name", _TEXTS)
def test_every_text_of_an_item_can_be_written(name) -> None:
    """Whichever field holds what UTF-8 cannot, message, claim check and dead letter are written and read."""
    odd = "\ud800"
    item = Item(body=b"\xff", **{name: {odd: odd} if name in ("properties", "system") else odd})
    spelt = Item(
        body=b"\xff", **{name: {"\\ud800": "\\ud800"} if name in ("properties", "system") else "\\ud800"}
    )
    assert decode_envelope(message_of(item)).items == [spelt]
    assert claim_checks.decode_item(claim_checks.encode_item(item)) == spelt
    assert decode_dead_letter(encode_dead_letter(DeadLetter(item=item, failed_at=odd))).item == spelt


def test_an_integer_of_any_length_does_not_keep_an_item_from_being_written() -> None:
    """A property that MessagePack cannot hold as a number travels as its text."""
    item = Item(body=b"x", properties={"n": 2**64, "m": [-(2**63) - 1, 2**64 - 1, True]})
    [back] = decode_envelope(message_of(item)).items
    assert back.properties == {"n": str(2**64), "m": [str(-(2**63) - 1), 2**64 - 1, True]}


def test_all_readers_know_one_newest_schema() -> None:
    """Message, claim check and dead letter are written under the number that they are read up to."""
    for written in (
        message_of(Item(body=b"x")),
        claim_checks.encode_item(Item(body=b"x")),
        dead_letter.encode_dead_letter(DeadLetter(Item(body=b"x"), "t")),
    ):
        assert msgspec.json.decode(written)["schema"] == envelope.SCHEMA == 2


_PACKED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3)
    | st.datetimes(timezones=st.just(UTC))
    | st.builds(msgspec.msgpack.Ext, st.integers(0, 127), st.binary(max_size=3)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.binary(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.dictionaries(st.text(max_size=3), _PACKED, max_size=3), st.sampled_from(["properties", "system"]))
@example({"mixed": {1: 2, "a": 3}}, "properties")
@example({"no key of JSON": {None: 1}}, "properties")
@example({"no value of JSON": msgspec.msgpack.Ext(5, b"x")}, "system")
def test_every_item_that_is_read_can_be_written_and_named(values: dict[str, Any], field: str) -> None:
    """Whatever MessagePack holds, a message is refused whole, byte for byte, or each of its items has a way
    on: to the queue, to a blob, to the dead letters and to a trial as a suspect.
    """
    item = msgspec.msgpack.encode({"body": b"x", field: values})
    try:
        [read] = decode_envelope(encode_envelope([item])).items
    except UnreadableEnvelopeError as error:
        assert "what JSON cannot" in str(error)  # noqa: PT017 - that or what follows
        return
    assert suspect_name(read) == f"suspects/{blob_name(read)}"
    assert decode_envelope(message_of(read)).items[0].body == b"x"
    assert decode_dead_letter(encode_dead_letter(DeadLetter(read, "t"))).item.body == b"x"
    assert claim_checks.decode_item(claim_checks.encode_item(read)).body == b"x"
