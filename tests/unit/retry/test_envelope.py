"""Envelopes and dead letters: packed below the limit, read back whole, older and newer ones told apart."""

from __future__ import annotations

import base64
import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everscore.event.item import Braked, Item, Source, Step
from everscore.event.scores import Scores
from everscore.failures import Stage
from everscore.retry.envelope import (
    MESSAGE_LIMIT,
    DeadLetter,
    NewerEnvelopeError,
    UnreadableEnvelopeError,
    decode_dead_letter,
    decode_envelope,
    decode_item,
    encode_dead_letter,
    encode_item,
    pack,
    restore,
    slim,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SCORES = st.builds(
    Scores,
    version=TEXTS,
    sha256=TEXTS,
    label=st.none() | TEXTS,
    value=st.floats(allow_nan=False, allow_infinity=False),
    values=st.dictionaries(TEXTS, st.floats(allow_nan=False, allow_infinity=False), max_size=2),
)
ITEMS = st.builds(
    Item,
    body=st.binary(max_size=200) | st.integers(0, 60_000).map(lambda length: b"x" * length),
    unwrapped=st.booleans(),
    record_index=st.none() | st.integers(0, 9),
    properties=st.none() | st.dictionaries(TEXTS, TEXTS | st.integers() | st.none(), max_size=3),
    source=st.builds(Source, partition=st.none() | TEXTS, sequence_number=st.none() | st.integers()),
    id=st.none() | TEXTS,
    scores=st.none() | st.dictionaries(TEXTS, SCORES, max_size=2),
    stage=st.none() | st.sampled_from(["store", "score"]),
    reason=st.none() | TEXTS,
    exception=st.none() | st.sampled_from(["", "refused", "no answer " * 90]),
    failure_class=st.sampled_from([None, "transient"]),
    first_failed_at=st.sampled_from([None, "t1", "t2"]),
    attempts=st.integers(0, 1000),
    braked=st.none() | st.builds(Braked, at=TEXTS, configuration=TEXTS),
    traceparent=st.none() | TEXTS,
    history=st.lists(st.builds(Step, at=TEXTS, stage=TEXTS, reason=TEXTS), max_size=2),
    dead_letter=st.booleans(),
)


@settings(max_examples=100)
@given(st.lists(ITEMS, max_size=12))
def test_packing_stays_below_the_limit_and_loses_nothing(items) -> None:
    """Every item is in exactly one message, in order, or named as too large; no message is over 48 KiB."""
    messages, too_large = pack(items)
    for packed in messages:
        assert len(base64.b64encode(packed.message)) <= MESSAGE_LIMIT
        assert decode_envelope(packed.message).items == packed.items
    placed = [id(item) for packed in messages for item in packed.items]
    large = {id(item) for item in too_large}
    assert placed == [id(item) for item in items if id(item) not in large]
    assert len(placed) + len(too_large) == len(items)
    for item in too_large:
        assert len(base64.b64encode(encode_item(item))) > MESSAGE_LIMIT - 100


@settings(max_examples=50)
@given(ITEMS)
def test_items_come_back_as_they_were(item) -> None:
    """An item reads back equal from a claim check and from a dead letter."""
    assert decode_item(encode_item(item)) == item
    letter = DeadLetter(item=item, failed_at="2026-11-25T10:00:00.000Z")
    assert decode_dead_letter(encode_dead_letter(letter)) == letter


def test_what_the_items_of_an_outage_say_alike_is_said_once() -> None:
    """A failure and a trace that many items have in common are in a message once; each reads back whole."""
    items = [_waiting(number) for number in range(100)]
    messages, too_large = pack(items)
    assert not too_large
    back = [item for packed in messages for item in decode_envelope(packed.message).items]
    assert back == [_waiting(number) for number in range(100)]
    assert all(packed.message.count(b"Connect call failed") == 1 for packed in messages)
    assert sum(len(packed.message) for packed in messages) < 0.72 * sum(len(encode_item(i)) for i in items)


def test_what_is_one_message_stays_one_however_long_the_outage() -> None:
    """Events that fail together again and again, now of this and now of that, are as many messages as at first."""
    messages, _ = pack([_waiting(number) for number in range(256)])
    for attempt in range(60):
        for index, packed in enumerate(messages):
            items = decode_envelope(packed.message).items
            for item in items:
                item.attempts += 1
                _fail(item, f"out {attempt % 3}", at=f"2026-11-25T17:12:{attempt:02d}.504Z")
            again, too_large = pack(items)
            assert (len(again), too_large) == (1, [])
            messages[index] = again[0]
    assert all(len(item.history) == 4 for packed in messages for item in packed.items)


def test_an_item_that_says_something_else_keeps_it() -> None:
    """What differs stays the item's own; a field that one item lacks is shared by none."""
    items = [_waiting(number) for number in range(4)]
    items[1].reason, items[1].exception = "deadline passed", "the batch's time was used up"
    items[2].traceparent = None
    [packed], _ = pack(items)
    assert decode_envelope(packed.message).items == items
    assert packed.message.count(b'"traceparent"') == 3


def test_a_release_that_knows_nothing_of_sharing_reads_the_items() -> None:
    """Identity, age and counts are in each item itself, so that a rollback finds them."""
    [packed], _ = pack([_waiting(1), _waiting(2)])
    document = msgspec.json.decode(packed.message)
    assert document["schema"] == 1
    for number, item in enumerate(document["items"], start=1):
        whole = msgspec.convert(item, Item, strict=False)
        assert (whole.id, whole.pk, whole.time, whole.source) == (f"id-{number}", "p", "t", Source(hub="h"))
        assert (whole.attempts, whole.queued_at, whole.scores) == (3, "q", _waiting(1).scores)


def test_what_was_braked_before_it_was_said_since_when_is_braked_since_it_was_queued() -> None:
    """Schema 1 said yes or no: a yes counts from queuedAt, under a configuration that nobody knows."""
    braked = Braked(at="2026-11-25T10:00:00.000Z", configuration="")
    yes = b'{"body":"YQ==","braked":true,"queuedAt":"2026-11-25T10:00:00.000Z"}'
    no = b'{"body":"YQ==","braked":false}'
    items = decode_envelope(b'{"items":[%b,%b],"schema":1}' % (yes, no)).items
    assert [item.braked for item in items] == [braked, None]
    assert [decode_item(item).braked for item in (yes, no)] == [braked, None]
    letter = decode_dead_letter(b'{"item":%b,"failedAt":"t","schema":1}' % yes)
    assert letter.item.braked == braked
    assert type(letter.item) is Item


def test_a_waiting_dead_letter_says_all_of_itself() -> None:
    """It is not tried again: a release that knows nothing of sharing writes it with its stage and reason."""
    items = [_waiting(number) for number in range(3)]
    items[1].dead_letter = True
    [packed], _ = pack(items)
    first, letter, _ = msgspec.json.decode(packed.message)["items"]
    assert msgspec.convert(letter, Item, strict=False) == items[1]
    assert "reason" not in first
    assert decode_envelope(packed.message).items == items


def test_an_item_alone_is_written_as_ever() -> None:
    """One item shares nothing: its message is what it was."""
    item = _waiting(1)
    [packed], _ = pack([item])
    assert packed.message == b'{"items":[' + encode_item(item) + b'],"schema":1}'


def _waiting(number: int) -> Item:
    return Item(
        body=b"%03d" % number + b"x" * 200,
        source=Source(hub="h"),
        id=f"id-{number}",
        pk="p",
        time="t",
        scores={"toy": Scores("1.0.0", "0" * 64, None, 0.25, {"no": 0.75, "yes": 0.25})},
        stage="store",
        reason="store out of reach",
        exception="last: Cannot connect to host 127.0.0.1:8081 [Connect call failed ('127.0.0.1', 8081)]",
        failure_class="transient",
        attempts=3,
        first_failed_at="2026-11-25T17:12:48.504Z",
        queued_at="q",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def test_many_small_items_share_a_message() -> None:
    """Small events do not cost a message each."""
    messages, _ = pack([Item(body=b"x" * 100) for _ in range(500)])
    assert len(messages) < 4


@pytest.mark.parametrize("size", [0, 10, 4_000, 9_000, 13_000, 20_000, 27_000])
def test_items_of_any_one_size_stay_below_the_limit(size) -> None:
    """Messages are filled up to the limit and no further, however the sizes divide it."""
    items = [Item(body=b"x" * size) for _ in range(40)]
    messages, too_large = pack(items)
    assert not too_large
    assert max(len(base64.b64encode(packed.message)) for packed in messages) <= MESSAGE_LIMIT
    each = len(encode_item(items[0])) + 1
    assert len(messages) <= -(-40 // (MESSAGE_LIMIT // 4 * 3 // each - 1 or 1))


def test_what_is_empty_is_left_out() -> None:
    """A fresh item is its body alone on the wire; names are in camel case, the body in base64."""
    assert encode_item(Item(body=b"\x00")) == b'{"body":"AA=="}'
    document = msgspec.json.decode(encode_item(Item(body=b"a", source=Source(sequence_number=0, index=0))))
    assert document == {"body": "YQ==", "source": {"sequenceNumber": 0}}


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
        (b'{"schema":1,"items":[{}],"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}", UnreadableEnvelopeError),
        (b'{"schema":2,"items":[{}]}', NewerEnvelopeError),
        (b'{"schema":2,"parts":"other"}', NewerEnvelopeError),
    ],
)
def test_what_is_no_envelope_is_told_apart_from_a_newer_one(message, error) -> None:
    """Only what says a newer schema is kept for a newer release; all else is unreadable, by no other error."""
    with pytest.raises(error):
        decode_envelope(message)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data) -> None:
    """No message makes the readers raise anything but their own two errors."""
    for read in (decode_envelope, decode_dead_letter, decode_item):
        with contextlib.suppress(UnreadableEnvelopeError, NewerEnvelopeError):
            read(data)


def test_lone_surrogates_do_not_keep_an_item_from_being_written() -> None:
    """A text that UTF-8 cannot hold is spelt out; body and all other fields stay exact."""
    item = Item(
        body=b"\xff",
        properties={"\ud800": ["\udfff", {"a": 1}]},
        field="/\ud800",
        scores={"toy": Scores("1", "0", None, 0.25, {})},
    )
    back = decode_item(encode_item(item))
    assert (back.body, back.scores) == (item.body, item.scores)
    assert back.field == "/\\ud800"
    assert back.properties == {"\\ud800": ["\\udfff", {"a": 1}]}
    assert decode_dead_letter(encode_dead_letter(DeadLetter(item=item, failed_at=""))).item == back


def test_a_pointer_decides_with_what_it_carries() -> None:
    """A slim item has no body, and what decides its fate; restored, it is whole and points nowhere."""
    braked = Braked(at="q", configuration="c")
    whole = Item(body=b"abc", id="i", attempts=2, queued_at="q", braked=braked, letter="l", traceparent="t")
    pointer = slim(whole, "items/x.json")
    assert pointer.is_pointer
    assert (pointer.body, pointer.id, pointer.traceparent) == (b"", None, None)
    assert (pointer.attempts, pointer.queued_at, pointer.braked, pointer.letter) == (2, "q", braked, "l")
    pointer.attempts = 5
    restored = restore(pointer, decode_item(encode_item(whole)))
    assert (restored.body, restored.id, restored.attempts, restored.blob) == (b"abc", "i", 5, None)
    assert not restored.is_pointer


def _fail(item: Item, reason: str, at: str = "t") -> None:
    item.record(at=at, stage=Stage.STORE, reason=reason, field=None, exception="", failure_class="transient")


def test_a_failure_that_differs_moves_the_one_before_into_history() -> None:
    """History holds what differs, oldest first, bounded; the first time is kept."""
    item = Item()
    for number in range(40):
        _fail(item, f"reason {number // 2}", at=f"t{number}")
    assert item.first_failed_at == "t0"
    assert item.reason == "reason 19"
    assert [step.reason for step in item.history] == [f"reason {number}" for number in range(19)]
    for number in range(30):
        _fail(item, f"more {number}")
    assert len(item.history) == 20
    assert item.history[-1].reason == "more 28"


def test_failures_that_alternate_do_not_push_out_what_came_before() -> None:
    """A long outage has two faces; what a redriven event first failed of stays in its history."""
    item = Item()
    for number in range(100):
        _fail(item, "id missing" if number == 0 else f"out {number % 2}", at=f"t{number}")
    assert [(step.reason, step.at) for step in item.history] == [
        ("id missing", "t1"),
        ("out 1", "t98"),
        ("out 0", "t99"),
    ]


def test_items_share_no_history() -> None:
    """A failure of one item, or of a copy, never shows in another's history."""
    one, other = Item(), Item()
    _fail(one, "a")
    copy = msgspec.structs.replace(one)
    _fail(copy, "b")
    assert (other.history, one.history) == ([], [])
    assert [step.reason for step in copy.history] == ["a"]


def test_texts_of_a_failure_are_bounded() -> None:
    """However long an exception's text is, an item stays small."""
    item = Item()
    item.record(
        at="t",
        stage=Stage.SCORE,
        reason="r" * 5_000,
        field=None,
        exception="e" * 1_000_000,
        failure_class="unexpected",
    )
    assert len(encode_item(item)) < 3_000
