"""JSON Pointers: RFC 6901, and the three ways in which a value can be absent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everscore.event.pointer import Absent, compile_pointer, parse_pointer

RFC_DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("", RFC_DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_the_rfc(pointer: str, expected: object) -> None:
    """Every example of RFC 6901 section 5 gives the value that the RFC gives."""
    assert compile_pointer(pointer)(RFC_DOCUMENT) == expected


@pytest.mark.parametrize(
    ("pointer", "document", "expected"),
    [
        ("/a", {"a": None}, None),
        ("/a", {}, Absent.MISSING),
        ("/a", {"a": False}, False),
        ("/a/b", {}, Absent.MISSING),
        ("/a/b", {"a": None}, Absent.MISSING),
        ("/a/b", {"a": {"b": None}}, None),
        ("/a/b", {"a": {}}, Absent.MISSING),
        ("/a/b", {"a": "text"}, Absent.BLOCKED),
        ("/a/b", {"a": 0}, Absent.BLOCKED),
        ("/a/b", {"a": []}, Absent.MISSING),
        ("/a", "text", Absent.BLOCKED),
        ("/a", None, Absent.MISSING),
        ("/a", [], Absent.MISSING),
        ("/1", ["x", "y"], "y"),
        ("/2", ["x", "y"], Absent.MISSING),
        ("/01", ["x", "y"], Absent.MISSING),
        ("/-", ["x", "y"], Absent.MISSING),
        ("/-1", ["x", "y"], Absent.MISSING),
        ("/" + "9" * 5000, ["x"], Absent.MISSING),
        ("/1", {"1": "by name"}, "by name"),
        ("/a/1/b", {"a": [0, {"b": 2}]}, 2),
    ],
)
def test_null_missing_and_blocked_are_told_apart(pointer: str, document: object, expected: object) -> None:
    """Null is None, an absent member is MISSING, a path through a scalar is BLOCKED, and none is mixed up."""
    found = compile_pointer(pointer)(document)
    assert found is expected if isinstance(expected, Absent | None) else found == expected


@pytest.mark.parametrize("bad", ["a", "a/b", "#/a", "/~", "/a~2b", "/a~"])
def test_a_text_that_is_no_pointer_is_refused_in_one_sentence(bad: str) -> None:
    """A malformed pointer is refused when it is compiled, by a sentence that quotes it."""
    with pytest.raises(ValueError, match="JSON Pointer") as caught:
        compile_pointer(bad)
    assert repr(bad) in str(caught.value)


@given(st.lists(st.text(max_size=5), max_size=4))
def test_any_names_survive_escaping(names: list[str]) -> None:
    """Whatever names a document has, the escaped pointer to them parses back and finds the value."""
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
    document: object = "value"
    for name in reversed(names):
        document = {name: document}
    assert parse_pointer(pointer) == tuple(names)
    assert compile_pointer(pointer)(document) == "value"
