"""From bytes to events: each on its own, none lost, nothing raised."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import sys
import types
from enum import Enum

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from everscore.clock.deadline import Deadline
from everscore.decode.bodies import BodyLimits
from everscore.decode.decoder import Decoder
from everscore.decode.json_text import parse_json
from everscore.decode.memory import Memory
from everscore.decode.own_decoder import call_hook, load_hook
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.event.scores import Scores
from everscore.failures import Failure, Overdue, Permanent, SettingError, Stage, Transient, Unexpected
from tests.fakes import body_of, item_of, payload_of, source_of, stream_of


class Colour(str, Enum):  # noqa: UP042 - str() of this kind is the member's name, not its value
    RED = "p"


def decode(*bodies: bytes, hook=None, limit: int = 100_000, **stream) -> list[Event]:
    """Decode bodies of one batch."""
    items = [item_of(number, body) for number, body in enumerate(bodies)]
    return Decoder(stream_of(**stream), limits=BodyLimits(unpacked=limit), hook=hook).decode(items)


def failure_of(body: bytes, **options) -> Failure:
    """The failure of a body that gives one event."""
    [event] = decode(body, **options)
    assert event.failure is not None
    return event.failure


BODIES = st.one_of(
    st.binary(max_size=40),
    st.builds(body_of, st.integers(0, 9)),
    st.lists(st.builds(body_of, st.integers(0, 9)), max_size=3).map(
        lambda each: b"[" + b",".join(each) + b"]"
    ),
    st.lists(st.builds(body_of, st.integers(0, 9)), max_size=3).map(
        lambda each: b'{"records":[' + b",".join(each) + b"]}"
    ),
    st.sampled_from(
        [
            b"[" * 90_000,
            b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
            b'{"id":1e999}',
            b'{"id":NaN}',
            b'{"id":"\\ud800","pk":"p","time":"2026-11-25"}',
            b"1" * 5_000,
            b"\x1f\x8b",
            gzip.compress(body_of(3), mtime=0),
            gzip.compress(body_of(3), mtime=0)[:-5],
            b"\xef\xbb\xbf" + body_of(3),
        ]
    ),
)


@settings(max_examples=150)
@given(st.lists(BODIES, max_size=5), st.sampled_from(["object", "array", "records"]))
@example([b"[" * 90_000, b"[[1],NaN]"], "array")
def test_nothing_is_raised_and_nothing_is_lost(bodies, unwrap) -> None:
    """Whatever the bytes, each body gives at least one event, identified or failed, of its own place."""
    events = decode(*bodies, unwrap=unwrap)
    assert {event.item.source.sequence_number for event in events} == set(range(len(bodies)))
    for event in events:
        if event.failure is None:
            assert isinstance(event.payload, dict)
            assert event.item.id
            assert event.item.pk
            assert event.item.time
        else:
            assert isinstance(event.failure, Permanent), event.failure
    items = [id(event.item) for event in events]
    assert len(set(items)) == len(items)


def test_a_good_event_has_identity_time_and_fingerprint() -> None:
    """Id, key and time come from the payload; the fingerprint is the SHA-256 of the bytes."""
    body = body_of(1)
    [event] = decode(body)
    assert (event.item.pk, event.item.id, event.item.time) == ("p", "id-1", "2026-11-25T10:00:01.000000Z")
    assert event.payload == payload_of(1)
    assert event.fingerprint == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    ("body", "stage", "reason", "field"),
    [
        (b"", "decode", "empty body", None),
        (b"\xff", "decode", "not UTF-8", None),
        (b"{", "decode", "not JSON", None),
        (b"{} {}", "decode", "not JSON", None),
        (b"[]", "decode", "not an object", None),
        (b"7", "decode", "not an object", None),
        (b"null", "decode", "not an object", None),
        (b'{"id":1,"x":{"y":[0,NaN]}}', "decode", "number not finite", "/x/y/1"),
        (b'{"x":1e999}', "decode", "number not finite", "/x"),
        (b'{"x":' + b"1" * 5000 + b"}", "decode", "number too long", None),
        (b'{"x":' + b"[" * 200 + b"]" * 200 + b"}", "decode", "nesting too deep", None),
        (b"[" * 99_999 + b"]" * 99_999, "decode", "nesting too deep", None),
        (b'{"id":"a","time":"2026-11-25"}', "validate", "partition key missing", "/pk"),
        (b'{"id":"","pk":"p","time":"2026-11-25"}', "validate", "id is empty", "/id"),
        (b'{"id":true,"pk":"p","time":"2026-11-25"}', "validate", "id of the wrong type", "/id"),
        (b'{"id":"a","pk":"p","time":"soon"}', "validate", "time not readable", "/time"),
    ],
)
def test_what_can_never_succeed_is_permanent_and_named(body, stage, reason, field) -> None:
    """Each kind of bad event has a stage, a stable reason and, where there is one, the field."""
    failure = failure_of(body)
    assert isinstance(failure, Permanent)
    assert (str(failure.stage), failure.reason, failure.field) == (stage, reason, field)


@pytest.mark.parametrize(
    ("body", "unwrap", "reason"),
    [
        (b"{}", "array", "not wrapped as declared"),
        (b"[]", "array", "no records"),
        (b"[", "array", "not JSON"),
        (b"[]", "records", "not wrapped as declared"),
        (b'{"records":{}}', "records", "not wrapped as declared"),
        (b'{"records":[]}', "records", "no records"),
        (b"", "records", "empty body"),
        (b"[" * 99_999, "array", "nesting too deep"),
    ],
)
def test_a_body_that_cannot_be_taken_apart_is_one_event(body, unwrap, reason) -> None:
    """It fails as a whole, with all its bytes."""
    [event] = decode(body, unwrap=unwrap)
    assert event.failure is not None
    assert event.failure.reason == reason
    assert (event.item.body, event.item.unwrapped) == (body, False)


def test_records_have_bytes_and_index_of_their_own() -> None:
    """Each record of a body is an item of its own; none shares what another may change."""
    records = [body_of(number) for number in range(3)]
    events = decode(b" [" + b" , ".join(records) + b"] ", unwrap="array")
    assert [event.item.body for event in events] == records
    assert [event.item.source.index for event in events] == [0, 1, 2]
    assert all(event.item.unwrapped for event in events)
    assert [event.item.id for event in events] == ["id-0", "id-1", "id-2"]


def test_a_record_decodes_again_by_itself() -> None:
    """Back from the queue, a record is read as one event and not unwrapped again."""
    decoder = Decoder(stream_of(unwrap="array"), limits=BodyLimits(unpacked=1000))
    [first, _] = decoder.decode([item_of(1, b"[" + body_of(0) + b"," + body_of(1) + b"]")])
    [again] = decoder.decode([first.item])
    assert again.payload == first.payload
    assert again.item is first.item


def test_records_do_not_inherit_a_blob() -> None:
    """A body that came out of a blob leaves no trace of it in its records."""
    item = Item(body=b"[" + body_of(0) + b"]", blob=None, letter="l")
    [event] = Decoder(stream_of(unwrap="array"), limits=BodyLimits(unpacked=1000)).decode([item])
    assert event.item.blob is None


def test_without_ids_records_of_one_event_differ() -> None:
    """Where no id is mapped the index keeps records of one body apart, equal bytes or not."""
    events = decode(b"[" + body_of(1) + b"," + body_of(1) + b"]", unwrap="array", id=None)
    assert len({event.item.id for event in events}) == 2


def test_hole_07_a_long_integer_is_a_number_until_the_document() -> None:
    """An integer that a double cannot hold stays one in the payload, and its id is the number's, not a text's."""
    number = 2**53 + 1
    [event] = decode(json.dumps(payload_of(1) | {"id": number}).encode())
    [other] = decode(json.dumps(payload_of(1) | {"id": str(number)}).encode())
    assert event.payload["id"] == number
    assert event.long_integers
    assert event.item.id == f"~n{number}"
    assert event.key["id"] == number
    assert other.item.id == str(number)


def test_compressed_bodies_are_unpacked_up_to_a_limit() -> None:
    """Gzip is recognised by its first bytes, several members included; a bomb is refused by the setting."""
    [event] = decode(gzip.compress(body_of(1)[:9], mtime=0) + gzip.compress(body_of(1)[9:], mtime=0))
    assert event.payload == payload_of(1)
    [event] = decode(gzip.compress(b"[" + body_of(1) + b"]", mtime=0), unwrap="array")
    assert event.payload == payload_of(1)
    failure = failure_of(gzip.compress(b" " * 100_001, mtime=0), limit=100_000)
    assert failure.reason == "decompressed too large"
    assert "DECOMPRESSED_LIMIT_MIB" in failure.detail
    assert failure_of(gzip.compress(body_of(1), mtime=0)[:-4]).reason == "gzip truncated"
    assert failure_of(b"\x1f\x8b" + b"\x00" * 30).reason == "gzip corrupt"


@given(st.binary(max_size=60))
def test_parsing_raises_permanent_failures_alone(body) -> None:
    """No bytes make the parser raise anything else."""
    with contextlib.suppress(Permanent):
        parse_json(body)


def test_an_own_decoder_is_called_once_a_batch() -> None:
    """It gets all bodies at once; what it gives is validated like JSON."""
    calls: list[int] = []

    def hook(bodies):
        calls.append(len(bodies))
        return [{**json.loads(body), "raw": body} for body in bodies]

    events = decode(*(body_of(number) for number in range(9)), hook=hook)
    assert calls == [9]
    assert all(event.failure is None for event in events)
    assert isinstance(events[0].payload["raw"], str)


def test_a_raise_of_an_own_decoder_is_narrowed_to_the_guilty_body() -> None:
    """The neighbours of a body on which it raises are decoded all the same."""

    def hook(bodies):
        if b"bad" in bodies:
            raise KeyError("schema")
        return [json.loads(body) for body in bodies]

    bodies = [body_of(number) for number in range(10)]
    bodies[6] = b"bad"
    events = decode(*bodies, hook=hook)
    assert [number for number, event in enumerate(events) if event.failure] == [6]
    assert isinstance(events[6].failure, Unexpected)
    assert events[6].item.body == b"bad"


def test_exceptions_that_an_own_decoder_gives_are_permanent() -> None:
    """It may answer with an exception, or with a failure of its own choosing, for a body it cannot read."""
    chosen = Permanent(Stage.DECODE, "old schema")

    def hook(bodies):
        return [ValueError("magic byte"), chosen, {"id": {1}}, "text"]

    events = decode(b"a", b"b", b"c", b"d", hook=hook)
    assert [event.failure.reason for event in events if event.failure] == [
        "decoder: ValueError",
        "old schema",
        "type has no JSON form",
        "not an object",
    ]
    assert all(isinstance(event.failure, Permanent) for event in events)


def test_an_own_decoder_with_too_few_results_harms_nobody() -> None:
    """Results that do not fit the bodies count as a raise, and are asked for again in halves."""

    def hook(bodies):
        return [json.loads(body) for body in bodies if body != b"skip"]

    events = decode(body_of(0), b"skip", body_of(2), hook=hook)
    assert [bool(event.failure) for event in events] == [False, True, False]


@pytest.mark.parametrize("unwrap", ["array", "records"])
def test_an_own_decoder_may_give_records(unwrap) -> None:
    """Its lists are taken apart; a record's JSON is its body from then on, and fails by itself."""

    def hook(bodies):
        records = [payload_of(0), payload_of(1) | {"pk": None}, payload_of(2)]
        return [records if unwrap == "array" else {"records": records} for _ in bodies]

    events = decode(b"avro", hook=hook, unwrap=unwrap)
    assert [bool(event.failure) for event in events] == [False, True, False]
    assert [json.loads(event.item.body)["n"] for event in events] == [0, 1, 2]
    again = Decoder(stream_of(unwrap=unwrap), limits=BodyLimits(unpacked=1000), hook=hook).decode(
        [event.item for event in events]
    )
    assert [bool(event.failure) for event in again] == [False, True, False]


