"""Values that JSON and Cosmos DB hold without loss: what a payload must be before it is scored and stored."""

from __future__ import annotations

import base64
import math
import uuid
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from everscore.clock import times
from everscore.failures import Permanent, Stage

# The service keeps numbers as IEEE-754 doubles: integers beyond this lose digits.
EXACT_LIMIT = 2**53
# The service takes 128 levels; the document holds the payload some levels deep.
DEPTH_LIMIT = 120
# Bytes of a document. Source: learn.microsoft.com/azure/cosmos-db/concepts-limits, "Per-item limits".
SIZE_LIMIT = 2 * 1024 * 1024


def clean(payload: object) -> tuple[object, bool]:
    """Give a payload the types of JSON.

    Dates, decimals, UUIDs, bytes and NumPy scalars, which only an own decoder can bring, become what JSON
    has for them. Integers stay integers, however large: identity, time and scores read what was sent.

    Returns:
        The payload, and whether it holds integers that the store can only keep as texts.

    Raises:
        Permanent: a number is not finite or has too many digits, a type has no JSON form, or it nests too
            deep; the field is named.
    """
    cleaning = _Cleaning()
    return cleaning.clean(payload, "", 1), cleaning.long_integers


class _Cleaning:
    """One payload's walk; remembers whether it met an integer that a double cannot hold."""

    def __init__(self) -> None:
        self.long_integers = False

    def clean(self, value: object, at: str, depth: int) -> object:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            # NumPy's own texts and those of an enumeration are no plain ones, and a model takes no others.
            return value if type(value) is str else str.__str__(value)
        if isinstance(value, int):
            return self._integer(value, at)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise Permanent(
                    Stage.DECODE,
                    "number not finite",
                    f"found {value}; JSON and the store hold finite ones",
                    field=at,
                )
            return float(value)
        if isinstance(value, dict):
            _check_depth(depth)
            for name in value:
                if not isinstance(name, str):
                    raise Permanent(Stage.DECODE, "name is no text", f"found {type(name).__name__}", field=at)
            return {
                name: self.clean(inner, f"{at}/{_escape(name)}", depth + 1) for name, inner in value.items()
            }
        if isinstance(value, (list, tuple)):
            _check_depth(depth)
            return [self.clean(inner, f"{at}/{index}", depth + 1) for index, inner in enumerate(value)]
        return self._convert(value, at, depth)

    def _integer(self, value: int, at: str) -> int:
        if -EXACT_LIMIT <= value <= EXACT_LIMIT:
            return int(value)
        self.long_integers = True
        try:
            return int(str(value))  # an integer of over 4,300 digits has no text in Python
        except ValueError as error:
            raise Permanent(Stage.DECODE, "number too long", str(error)[:200], field=at) from error

    def _convert(self, value: object, at: str, depth: int) -> object:
        if isinstance(value, datetime):
            return times.microseconds_text(value)
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, (Decimal, uuid.UUID)):
            return str(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return base64.b64encode(bytes(value)).decode()
        item = getattr(value, "item", None)
        # NumPy scalars give their Python value by item(); an array of several raises there.
        if callable(item) and getattr(value, "ndim", None) == 0:
            return self.clean(item(), at, depth)
        raise Permanent(
            Stage.DECODE,
            "type has no JSON form",
            f"found {type(value).__module__}.{type(value).__name__}; the decoder must convert it",
            field=at,
        )


def spell_long_integers(payload: Any) -> tuple[Any, list[str]]:
    """Make a cleaned payload one that the store keeps without loss: long integers become texts.

    Returns:
        The payload, copied where it changes, and the JSON Pointers of the integers that are texts now.
    """
    text_numbers: list[str] = []
    return _spell(payload, "", text_numbers), text_numbers


def _spell(value: object, at: str, text_numbers: list[str]) -> object:
    if isinstance(value, dict):
        return {name: _spell(inner, f"{at}/{_escape(name)}", text_numbers) for name, inner in value.items()}
    if isinstance(value, list):
        return [_spell(inner, f"{at}/{index}", text_numbers) for index, inner in enumerate(value)]
    if type(value) is int and not -EXACT_LIMIT <= value <= EXACT_LIMIT:
        text_numbers.append(at)
        return str(value)
    return value


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _check_depth(depth: int) -> None:
    if depth > DEPTH_LIMIT:
        raise too_deep()


def too_deep() -> Permanent:
    """The failure of a payload with more levels than a document can hold."""
    return Permanent(
        Stage.DECODE, "nesting too deep", f"objects and lists are nested over {DEPTH_LIMIT} levels deep"
    )


def depth_of(payload: object) -> int:
    """Levels of objects and lists, without recursion, so that depth cannot exhaust the stack."""
    depth = 0
    level: list[object] = [payload]
    while level := [value for value in level if isinstance(value, (dict, list))]:
        depth += 1
        level = [inner for value in level for inner in _inside(value)]
    return depth


def _inside(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
