"""From compressed and encoded bytes to a text in UTF-8."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everscore.decode.packing import MOST_GROWTH, NoRoomError, decompress, to_utf8
from everscore.failures import Permanent


def room_enough(_size: int) -> bool:
    """As much memory as may be."""
    return True


@given(st.binary(max_size=200), st.integers(1, 300))
def test_decompressing_gives_what_was_compressed(data, limit) -> None:
    """Up to the limit the bytes come back, beyond it they are refused."""
    packed = gzip.compress(data, mtime=0)
    if len(data) <= limit:
        assert decompress(packed, limit, "hint", room_enough) == data
    else:
        with pytest.raises(Permanent):
            decompress(packed, limit, "hint", room_enough)


@pytest.mark.parametrize("size", [0, 5, 700, 70_000])
@pytest.mark.parametrize("zeros", [1, 3, 512, 10_000])
def test_zeros_behind_gzip_are_padding(size, zeros) -> None:
    """As Python's own module has it; the trailer of a small member, which ends in zeros, is none."""
    packed = gzip.compress(b"x" * size, mtime=0) * 2
    padded = packed + b"\0" * zeros
    assert decompress(padded, 2 * size, "hint", room_enough) == gzip.decompress(padded) == b"xx" * size
    with pytest.raises(Permanent, match="gzip corrupt"):
        decompress(padded + b"x", 2 * size, "hint", room_enough)
    with pytest.raises(Permanent, match="gzip truncated"):
        decompress(packed[:-1], 2 * size, "hint", room_enough)


def test_many_small_gzip_members_cost_what_their_bytes_do(monkeypatch) -> None:
    """However many members a body has, zlib gets each byte of it a few times at most, not once a member."""
    given_bytes = 0

    class Counted:
        def __init__(self, wbits: int) -> None:
            self._real = decompressobj(wbits=wbits)

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

        def decompress(self, piece: bytes, limit: int) -> bytes:
            nonlocal given_bytes
            given_bytes += len(piece)
            return self._real.decompress(piece, limit)

    decompressobj = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", Counted)
    body = gzip.compress(b"", mtime=0) * 5_000 + gzip.compress(b"end", mtime=0)
    assert decompress(body, 1_000, "hint", room_enough) == b"end"
    assert given_bytes < 30 * len(body)


@pytest.mark.parametrize("size", [255 * 1024, 256 * 1024, 256 * 1024 + 1, 3_000_000])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_what_is_larger_than_a_piece_comes_back_whole(size, level) -> None:
    """The bytes come out of zlib piece by piece, whatever the compression; the last piece may be of any size."""
    data = bytes(range(251)) * (size // 251) + b"x" * (size % 251)
    packed = gzip.compress(data, level, mtime=0)
    assert decompress(packed * 2, 2 * size, "hint", room_enough) == data * 2
    with pytest.raises(Permanent, match=r"over .* bytes .hint."):
        decompress(packed, size - 1, "hint", room_enough)


def test_nothing_grows_more_than_is_reckoned_with() -> None:
    """The most that a compressed body can grow to is what its memory is reserved by."""
    packed = gzip.compress(b" " * 10_000_000, 9, mtime=0)
    assert 1_000 * len(packed) < 10_000_000 <= MOST_GROWTH * len(packed)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_hole_46_a_byte_order_mark_names_the_encoding(encoding) -> None:
    """A text in UTF-16 or UTF-32 with a byte order mark is read, in either byte order."""
    text = '{"a": "é😀"}'
    marked = text.encode(encoding) if encoding in ("utf-16", "utf-32") else ("\ufeff" + text).encode(encoding)
    assert to_utf8(marked, room_enough) == text.encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xfe{", "not UTF-16"),
        (b"\xfe\xff\x00{\xd8\x00\x00}", "not UTF-16"),
        (b"\xff\xfe\x00\x00{\x00\x00", "not UTF-32"),
        (b"\x00\x00\xfe\xff\x00\x00\x00", "not UTF-32"),
    ],
)
def test_hole_46_what_is_not_in_the_encoding_of_its_mark_is_permanent(body, reason) -> None:
    """A mark alone makes no text of a body: the failure names the encoding that it claims."""
    with pytest.raises(Permanent) as raised:
        to_utf8(body, room_enough)
    assert raised.value.reason == reason


@given(st.binary(max_size=30))
def test_without_a_mark_the_bytes_stay_as_they_are(body) -> None:
    """Any other body comes back as it came."""
    if not body.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        assert to_utf8(body, room_enough) is body


def test_hole_06_unpacking_stops_where_there_is_no_memory() -> None:
    """What a body grows to is taken from the budget piece by piece, and refused before the piece is kept."""
    packed = gzip.compress(b" " * 3_000_000, mtime=0)
    taken: list[int] = []

    def room(size: int) -> bool:
        taken.append(size)
        return sum(taken) <= 1_000_000

    with pytest.raises(NoRoomError):
        decompress(packed, 10_000_000, "hint", room)
    assert max(taken) <= 256 * 1024
    assert sum(taken) <= 1_000_000 + 256 * 1024
    with pytest.raises(NoRoomError):
        to_utf8("\ufeff{}".encode("utf-16"), lambda size: size < 16)
