"""From the bytes of a body to a text in UTF-8: gzip, and the encodings that a byte order mark names."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable

from everscore.failures import Permanent, Stage

GZIP_MAGIC = b"\x1f\x8b"
# No deflate stream grows more than this many times. Source: zlib.net/zlib_tech.html, "Maximum Compression
# Factor".
MOST_GROWTH = 1_032
# UTF-32 before UTF-16, since the mark of the one in little endian begins with that of the other.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
# First bytes of what is not simply a text in UTF-8. No JSON begins with one.
SPECIAL = frozenset({GZIP_MAGIC[0], *(mark[0] for mark in _MARKS)})
_MARKED = frozenset({mark[:2] for mark in _MARKS})
# Bytes of a gzip member that zlib gets at first; then twice as many each time.
_FIRST_PIECE = 512
# Bytes that one of a text in another encoding takes, as characters and as UTF-8 together, at most.
RECODED = 4
# Bytes that zlib gives back at a time: what it gives stands beside what is unpacked already.
_PIECE_OUT = 256 * 1024


type Room = Callable[[int], bool]


class NoRoomError(Exception):
    """There is no memory for what a body unpacks to: not now."""


def is_packed(body: bytes) -> bool:
    """Whether a body is compressed."""
    return body.startswith(GZIP_MAGIC)


def to_utf8(text: bytes, room: Room) -> bytes:
    """The text in UTF-8, where a byte order mark says that it is in UTF-16 or UTF-32; else as it is.

    Args:
        text: with its mark, if it has one.
        room: takes so many bytes of memory, or returns false.

    Raises:
        NoRoomError: there is no memory for it.
        Permanent: it is not in the encoding that its mark names.
    """
    if text[:2] not in _MARKED:
        return text
    encoding = next((encoding for mark, encoding in _MARKS.items() if text.startswith(mark)), None)
    if encoding is None:
        return text
    if not room(RECODED * len(text)):
        raise NoRoomError
    try:
        return text.decode(encoding).encode()
    except UnicodeDecodeError as error:
        detail = f"its byte order mark says {encoding}, but byte {error.start} is not: {error.reason}"
        raise Permanent(Stage.DECODE, f"not {encoding}", detail) from error


def decompress(body: bytes, limit: int, hint: str, room: Room) -> bytes:
    """Unpack gzip, all members, up to a limit, so that a small body cannot fill the memory.

    Zeros behind the last member are padding, as gzip itself and Python's module take them.

    What is behind a member comes back from zlib as a copy, so that each gets its bytes piece by piece: tens
    of thousands of empty members would otherwise copy a body of one megabyte as often.

    Args:
        body: the compressed bytes.
        limit: bytes that they may grow to.
        hint: ends the sentence that says that they grow beyond it.
        room: takes so many bytes of memory, or returns false.

    Raises:
        NoRoomError: there is no memory for it.
        Permanent: it is corrupt or truncated, or larger than the limit.
    """
    out: list[bytes] = []
    held = 0
    at = 0
    end = len(body.rstrip(b"\0")) if body.endswith(b"\0") else len(body)
    while at < end:
        unpacker = zlib.decompressobj(wbits=31)
        size = _FIRST_PIECE
        while not unpacker.eof:
            if at >= len(body):
                raise Permanent(Stage.DECODE, "gzip truncated", "the compressed data ends too early")
            piece = body[at : at + size]
            at += len(piece)
            size *= 2
            while piece and not unpacker.eof:
                try:
                    part = unpacker.decompress(piece, min(limit + 1 - held, _PIECE_OUT))
                except zlib.error as error:
                    raise Permanent(Stage.DECODE, "gzip corrupt", str(error)) from error
                held += len(part)
                if not room(len(part)):
                    raise NoRoomError
                out.append(part)
                if held > limit:
                    raise Permanent(
                        Stage.DECODE, "decompressed too large", f"it grows over {limit} bytes ({hint})"
                    )
                piece = unpacker.unconsumed_tail
        at -= len(unpacker.unused_data)
    if len(out) > 1 and not room(held):
        raise NoRoomError
    return b"".join(out)
