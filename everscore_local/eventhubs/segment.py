"""One file of a partition's log: a header, then blocks, each holding the events of one accepted send.

A block is written by one call and carries a checksum, so that after a kill it is there as a whole or
not at all. An event's offset is its place in the log: the segment's base offset plus its place in the file.
"""

import errno
import logging
import mmap
import os
import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_LOG = logging.getLogger(__name__)

_HEADER = struct.Struct(
    ">8sqqqqI"
)  # magic, base sequence, base offset, previous time, previous offset, checksum
_MAGIC = b"EVERSEG1"
_BLOCK = struct.Struct(">IIIqq")  # length of what follows, checksum, events, first sequence, enqueued at (ms)
_CHECKED_FROM = 8  # the checksum covers a block from here on
_LENGTH = struct.Struct(">I")
_INDEX_EVERY = 64 * 1024
"""Bytes between two places that the index remembers."""

READ_SIZE = 256 * 1024

type Bake[T] = Callable[[T, int, int, bytes], bytes]
"""Encodes an event, given its sequence number, offset, and enqueued time (8 bytes, ms)."""


class DamagedSegmentError(Exception):
    """A segment's header is unreadable; the text names the file."""


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block stands in its file, and what it holds."""

    position: int
    end: int
    base_sequence: int
    count: int
    enqueued_at: int


class Segment:
    """A segment file. Positions are bytes in the file; times are milliseconds since 1970.

    Attributes:
        path: The file.
        base_sequence: Sequence number of the first event that it holds, or would hold.
        base_offset: Offset of its first byte.
        previous_time: When the last event before it was enqueued.
        previous_offset: Offset of the last event before it.
        size: Bytes that are good.
    """

    def __init__(self, path: Path, header: tuple[int, int, int, int], size: int) -> None:
        self.path = path
        self.base_sequence, self.base_offset, self.previous_time, self.previous_offset = header
        self.size = size
        self._indexed_to: int | None = None
        self._sequences = array("q")
        self._positions = array("q")
        self._times = array("q")

    @classmethod
    def create(cls, directory: Path, header: tuple[int, int, int, int]) -> Self:
        """Make an empty segment, whole or not at all."""
        path = directory / f"{header[0]:020d}.log"
        encoded = _HEADER.pack(_MAGIC, *header, 0)[:-4]
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(encoded + zlib.crc32(encoded).to_bytes(4))
        unfinished.replace(path)
        segment = cls(path, header, _HEADER.size)
        segment._indexed_to = _HEADER.size
        return segment

    @classmethod
    def open(cls, path: Path) -> Self:
        """Take up a segment that is on disk.

        Raises:
            DamagedSegmentError: its header is unreadable.
        """
        with path.open("rb") as file:
            encoded = file.read(_HEADER.size)
        if len(encoded) < _HEADER.size or zlib.crc32(encoded[:-4]).to_bytes(4) != encoded[-4:]:
            raise DamagedSegmentError(f"{path} has no readable header; move it away to start without it")
        magic, *header, _ = _HEADER.unpack(encoded)
        if magic != _MAGIC:
            raise DamagedSegmentError(f"{path} is not a segment of this version")
        return cls(path, (header[0], header[1], header[2], header[3]), path.stat().st_size)

    @property
    def is_empty(self) -> bool:
        """Whether it holds no event."""
        return self.size <= _HEADER.size

    @property
    def first_time(self) -> int:
        """When its first event was enqueued; where it holds none, when the one before it was."""
        self._ensure_index()
        return self._times[0] if self._times else self.previous_time

    @property
    def data_size(self) -> int:
        """Bytes of blocks."""
        return self.size - _HEADER.size

    def offset_at(self, position: int) -> int:
        """Give the offset of a position in the file."""
        return self.base_offset + position - _HEADER.size

    def build_block[T](
        self, base_sequence: int, enqueued_at: int, events: Sequence[T], bake: Bake[T]
    ) -> tuple[bytes, list[bytes], int]:
        """Encode the next block.

        Returns:
            The block, its events, and the offset of the last one.
        """
        offset = self.offset_at(self.size) + _BLOCK.size
        last_offset = offset
        stamp = enqueued_at.to_bytes(8)
        sequence = base_sequence
        baked: list[bytes] = []
        parts: list[bytes] = []
        for event in events:
            encoded = bake(event, sequence, offset, stamp)
            baked.append(encoded)
            size = len(encoded)
            parts += (size.to_bytes(4), encoded)
            last_offset = offset
            offset += 4 + size
            sequence += 1
        body = b"".join(parts)
        head = _BLOCK.pack(len(body), 0, len(baked), base_sequence, enqueued_at)
        checksum = zlib.crc32(body, zlib.crc32(head[_CHECKED_FROM:]))
        return b"".join((head[:4], checksum.to_bytes(4), head[_CHECKED_FROM:], body)), baked, last_offset

    def grown(self, block: Block) -> None:
        """Take note of a block that was appended."""
        self.size = block.end
        if self._indexed_to is not None:
            self._note(block)

    def _note(self, block: Block) -> None:
        self._indexed_to = block.end
        if not self._positions or block.position >= self._positions[-1] + _INDEX_EVERY:
            self._sequences.append(block.base_sequence)
            self._positions.append(block.position)
            self._times.append(block.enqueued_at)

    def recover(self) -> tuple[Block | None, int]:
        """Check every block, cut off what is torn, and index the rest.

        Returns:
            The last good block, and the offset of its last event.
        """
        last: Block | None = None
        last_offset = self.previous_offset
        with self.path.open("r+b") as file:
            good = _HEADER.size
            if self.size > _HEADER.size:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    for block in _blocks(data, _HEADER.size, self.size, self.base_sequence):
                        last = block
                        good = block.end
                        self._note(block)
                    if last is not None:
                        last_offset = self.offset_at(_last_event(data, last))
            if good < self.size:
                _LOG.warning(
                    "Cut off %d bytes at the end of %s: an unfinished send", self.size - good, self.path
                )
                file.truncate(good)
        self.size = good
        self._indexed_to = good
        return last, last_offset

    def _ensure_index(self) -> None:
        if self._indexed_to is not None:
            return
        self._indexed_to = _HEADER.size
        if self.is_empty:
            return
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for block in _heads(data, _HEADER.size, self.size):
                self._note(block)

    def position_of(self, sequence: int) -> int:
        """Give a position of a block at or before an event, by its sequence number."""
        self._ensure_index()
        return self._place(bisect_right(self._sequences, sequence))

    def _place(self, found: int) -> int:
        return self._positions[found - 1] if found else _HEADER.size

    def first_after_offset(self, offset: int, *, inclusive: bool) -> int | None:
        """Give the sequence number of the first event whose offset is above (or at) the given one."""
        self._ensure_index()
        wanted = offset - self.base_offset + _HEADER.size
        place = self._place(bisect_right(self._positions, wanted))
        with self.path.open("rb") as file:
            for block, body in _read_blocks(file.fileno(), place, self.size):
                if block.end <= wanted:
                    continue
                position = block.position + _BLOCK.size
                for index, event in enumerate(split(body)):
                    if position > wanted or (inclusive and position == wanted):
                        return block.base_sequence + index
                    position += 4 + len(event)
        return None

    def first_after_time(self, time: int) -> int | None:
        """Give the sequence number of the first event enqueued after a time."""
        self._ensure_index()
        place = self._place(bisect_right(self._times, time))
        with self.path.open("rb") as file:
            for block, _ in _read_blocks(file.fileno(), place, self.size):
                if block.enqueued_at > time:
                    return block.base_sequence
        return None


def _heads(data: mmap.mmap, position: int, size: int) -> Iterator[Block]:
    while position + _BLOCK.size <= size:
        length, _, count, base, time = _BLOCK.unpack_from(data, position)
        end = position + _BLOCK.size + length
        if end > size:
            return
        yield Block(position, end, base, count, time)
        position = end


def _blocks(data: mmap.mmap, position: int, size: int, expected: int) -> Iterator[Block]:
    """Iterate over the blocks up to the first that is torn."""
    for block in _heads(data, position, size):
        with memoryview(data) as view, view[block.position + _CHECKED_FROM : block.end] as checked:
            checksum = zlib.crc32(checked)
        if (
            data[block.position + 4 : block.position + 8] != checksum.to_bytes(4)
            or block.base_sequence != expected
        ):
            return
        expected += block.count
        yield block


def _last_event(data: mmap.mmap, block: Block) -> int:
    """Give the position of a block's last event."""
    position = block.position + _BLOCK.size
    for _ in range(block.count - 1):
        position += 4 + int(_LENGTH.unpack_from(data, position)[0])
    return position


