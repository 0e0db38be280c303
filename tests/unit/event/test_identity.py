"""Identity: reversible, free of collisions, and readable by every SDK."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from everscore.event import identity
from everscore.event.item import Source
from tests.fakes import stream_of

SURROGATES = st.text(st.characters(), max_size=30)  # with lone surrogates
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = SURROGATES | NUMBERS
ALPHABET = re.compile(r"[A-Za-z0-9\-_.~]*")

PAGE = Path(__file__).resolve().parents[3] / "docs" / "events.md"
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str]]:
    """Of each row of the documented table: what is sent, and its id under schemas 2 and 1."""
    text = PAGE.read_text(encoding="utf-8").partition("\n### What names an event\n")[2]
    found = ROW.findall(text.partition("\n### ")[0])
    assert len(found) >= 8
    return found


def decode(encoded: str) -> str:
    """What a reader does: every ~xx is a byte, every other character itself."""
    raw = re.sub(r"~([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), encoded)
    return raw.encode("latin-1").decode("utf-8", "surrogatepass")


@given(SURROGATES)
@example("..")
@example(".")
@example("~")
@example("~n5")
@example("a/b\\c?d#e\n")
@example("ü€😀\ud800")
def test_texts_are_reversible(text) -> None:
    """Every text, lone surrogates included, can be read back from its encoded form."""
    encoded = identity.encode(text)
    assert ALPHABET.fullmatch(encoded)
    assert decode(encoded) == text


@given(VALUES, VALUES)
@example("5", 5)
@example("~n5", 5)
@example(5, 5.0)
@example("a|b", "a")
@example("\xb3", "~b3")
def test_no_two_values_share_a_form(one, other) -> None:
    """Different values, texts or numbers, have different forms; under schema 1 of stream.json so have equal
    numbers that were written differently.
    """
    assert (identity.encode(one) == identity.encode(other)) is (one == other)
    assert (identity.encode(one, 1) == identity.encode(other, 1)) is (repr(one) == repr(other))


@given(st.lists(VALUES, min_size=1, max_size=4), st.lists(VALUES, min_size=1, max_size=4))
def test_fields_joined_do_not_run_into_one_another(one, other) -> None:
    """Partition keys of several fields differ where any field does."""
    joined = ["|".join(map(identity.encode, fields)) for fields in (one, other)]
    assert (joined[0] == joined[1]) is (one == other)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False).map(abs).filter(float.is_integer))
@example(5)
@example(2**53 + 1)
@example(10**21)
def test_hole_28_one_value_is_one_id(value) -> None:
    """A number has one id and one bucket however it is written in JSON: 5, 5.0 and 5e0 are the same event."""
    texts = [repr(value)]
    if float(value) == value:
        texts += [f"{int(value)}.0", f"{int(value)}e0", f"{int(value) * 100}e-2", repr(float(value))]
    values = [json.loads(text) for text in texts]
    assert len({identity.encode_id(each) for each in values}) == 1
    assert len({identity.bucket(each, 97) for each in values}) == 1
    if value == 0:
        assert identity.encode_id(-0.0) == "~n0"


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_hole_28_the_page_shows_what_an_id_becomes(row) -> None:
    """Each row of the documented table is true, under the schema of stream.json that its column names."""
    sent, now, before = row
    for schema, expected in ((2, now), (1, before)):
        payload = {"id": json.loads(sent), "pk": "p", "time": "2026-11-25T00:00:00Z"}
        assert stream_of(schema=schema).identify(payload, Source(), None, b"").id == expected


@pytest.mark.parametrize(("schema", "pk", "bucket"), [(1, "~n5.0", 5.0), (2, "~n5", 5)])
def test_hole_28_numbers_in_keys_and_buckets_go_by_the_schema(schema, pk, bucket) -> None:
    """The schema of stream.json holds for partition keys and buckets as for ids."""
    payload = {"id": "i", "pk": 5.0, "time": "2026-11-25T00:00:00Z"}
    assert stream_of(schema=schema).identify(payload, Source(), None, b"").pk == pk
    buckets = {"of": "/pk", "buckets": 97, "day": "/time"}
    found = stream_of(schema=schema, partitionKey=buckets).identify(payload, Source(), None, b"").pk
    assert found == f"2026-11-25|{identity.bucket(bucket, 97, schema)}"


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("UA-1545_EWR.x", "UA-1545_EWR.x"),
        ("a b", "a~20b"),
        ("a|b", "a~7cb"),
        ("ü", "~c3~bc"),
        ("..", "~2e~2e"),
        ("a.", "a."),
        (5, "~n5"),
        (-2.5, "~n-2.5"),
        (1e-7, "~n1e-07"),
        (2**60, "~n1152921504606846976"),
    ],
)
def test_the_form_is_the_documented_one(value, encoded) -> None:
    """The form that readers compute: plain characters stay, bytes as ~xx, numbers as ~n and their text."""
    assert identity.encode(value) == encoded


@given(st.text(min_size=1, max_size=2000))
def test_ids_stay_within_the_limit(text) -> None:
    """An id is never over 900 bytes; a longer one is the SHA-256 of its encoded form, after ~h."""
    doc_id = identity.encode_id(text)
    assert len(doc_id.encode()) <= identity.ID_LIMIT
    encoded = identity.encode(text)
    if len(encoded) > identity.ID_LIMIT:
        assert doc_id == "~h" + hashlib.sha256(encoded.encode()).hexdigest()
    else:
        assert doc_id == encoded


def test_no_text_looks_like_a_hash_of_another() -> None:
    """What a producer sends can never be equal to the hashed form of a long id."""
    hashed = identity.encode_id("x" * 901)
    assert identity.encode_id(hashed) != hashed


@given(VALUES, st.integers(1, 1000))
def test_buckets_are_within_their_number(value, buckets) -> None:
    """A bucket is one of those that there are, and always the same one."""
    assert 0 <= identity.bucket(value, buckets) < buckets
    assert identity.bucket(value, buckets) == identity.bucket(value, buckets)


def test_a_reader_can_compute_a_bucket() -> None:
    """The bucket is the first 8 bytes of the SHA-256 of the encoded value, big-endian, modulo the number."""
    expected = int.from_bytes(hashlib.sha256(b"a~20b").digest()[:8], "big") % 64
    assert identity.bucket("a b", 64) == expected


PLACE = Source(
    hub="events", partition="3", sequence_number=7, enqueued_at="2026-11-25T10:00:00.000Z", index=2
)


@pytest.mark.parametrize(
    "change",
    [
        {"hub": "other"},
        {"partition": "4"},
        {"sequence_number": 8},
        {"enqueued_at": "2026-11-25T10:00:01.000Z"},
        {"index": 3},
    ],
)
def test_ids_by_place_differ_with_each_part(change) -> None:
    """Where no id is mapped every part of the place counts, the time of a hub made anew included."""
    fields = {name: getattr(PLACE, name) for name in PLACE.__struct_fields__}
    assert identity.source_id(PLACE, b"x") != identity.source_id(Source(**(fields | change)), b"x")
    assert ALPHABET.fullmatch(identity.source_id(PLACE, b""))


def test_hole_18_a_place_has_one_name_however_its_hub_is_spelt() -> None:
    """The hub's name in another case, and an archive that keeps whole seconds, name the same event; under
    schema 1 of stream.json names stay as they were.
    """
    same = structs.replace(PLACE, hub="EVENTS", enqueued_at="2026-11-25T10:00:00.999Z")
    assert identity.source_id(same, b"") == identity.source_id(PLACE, b"")
    assert identity.source_id(PLACE, b"") == "events.3.7.2026-11-25T10~3a00~3a00Z.2"
    assert identity.source_id(PLACE, b"", 1) == "events.3.7.2026-11-25T10~3a00~3a00.000Z.2"
    assert identity.source_id(same, b"", 1) == "EVENTS.3.7.2026-11-25T10~3a00~3a00.999Z.2"


@pytest.mark.parametrize("unknown", ["hub", "partition", "sequence_number", "enqueued_at"])
def test_hole_09_an_event_of_unknown_place_is_named_by_its_content(unknown) -> None:
    """Where any part of an event's place in the hub is unknown, its body and index are its id: events of two
    partitions with equal numbers and times never become one.
    """
    places = [
        Source(
            **({name: getattr(PLACE, name) for name in PLACE.__struct_fields__} | change | {unknown: None})
        )
        for change in ({"index": 0}, {"index": 1})
    ]
    ids = {identity.source_id(place, body) for place in places for body in (b"a", b"b", b"")}
    assert len(ids) == 6
    assert identity.source_id(places[1], b"a") == f"~b{hashlib.sha256(b'a').hexdigest()}.1"


@given(VALUES, st.sampled_from([1, 2]))
def test_a_text_is_read_back_as_the_value_that_it_was_made_of(value, schema) -> None:
    """Encoding loses nothing, under either schema; of a hash nothing is said."""
    assert identity.decode(identity.encode(value, schema)) == value
    assert identity.decode("~h" + "0" * 64) is None


@given(st.text(max_size=12))
def test_any_text_of_a_message_is_read_back(text) -> None:
    """An identity that somebody else wrote into a message is read as far as it says anything."""
    identity.read_back(text, text)
    assert identity.decode("~nx~") == "~nx~"
    assert identity.decode("~ff") == "~ff"


def test_an_id_of_exactly_the_limit_is_readable() -> None:
    """900 bytes are an id as they are, 901 a hash: whoever reads by id has to know which."""
    assert identity.encode_id("a" * 900) == "a" * 900
    assert identity.encode_id("a" * 901) == "~h" + hashlib.sha256(b"a" * 901).hexdigest()
