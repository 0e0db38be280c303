"""Takes a body of several events apart: from then on each is an event of its own, with its exact bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

_records = msgspec.json.Decoder(list[msgspec.Raw])


class _Wrapped(msgspec.Struct):
    records: list[msgspec.Raw]


_wrapped = msgspec.json.Decoder(_Wrapped)


class NotWrappedError(ValueError):
    """The body is not made as stream.json says; the message says what was expected and found."""


def split(body: bytes, *, wrapped: bool) -> list[bytes]:
    """The exact bytes of each record.

    Args:
        body: a JSON list or, where ``wrapped``, an object with the list ``records``.
        wrapped: see body.

    Raises:
        NotWrappedError: it is another JSON value, or none.
    """
    try:
        return [bytes(raw) for raw in (_wrapped.decode(body).records if wrapped else _records.decode(body))]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # One record with NaN or a lone surrogate, which this parser refuses, must not take its neighbours
        # with it; nor must a byte order mark.
        slices = _split_slowly(body, wrapped=wrapped)
        if slices is None:
            wanted = 'an object with the list "records"' if wrapped else "a list"
            raise NotWrappedError(f"expected {wanted}: {error}") from error
        return slices


def _split_slowly(body: bytes, *, wrapped: bool) -> list[bytes] | None:
    try:
        text = body.decode("utf-8-sig")
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed.get("records") if wrapped and isinstance(parsed, dict) else parsed, list):
        return None
    at = _skip(text, 0)
    if wrapped:
        if not isinstance(parsed, dict):
            return None
        # Of a member that stands twice the last counts, as for all parsers here.
        at = [start for name, start in _members(text, at) if name == "records"][-1]
    return [record.encode() for record in _elements(text, at)]


# Both read what json.loads has read already, so that they need not check it again.
_scan = json.JSONDecoder().raw_decode


def _elements(text: str, at: int) -> Iterator[str]:
    at = _skip(text, at + 1)
    while text[at] != "]":
        _, end = _scan(text, at)
        yield text[at:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _members(text: str, at: int) -> Iterator[tuple[str, int]]:
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, end = _scan(text, at)
        start = _skip(text, _skip(text, end) + 1)
        _, end = _scan(text, start)
        yield name, start
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    """The next place that is no white space of JSON."""
    while at < len(text) and text[at] in " \t\n\r":
        at += 1
    return at