def test_a_record_without_a_form_in_json_comes_back_by_its_place() -> None:
    """It keeps the whole body, of which a later decoding takes that record alone; its neighbours go on."""
    odd: object = float("nan")

    class Broken:
        ndim = 0

        def item(self) -> object:
            raise RuntimeError("no value")

    def hook(bodies):
        return [[payload_of(0), payload_of(1) | {"n": odd}, payload_of(2) | {"n": Broken()}] for _ in bodies]

    decoder = Decoder(stream_of(unwrap="array"), limits=BodyLimits(unpacked=1000), hook=hook)
    whole = item_of(7, b"avro")
    whole.letter = "of the whole"
    good, refused, raising = decoder.decode([whole])
    assert good.failure is None
    assert (refused.failure.reason, refused.failure.field) == ("number not finite", "/n")
    assert raising.failure.reason == "unexpected RuntimeError"
    for event, index in ((refused, 1), (raising, 2)):
        assert (event.item.body, event.item.unwrapped, event.item.record_index) == (b"avro", False, index)
        assert event.item.source.index == index
    refused.item.letter = "its own"
    assert [event.failure.reason for event in decoder.decode([refused.item])] == ["number not finite"]
    odd = 1.0
    [again] = decoder.decode([refused.item])
    assert again.failure is None
    assert (again.payload["n"], again.item.unwrapped, again.item.record_index) == (1.0, True, None)
    assert (again.item.source.index, again.item.letter) == (1, "its own")
    assert [event.item.source.index for event in decoder.decode([again.item])] == [1]