def split(body: bytes) -> list[bytes]:
    """Take the body of a block apart into its events."""
    events = []
    position, size = 0, len(body)
    while position < size:
        start = position + 4
        position = start + int.from_bytes(body[position:start])
        events.append(body[start:position])
    return events


def _read_blocks(descriptor: int, position: int, size: int) -> Iterator[tuple[Block, bytes]]:
    while position < size:
        for block, body in read_some(descriptor, position, size):
            yield block, body
            position = block.end


def read_some(descriptor: int, position: int, size: int) -> list[tuple[Block, bytes]]:
    """Read the blocks from a position on: about `READ_SIZE` bytes, at least one block.

    Raises:
        OSError: the file cannot be read, or ends where a block should be.
    """
    data = os.pread(descriptor, min(READ_SIZE, size - position), position)
    length = int.from_bytes(data[:4]) + _BLOCK.size
    if length > len(data):
        data += os.pread(descriptor, length - len(data), position + len(data))
    blocks = []
    at = 0
    while at + _BLOCK.size <= len(data):
        length, _, count, base, time = _BLOCK.unpack_from(data, at)
        start, end = at + _BLOCK.size, at + _BLOCK.size + length
        if end > len(data):
            break
        blocks.append((Block(position + at, position + end, base, count, time), data[start:end]))
        at = end
    if not blocks:  # somebody else cut the file: without this a reader would go round for ever
        raise OSError(errno.EIO, "a segment is shorter than it was written")
    return blocks
