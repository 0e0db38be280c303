"""Bodies of several records, taken apart into the exact bytes of each."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from everscore.decode.records import NotWrappedError, split

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