def test_a_record_that_the_decoder_gives_no_more_is_permanent() -> None:
    """A decoder changed since then may give fewer records: the item names its place, and takes no other's."""
    item = item_of(7, b"avro")
    item.record_index = 3
    decoder = Decoder(
        stream_of(unwrap="array"),
        limits=BodyLimits(unpacked=1000),
        hook=lambda bodies: [[payload_of(0)] for _ in bodies],
    )
    [event] = decoder.decode([item])
    assert event.failure.reason == "no such record"
    assert "[3]" in str(event.failure)


def test_an_own_decoder_without_records_is_permanent() -> None:
    """Where records are declared, anything but a list with something in it fails as a whole."""
    for result in ([], {}, None, {"records": []}, 5):
        assert (
            failure_of(b"x", hook=lambda _, result=result: [result], unwrap="records").reason == "no records"
        )


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """An importable module."""
    made = types.ModuleType("own_decoder_for_tests")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def test_the_setting_names_a_function(module) -> None:
    """The named function is what is called."""
    module.decode = list  # type: ignore[attr-defined]
    assert load_hook("own_decoder_for_tests:decode")([b"a"]) == [b"a"]


@pytest.mark.parametrize("setting", ["no_such_module_here:f", "json:no_such_function", "json:__name__"])
def test_a_wrong_setting_is_a_sentence(setting) -> None:
    """What cannot be imported or called is said with the setting's name."""
    with pytest.raises(SettingError, match="DECODER"):
        load_hook(setting)


