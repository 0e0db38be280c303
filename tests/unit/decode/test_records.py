"""Bodies of several records, taken apart into the exact bytes of each."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from everscore.decode import records as unwrapping
from everscore.decode.records import NotWrappedError, TooManyRecordsError


def split(body: bytes, *, wrapped: bool, limit: int = 1_000) -> list[bytes]:
    """The records as bytes."""
    return [bytes(record) for record in unwrapping.split(body, wrapped=wrapped, limit=limit)]


# What JSON parsers differ on: NaN, lone surrogates, brackets and commas inside of texts.
TEXTS = st.text(st.characters() | st.sampled_from('[]{},:"\\ \ud800'), max_size=8)
RECORDS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
SPACES = st.text(" \t\r\n", max_size=2)
FLAVOURS = st.sampled_from([b"", b"\xef\xbb\xbf"])


@given(st.lists(RECORDS, max_size=5), SPACES, SPACES, FLAVOURS)
@example(["\ud800", float("nan"), 1], "", "", b"")
def test_each_record_of_a_list_keeps_its_exact_bytes(records, before, after, mark) -> None:
    """Whatever the neighbours hold, a record's bytes are what stood between its commas."""
    texts = [json.dumps(record) for record in records]
    body = "[" + before + f"{before},{after}".join(texts) + after + "]"
    assert split(mark + body.encode(), wrapped=False) == [text.encode() for text in texts]


@given(
    st.lists(RECORDS, max_size=4),
    st.dictionaries(TEXTS.filter(lambda name: name != "records"), RECORDS, max_size=2),
    SPACES,
)
def test_records_are_found_among_other_members(records, others, space) -> None:
    """The list named records is taken, wherever it stands and whatever stands beside it."""
    texts = [json.dumps(record) for record in records]
    listed = f'"records"{space}:{space}[{",".join(texts)}]'
    members = [f"{json.dumps(name)}{space}:{json.dumps(value)}" for name, value in others.items()]
    for at in range(len(members) + 1):
        body = "{" + space + f",{space}".join([*members[:at], listed, *members[at:]]) + "}"
        assert split(body.encode(), wrapped=True) == [text.encode() for text in texts]


@pytest.mark.parametrize("body", [b"", b"[", b"{}", b"1", b"[1,]", b"\xff", b'[1] "x"', b"[" * 99_999])
@pytest.mark.parametrize("wrapped", [True, False])
def test_anything_else_is_refused(body, wrapped) -> None:
    """Another JSON value, or none at all, is refused as a whole."""
    with pytest.raises(NotWrappedError):
        split(body, wrapped=wrapped)


@given(st.binary(max_size=60), st.booleans())
@example(b'{"records":NaN}', True)
@example(b'{"records":[NaN],"records":1}', True)
@example(b"[NaN", False)
def test_any_bytes_are_split_or_refused(body, wrapped) -> None:
    """No body makes it raise anything else."""
    try:
        records = split(body, wrapped=wrapped)
    except NotWrappedError:
        return
    assert all(record in body for record in records)


def test_bytes_that_are_no_utf8_harm_their_record_alone() -> None:
    """A record that is no UTF-8 is handed on, so that it fails by itself."""
    assert split(b'["\xff", 1]', wrapped=False) == [b'"\xff"', b"1"]


@pytest.mark.parametrize("between", [b"1", b"NaN"], ids=["read fast", "read slowly"])
def test_of_records_that_stand_twice_the_last_count(between) -> None:
    """As for every other member that a JSON text holds twice, and by both ways of reading alike."""
    body = b'{"records":[{"n":1}],"x":' + between + b',"records":[{"n":2},{"n":3}]}'
    assert split(body, wrapped=True) == [b'{"n":2}', b'{"n":3}']


# Each is refused by one JSON parser or by all, alone or with others; brackets and quotes are closed in each.
BAD = [
    b'{"n":' + b"1" * 5_000 + b',"x":NaN}',
    b'{"n":' + b"1" * 5_000 + b',"x":"\\ud800"}',
    b"\xef\xbb\xbf" + b'{"n":' + b"1" * 5_000 + b"}",
    b"[" * 900 + b"]" * 900,
    b"{'n': 'it, is', 'm': [1, 2]}",
    b'{"n":"\xff\xfe"}',
    b'{"n":"\x00\n"}',
    b"nothing",
    b"{} {}",
    b'{"n" "m"}',
    b"{,}",
]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_hole_44_a_bad_record_leaves_its_neighbours_whole(bad, mark, wrapped) -> None:
    """Whatever is wrong inside of a record, it and its neighbours are cut at the commas between them."""
    records = [b'{"n":[1,{"m":"],[{"}]}', bad, bad, b'{"n":"\\\\"}']
    body = b"[ " + b" ,\n".join(records) + b" ]"
    if wrapped:
        body = b'{"x":[1,"]"], "records" : ' + body + b', "y":{"records":[1]}}'
    assert split(mark + body, wrapped=wrapped) == records


@pytest.mark.parametrize(
    "body",
    [
        b'[{"n":1}, {"n":"a}]',  # a text without an end
        b'[{"n":1}, {"n":[1}]',  # a bracket without its other half
        b'[{"n":1}, NaN',  # the end is missing
        b'[{"n":1}, NaN,]',  # an empty record, which no dead letter could hold
        b"[,NaN]",
        b'[{"n":1}, NaN] more',
        b'[{"n":1}, NaN}',
        b"[NaN]]",
    ],
)
def test_hole_44_what_cannot_be_cut_is_refused_as_a_whole(body) -> None:
    """Where brackets or quotes do not match, nobody can say where a record ends."""
    with pytest.raises(NotWrappedError):
        split(body, wrapped=False)
    with pytest.raises(NotWrappedError):
        split(b'{"records":' + body + b"}", wrapped=True)


@pytest.mark.parametrize("separator", [b",", b",NaN,"], ids=["read fast", "read slowly"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_hole_05_no_more_records_than_the_limit_are_made(separator, wrapped) -> None:
    """As many as the limit allows come back; one more refuses the body."""
    body = b"[" + separator.join([b"{}"] * 50) + b"]"
    count = 50 if separator == b"," else 99
    if wrapped:
        body = b'{"records":' + body + b"}"
    assert len(split(body, wrapped=wrapped, limit=count)) == count
    with pytest.raises(TooManyRecordsError):
        split(body, wrapped=wrapped, limit=count - 1)


def test_hole_05_records_beyond_number_are_not_made_to_be_counted() -> None:
    """Where commas are many no object is made for each record before the limit stops it."""
    body = b"[" + b"0," * 3_000_000 + b"0]"
    tracemalloc.start()
    with pytest.raises(TooManyRecordsError):
        split(body, wrapped=False, limit=1_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_many_commas_inside_of_records_do_not_count() -> None:
    """Commas of the records' own fields are no reason to refuse a body."""
    record = b"[" + b"0," * 40_000 + b"0]"
    assert split(b"[" + record + b"," + record + b"]", wrapped=False, limit=2) == [record, record]
