"""Payloads as JSON and the store hold them without loss."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from everscore.event import storable as plain
from everscore.event.pointer import compile_pointer
from everscore.failures import Permanent

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
@example({"a/b": {"~": [1, 2**53, 2**53 + 1, -(2**53) - 1]}})
def test_json_stays_as_it_is_but_for_large_integers(payload) -> None:
    """Every value comes back equal, integers beyond a double's as texts, each listed by its pointer."""
    cleaned, long_integers = plain.clean(payload)
    assert cleaned == payload
    spelt, text_numbers = plain.spell_long_integers(cleaned)
    assert cleaned == payload
    assert long_integers == bool(text_numbers)
    for pointer in text_numbers:
        get = compile_pointer(pointer)
        assert isinstance(get(spelt), str)
        assert int(get(spelt)) == get(payload)
        assert float(get(payload)) != get(payload) or abs(get(payload)) > plain.EXACT_LIMIT
    assert json.loads(json.dumps(spelt)) == spelt
    assert _texts(payload, "", set(text_numbers)) == spelt


def _texts(value, at, pointers):
    """The payload with a text at each pointer."""
    if at in pointers:
        return str(value)
    if isinstance(value, dict):
        return {
            name: _texts(inner, f"{at}/{name.replace('~', '~0').replace('/', '~1')}", pointers)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_texts(inner, f"{at}/{index}", pointers) for index, inner in enumerate(value)]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 11, 25, 10, 0, 0, 5, tzinfo=UTC), "2026-11-25T10:00:00.000005Z"),
        (datetime(2026, 11, 25, 10, tzinfo=timezone(timedelta(hours=2))), "2026-11-25T08:00:00.000000Z"),
        (date(2026, 11, 25), "2026-11-25"),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\x00\xff", "AP8="),
        (np.float32(0.5), 0.5),
        (np.int64(2**60), 2**60),
        (np.bool_(True), True),
        ((1, 2), [1, 2]),
    ],
)
def test_what_a_decoder_brings_becomes_json(value, expected) -> None:
    """Dates, decimals, UUIDs, bytes and NumPy scalars become what JSON has for them."""
    cleaned, _ = plain.clean({"a": value})
    assert cleaned == {"a": expected}
    assert type(cleaned["a"]) is type(expected)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "number not finite"),
        (float("-inf"), "number not finite"),
        (np.float64("inf"), "number not finite"),
        (np.float32("nan"), "number not finite"),
        ({1, 2}, "type has no JSON form"),
        (np.zeros(3), "type has no JSON form"),
        (object(), "type has no JSON form"),
        ({1: 2}, "name is no text"),
        pytest.param(10**4_300, "number too long", id="4,301 digits"),
    ],
)
def test_what_json_cannot_hold_is_permanent_and_named(value, reason) -> None:
    """The failure says where in the payload it is."""
    with pytest.raises(Permanent) as raised:
        plain.clean({"a": [0, value]})
    assert (raised.value.reason, raised.value.field) == (reason, "/a/1")


@pytest.mark.parametrize("levels", [plain.DEPTH_LIMIT, plain.DEPTH_LIMIT + 1, 5_000])
def test_depth_is_bounded(levels) -> None:
    """What nests deeper than a document can is permanent, without exhausting the stack."""
    payload: object = 1
    for _ in range(levels):
        payload = [payload]
    assert plain.depth_of(payload) == levels
    if levels <= plain.DEPTH_LIMIT:
        plain.clean(payload)
        return
    with pytest.raises(Permanent, match="nesting too deep"):
        plain.clean(payload)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (2**53, 2**53),
        (-(2**53), -(2**53)),
        (2**53 + 1, "9007199254740993"),
        (-(2**53) - 1, "-9007199254740993"),
        (10**30, "1" + "0" * 30),
    ],
)
def test_every_integer_beyond_a_doubles_becomes_a_text(value, stored) -> None:
    """The largest that a double counts up to stays a number; from the next on digits would be lost."""
    cleaned, text_numbers = plain.spell_long_integers({"a": [value]})
    assert cleaned == {"a": [stored]}
    assert text_numbers == ([] if value == stored else ["/a/0"])