def test_own_code_that_breaks_on_import_is_a_sentence(tmp_path, monkeypatch) -> None:
    """An own decoder that raises while it is imported is a wrong setting, not a crash."""
    (tmp_path / "broken_decoder_for_tests.py").write_text("1/0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingError, match="ZeroDivisionError"):
        load_hook("broken_decoder_for_tests:f")


def test_records_inherit_no_identity_from_the_item_that_brings_them() -> None:
    """A claim check that is gone comes back from the hub as the whole body: under one id all but one would vanish."""
    item = Item(
        body=b"[" + body_of(1) + b"," + body_of(2) + b"]",
        source=source_of(7),
        id="id-9",
        pk="p",
        time="t",
        scores={"toy": Scores("1", "0" * 64, None, 0.5, {})},
    )
    events = Decoder(stream_of(unwrap="array"), limits=BodyLimits(unpacked=1_000)).decode([item])
    assert [(event.item.id, event.item.scores) for event in events] == [("id-1", None), ("id-2", None)]


def test_an_outage_that_an_own_decoder_raises_is_no_bodys_fault() -> None:
    """A Transient that the decoder raises is asked for once, and stays what it is for every body."""
    calls: list[int] = []

    def away(bodies: list[bytes]) -> list[object]:
        calls.append(len(bodies))
        raise Transient(Stage.DECODE, "registry away")

    events = decode(b"a", b"b", b"c", hook=away)
    assert [type(event.failure) for event in events] == [Transient] * 3
    assert calls == [3]


def test_a_permanent_failure_that_an_own_decoder_raises_is_the_guilty_bodys() -> None:
    """A Permanent that the decoder raises is narrowed down to its body, and keeps its reason."""

    def strict(bodies: list[bytes]) -> list[object]:
        if b"bad" in bodies:
            raise Permanent(Stage.DECODE, "no such schema")
        return [payload_of(number) for number, _ in enumerate(bodies)]

    good, bad, other = decode(b"a", b"bad", b"c", hook=strict)
    assert good.failure is None
    assert other.failure is None
    assert isinstance(bad.failure, Permanent)
    assert bad.failure.reason == "no such schema"


def test_an_own_decoder_that_ends_the_program_does_so_for_the_guilty_body_alone() -> None:
    """sys.exit() in own code would end the worker with all its events: it is what nobody foresaw of one body."""

    def leaving(bodies: list[bytes]) -> list[object]:
        if b"bad" in bodies:
            sys.exit(3)
        return [payload_of(number) for number, _ in enumerate(bodies)]

    good, bad = decode(b"a", b"bad", hook=leaving)
    assert good.failure is None
    assert isinstance(bad.failure, Unexpected)
    assert bad.failure.reason == "unexpected SystemExit"


async def test_records_of_an_own_decoder_are_not_taken_one_by_one() -> None:
    """Where memory takes only some of the bodies, a slice has room for the records of what it decoded."""
    memory = Memory(4 * 1024 * 1024)
    decoded = 0

    def ten_each(bodies: list[bytes]) -> list[object]:
        nonlocal decoded
        decoded += len(bodies)
        return [[payload_of(number) for number in range(10)] for _ in bodies]

    items = [item_of(number, b"z" * 2_000) for number in range(200)]
    reading = Decoder(stream_of(unwrap="array"), hook=ten_each).read(items)
    events = 0
    while reading.left:
        share = await memory.share(reading.need)
        events += len(reading.next(share))
        share.close()
    assert events == 2_000
    assert decoded < 5 * len(items)


@pytest.mark.parametrize("text", [np.str_("p"), Colour.RED])
def test_texts_of_other_types_become_plain_ones(text) -> None:
    """A decoder's text of a class of its own is a plain one for the model, which takes no other."""
    [event] = decode(b"a", hook=lambda bodies: [{**payload_of(1), "colour": text} for _ in bodies])
    assert event.failure is None
    assert type(event.payload["colour"]) is str
    assert event.payload["colour"] == "p"


def test_an_own_decoder_that_is_slow_to_fail_is_not_asked_for_each_half() -> None:
    """Once the time for it is over no guilty body is looked for: what is left goes on, each body alone."""
    calls: list[int] = []

    def fails(bodies: list[bytes]) -> list[object]:
        calls.append(len(bodies))
        raise ValueError("boom")

    results = call_hook(fails, [b"x"] * 256, Deadline.after(0.0))
    assert calls == [256]
    assert len(results) == 256
    assert {type(result) for result in results} == {Overdue}
    calls.clear()
    assert {type(each) for each in call_hook(fails, [b"x"] * 4, Deadline.after(3600))} == {Unexpected}
    assert len(calls) == 7
