"""From a JSON text in UTF-8 to its values, and what JSON allows but a document does not."""

from __future__ import annotations

import json

import msgspec

from everscore.event import storable
from everscore.failures import Permanent, Stage

# Below this many brackets a payload cannot nest too deep, and need not be walked.
_SAFE_BRACKETS = storable.DEPTH_LIMIT
# Every digit as 0: a search for 16 of them then costs a tenth of what a regular expression does.
_DIGITS = bytes(ord("0") if chr(byte) in "0123456789" else byte for byte in range(256))
_LONG_NUMBER = b"0" * 16
# A text up to this size is parsed for the sentence that says what is wrong with it.
_EXPLAINED_BYTES = 256 * 1024
_any = msgspec.json.Decoder()
_raw = msgspec.json.Decoder(msgspec.Raw)


def parse_json(text: bytes) -> tuple[object, bool]:
    """Parse one JSON text.

    Returns:
        The payload, and whether it may hold integers that a double cannot.

    Raises:
        Permanent: it is not UTF-8, not JSON, holds a number that is not finite, or nests too deep.
    """
    try:
        payload = _any.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # The slow parser gives positions and fields, and takes what the fast one does not: lone surrogates
        # written as \\ud800, which JSON allows, and a byte order mark.
        return storable.clean(_parse_slowly(text))
    brackets = text.count(b"{") + text.count(b"[")
    if brackets > _SAFE_BRACKETS and storable.depth_of(payload) > storable.DEPTH_LIMIT:
        raise storable.too_deep()
    return payload, _LONG_NUMBER in text.translate(_DIGITS)


def _parse_slowly(body: bytes) -> object:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Permanent(
            Stage.DECODE, "not UTF-8", f"byte {error.start} is {body[error.start]:#04x}: {error.reason}"
        ) from error
    try:
        # NaN and Infinity, which are no JSON, come back as floats: clean() names the field.
        return json.loads(text)
    except RecursionError as error:
        raise storable.too_deep() from error
    except json.JSONDecodeError as error:
        raise Permanent(Stage.DECODE, "not JSON", f"{error.msg} at character {error.pos}") from error
    except ValueError as error:  # an integer of over 4,300 digits
        raise Permanent(Stage.DECODE, "number too long", str(error)[:200]) from error


def check_json(text: bytes) -> None:
    """Say what is wrong with a text that could not be taken apart, if it is no JSON at all.

    Raises:
        Permanent: it is not UTF-8, not JSON, or nests too deep.
    """
    if len(text) <= _EXPLAINED_BYTES:
        parse_json(text)
        return
    try:
        _raw.decode(text)  # reads it without making its values, which could be many times its size
    except RecursionError as error:
        raise storable.too_deep() from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise Permanent(Stage.DECODE, "not JSON", str(error)[:200]) from error
