"""JSON Pointers (RFC 6901), compiled once to a function that reads the value out of a parsed document.

What a manifest says of a field depends on how it is absent, so a getter tells three cases apart:
JSON null is None, as it was parsed; a name or element that is not there is `Absent.MISSING`; a path that
runs into a text, number or boolean is `Absent.BLOCKED`, since then the payload has another shape than the
manifest believes. A null on the way counts as missing: producers write null for "there is no such part".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]*")


class Absent(Enum):
    """Why a pointer found no value. Neither member is a value that JSON can hold."""

    MISSING = "missing"
    BLOCKED = "blocked"


type Getter = Callable[[object], object]


def parse_pointer(text: str) -> tuple[str, ...]:
    """The reference tokens of a pointer, unescaped; the empty pointer (the whole document) has none.

    Raises:
        ValueError: the text is no JSON Pointer; the message is one sentence that says why.
    """
    if text == "":
        return ()
    if not text.startswith("/"):
        raise ValueError(f"the JSON Pointer {text!r} must start with '/', as in '/{text}'")
    if _BAD_ESCAPE.search(text):
        raise ValueError(
            f"the JSON Pointer {text!r} has a '~' that is not followed by 0 or 1: write '~0' for '~'"
        )
    # ~1 before ~0, else "~01" would become "/" instead of "~1" (RFC 6901 §4).
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text[1:].split("/"))


def compile_pointer(text: str) -> Getter:
    """A function that takes a parsed JSON document and returns the value there, or an `Absent`.

    Tokens apply to objects by name and to arrays by decimal index without leading zeros; ``-`` (the element
    after the last) is always missing.

    Raises:
        ValueError: the text is no JSON Pointer.
    """
    tokens = parse_pointer(text)

    if len(tokens) == 1 and not _INDEX.fullmatch(tokens[0]):
        name = tokens[0]

        # Nearly every pointer of a manifest is one name deep, and is followed once for each event and input.
        def get_member(document: object) -> object:
            if isinstance(document, dict):
                return document.get(name, Absent.MISSING)
            return _step(document, name)

        return get_member

    def get_path(document: object) -> object:
        value = document
        for token in tokens:
            value = _step(value, token)
            if isinstance(value, Absent):
                return value
        return value

    return get_path


def _step(container: object, token: str) -> object:
    if isinstance(container, dict):
        return container.get(token, Absent.MISSING)
    if isinstance(container, list):
        # An index far past the end is refused by its length first: int() of thousands of digits raises.
        if _INDEX.fullmatch(token) and len(token) < 20 and int(token) < len(container):
            return container[int(token)]
        return Absent.MISSING
    return Absent.MISSING if container is None else Absent.BLOCKED
