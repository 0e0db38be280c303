"""Takes a body of several events apart: from then on each is an event of its own, with its exact bytes.

A record is what stands between two commas of the list, whether it is sound or not: texts in double quotes
and brackets are all that is looked at, so that one bad record never takes its neighbours along.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence

import msgspec

# Above this many commas the quick parser, which makes an object for each record before it can say how many
# they are, is not asked.
_MANY_COMMAS = 65_536
_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
# A quote that matches alone is one without an end.
_AT_TOP = re.compile(_TEXT + rb'|[\[\]{},"]', re.DOTALL)
_DEEPER = re.compile(_TEXT + rb'|[\[\]{}"]', re.DOTALL)
_MEMBER = re.compile(rb"[ \t\n\r]*(" + _TEXT + rb")[ \t\n\r]*:[ \t\n\r]*", re.DOTALL)
_BLANK = b" \t\n\r"
_OPENING = frozenset(b"[{")
_COMMA, _QUOTE = b',"'

_records = msgspec.json.Decoder(list[msgspec.Raw])


class _Wrapped(msgspec.Struct):
    records: list[msgspec.Raw]


_wrapped = msgspec.json.Decoder(_Wrapped)


class NotWrappedError(ValueError):
    """The body is not made as stream.json says; the message says what was expected and found."""


class TooManyRecordsError(ValueError):
    """The body holds more records than may be in one."""


def split(text: bytes, *, wrapped: bool, limit: int) -> Sequence[msgspec.Raw | memoryview]:
    """The exact bytes of each record, as views of the text.

    Args:
        text: a JSON list or, where ``wrapped``, an object with the list ``records``; in UTF-8.
        wrapped: see text.
        limit: of records.

    Raises:
        NotWrappedError: it is another JSON value, or none, or cannot be cut into records.
        TooManyRecordsError: there are more than ``limit``.
    """
    refusal = "it is not made so"
    if text.count(b",") <= _MANY_COMMAS:
        try:
            quick = _wrapped.decode(text).records if wrapped else _records.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            refusal = str(error)
        else:
            if len(quick) > limit:
                raise TooManyRecordsError
            return quick
    try:
        return _cut(text, wrapped=wrapped, limit=limit)
    except _UncutError:
        wanted = 'an object with the list "records"' if wrapped else "a list"
        raise NotWrappedError(f"expected {wanted}: {refusal}") from None


class _UncutError(ValueError):
    """Brackets or quotes are not closed, or something stands where nothing may."""


def _cut(text: bytes, *, wrapped: bool, limit: int) -> list[memoryview]:
    at = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0
    start, end = _stripped(text, at, len(text))
    if wrapped:
        start, end = _list_of_records(text, start, end)
    view = memoryview(text)
    records: list[memoryview] = []
    for first, last in _parts(text, start, end, b"[]"):
        if first == last:
            if not records and last == end - 1:
                return []
            raise _UncutError  # two commas, or one before the end: no event, and none that could be named
        if len(records) == limit:
            raise TooManyRecordsError
        records.append(view[first:last])
    return records


def _list_of_records(text: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the list begins and ends; of a member that stands twice the last counts, as for all parsers."""
    found: tuple[int, int] | None = None
    for first, last in _parts(text, start, end, b"{}"):
        member = _MEMBER.match(text, first, last)
        if member is None:
            raise _UncutError
        if _is_records(member[1]):
            found = member.end(), last
    if found is None:
        raise _UncutError
    return found


def _is_records(name: bytes) -> bool:
    if name == b'"records"':
        return True
    try:
        return b"\\" in name and json.loads(name) == "records"
    except ValueError:
        return False


def _parts(text: bytes, start: int, end: int, brackets: bytes) -> Iterator[tuple[int, int]]:
    """Where each part of a list or an object begins and ends, without the white space around it.

    Args:
        text: all of it.
        start: of the list or object.
        end: behind its last bracket.
        brackets: its first and its last.
    """
    if end - start < 2 or text[start] != brackets[0]:
        raise _UncutError
    at = first = start + 1
    depth = 0
    while True:
        # Between the brackets of a part its commas do not matter, and there are many of them.
        token = (_DEEPER if depth else _AT_TOP).search(text, at, end)
        if token is None:
            raise _UncutError
        byte = text[token.start()]
        at = token.end()
        if byte in _OPENING:
            depth += 1
        elif byte == _QUOTE:
            if at - token.start() < 2:
                raise _UncutError
        elif depth:
            depth -= byte != _COMMA
        else:
            yield _stripped(text, first, token.start())
            first = at
            if byte != _COMMA:
                break
    if byte != brackets[1] or at != end:
        raise _UncutError


def _stripped(text: bytes, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in _BLANK:
        start += 1
    while end > start and text[end - 1] in _BLANK:
        end -= 1
    return start, end
