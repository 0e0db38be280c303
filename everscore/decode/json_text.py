"""From the bytes of a body to JSON values: gzip, UTF-8, JSON, and what JSON allows but a store does not."""

from __future__ import annotations

import json
import zlib

import msgspec

from everscore.event import storable
from everscore.failures import Permanent, Stage

GZIP_MAGIC = b"\x1f\x8b"
# Below this many brackets a payload cannot nest too deep, and need not be walked.
_SAFE_BRACKETS = storable.DEPTH_LIMIT
# Every digit as 0: a search for 16 of them then costs a tenth of what a regular expression does.
_DIGITS = bytes(ord("0") if chr(byte) in "0123456789" else byte for byte in range(256))
_LONG_NUMBER = b"0" * 16
# Bytes of a gzip member that zlib gets at first; then twice as many each time.
_FIRST_PIECE = 512
_any = msgspec.json.Decoder()


def parse_json(body: bytes) -> tuple[object, list[str]]:
    """Parse one JSON text.

    Returns:
        The payload and the JSON Pointers of integers that became texts.

    Raises:
        Permanent: it is not UTF-8, not JSON, holds a number that is not finite, or nests too deep.
    """
    try:
        payload = _any.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # The slow parser gives positions and fields, and takes what the fast one does not: lone surrogates
        # written as \\ud800, which JSON allows, and a byte order mark.
        payload = _parse_slowly(body)
        return storable.clean(payload)
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > _SAFE_BRACKETS and storable.depth_of(payload) > storable.DEPTH_LIMIT:
        raise storable.too_deep()
    if _LONG_NUMBER in body.translate(_DIGITS):
        return storable.clean(payload)
    return payload, []


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


def decompress(body: bytes, limit: int) -> bytes:
    """Unpack gzip, all members, up to a limit, so that a small body cannot fill the memory.

    What is behind a member comes back from zlib as a copy, so that each gets its bytes piece by piece: tens
    of thousands of empty members would otherwise copy a body of one megabyte as often.

    Raises:
        Permanent: it is corrupt or truncated, or larger than the limit.
    """
    out = bytearray()
    at = 0
    while at < len(body):
        unpacker = zlib.decompressobj(wbits=31)
        size = _FIRST_PIECE
        while not unpacker.eof:
            if at >= len(body):
                raise Permanent(Stage.DECODE, "gzip truncated", "the compressed data ends too early")
            piece = body[at : at + size]
            try:
                out += unpacker.decompress(piece, limit + 1 - len(out))
            except zlib.error as error:
                raise Permanent(Stage.DECODE, "gzip corrupt", str(error)) from error
            if len(out) > limit:
                raise Permanent(
                    Stage.DECODE,
                    "decompressed too large",
                    f"it grows over {limit} bytes (DECOMPRESSED_LIMIT_MIB sets the limit)",
                )
            at += len(piece)
            size *= 2
        at -= len(unpacker.unused_data)
    return bytes(out)
