"""A partition's log by itself: recovery, retention, start positions, and reading from disk and memory."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everscore_local.eventhubs.log import Cursor, InvalidPositionError, Limits, PartitionLog, StorageError

SMALL = Limits(segment_bytes=2000, window_bytes=500)


@contextmanager
def opened(folder: Path, limits: Limits = SMALL) -> Iterator[PartitionLog]:
    """Open a log, and let go of it."""
    log = PartitionLog(folder, limits)
    yield log
    log.close()


def append(log: PartitionLog, *bodies: bytes, now: int = 1000) -> None:
    """Append one send; each event's bytes say where it stands."""
    log.append(bodies, now, _mark)


def _mark(body: bytes, sequence: int, offset: int, stamp: bytes) -> bytes:
    return b"%d|%d|%d|%s" % (sequence, offset, int.from_bytes(stamp), body)


def read(log: PartitionLog, sequence: int = 0, count: int = 3) -> list[bytes]:
    """Read all events from one on, a few at a time."""
    cursor = Cursor(log, sequence)
    found: list[bytes] = []
    while not cursor.is_at_end:
        found += cursor.read(count, 10_000)
    cursor.close()
    return found


def offsets(events: list[bytes]) -> list[int]:
    """Give the offsets that events carry."""
    return [int(event.split(b"|")[1]) for event in events]


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.binary(max_size=700), min_size=1, max_size=8), min_size=1, max_size=12), st.data()
)
def test_whatever_is_appended_is_read_from_anywhere(
    tmp_path_factory: pytest.TempPathFactory, sends: list[list[bytes]], data: st.DataObject
) -> None:
    """From any sequence number or offset on, memory, disk and a log opened anew give the same events."""
    folder = tmp_path_factory.mktemp("log")
    with opened(folder) as log:
        for bodies in sends:
            append(log, *bodies)
        everything = read(log)
        assert [event.split(b"|", 3)[3] for event in everything] == [
            body for bodies in sends for body in bodies
        ]
        assert offsets(everything) == sorted(set(offsets(everything)))
        assert log.window_bytes <= max(SMALL.window_bytes, *map(len, everything))
    with opened(folder) as log:
        assert read(log) == everything
        start = data.draw(st.integers(0, len(everything) - 1))
        assert read(log, start, 1) == everything[start:]
        offset = offsets(everything)[start]
        assert log.from_offset(offset, inclusive=True) == start
        assert log.from_offset(offset, inclusive=False) == start + 1
        assert log.from_offset(offset - 1, inclusive=False) == start
        assert (log.next_sequence, log.last_offset) == (len(everything), offsets(everything)[-1])


def test_a_torn_tail_is_cut_at_every_byte(tmp_path: Path) -> None:
    """However much of the last send is missing, all before it is there and new events follow without a gap."""
    with opened(tmp_path / "whole") as log:
        append(log, b"a", b"b")
        append(log, b"c", b"d")
        before = read(log)[:2]
    whole = next((tmp_path / "whole").glob("*.log")).read_bytes()
    first = whole.index(b"1|") + len(before[1])
    for size in range(first, len(whole)):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / f"{0:020d}.log").write_bytes(whole[:size])
        with opened(folder) as log:
            assert read(log) == before
            append(log, b"new")
            assert read(log)[2].startswith(b"2|")
        with opened(folder) as log:
            assert len(read(log)) == 3


def test_a_flipped_bit_in_the_last_send_is_found(tmp_path: Path) -> None:
    """A send that does not match its checksum is cut off, not delivered."""
    with opened(tmp_path) as log:
        append(log, b"good")
        append(log, b"damaged")
    path = next(tmp_path.glob("*.log"))
    path.write_bytes(path.read_bytes().replace(b"damaged", b"dbmaged"))
    with opened(tmp_path) as log:
        assert [event[-4:] for event in read(log)] == [b"good"]


def test_retention_by_time_keeps_counting(tmp_path: Path) -> None:
    """Events past retention go, even the last ones; numbers go on where they were, after a restart too."""
    limits = Limits(segment_bytes=300, window_bytes=100, retention_ms=1600)
    with opened(tmp_path, limits) as log:
        for index in range(20):
            append(log, b"x" * 50, now=1000 + index * 100)
        assert log.expire(3500) > 0
        assert 0 < log.begin_sequence < 20
        kept = read(log)
        assert kept[0].startswith(b"%d|" % log.begin_sequence)
        assert all(int(event.split(b"|")[2]) > 3500 - 1600 - limits.roll_ms * 3 for event in kept)
        assert log.from_offset(0, inclusive=False) == log.begin_sequence
        last = (log.last_offset, log.last_time)
        log.expire(10_000)
        assert (log.is_empty, log.begin_sequence, log.next_sequence) == (True, 20, 20)
        assert log.window_bytes == 0
    with opened(tmp_path, limits) as log:
        assert (log.next_sequence, log.last_offset, log.last_time) == (20, *last)
        append(log, b"next", now=11_000)
        assert read(log, 0)[0].startswith(b"20|")
        assert log.last_offset > last[0]


def test_retention_by_size_bounds_the_disk(tmp_path: Path) -> None:
    """However much is sent, the log on disk stays within its bound and at least half of it is kept."""
    limits = Limits(segment_bytes=10**9, window_bytes=1000, retention_bytes=20_000)
    with opened(tmp_path, limits) as log:
        for _ in range(300):
            append(log, b"y" * 500)
            log.expire(2000)
            assert sum(path.stat().st_size for path in tmp_path.glob("*.log")) <= 20_000 + 1000
        assert log.disk_bytes > 10_000
        assert read(log)[-1].startswith(b"299|")


def test_a_reader_of_expired_events_goes_on_with_the_oldest_kept(tmp_path: Path) -> None:
    """A slow reader whose events are deleted under it neither fails nor goes back."""
    limits = Limits(segment_bytes=1000, window_bytes=100, retention_ms=1000)
    with opened(tmp_path, limits) as log:
        for index in range(40):
            append(log, b"z" * 100, now=index * 100)
        cursor = Cursor(log, 0)
        found = [int(event.split(b"|")[0]) for event in cursor.read(1, 10_000)]
        log.expire(4000)
        while not cursor.is_at_end:
            found += [int(event.split(b"|")[0]) for event in cursor.read(5, 10_000)]
        cursor.close()
        assert found == sorted(set(found))
        assert found[-1] == 39
        assert set(range(log.begin_sequence, 40)) <= set(found)


def test_start_by_time(tmp_path: Path) -> None:
    """A time gives the first event enqueued after it, in every segment; time never runs backwards."""
    with opened(tmp_path, Limits(segment_bytes=300, window_bytes=100)) as log:
        for index in range(20):
            append(log, b"t" * 50, now=1000 + 10 * index)
        append(log, b"clock set back", now=5)
        assert [log.from_time(1000 + 10 * index) for index in range(19)] == list(range(1, 20))
        assert log.from_time(0) == 0
        assert log.from_time(1195) == 21
        assert log.last_time == 1190


@pytest.mark.parametrize("inclusive", [True, False])
def test_a_place_never_reached_is_refused(tmp_path: Path, inclusive: bool) -> None:
    """A position beyond the newest event, as a checkpoint of another hub has, would skip events: it is refused."""
    with opened(tmp_path) as log:
        assert log.from_offset(-1, inclusive=inclusive) == 0
        append(log, b"only")
        with pytest.raises(InvalidPositionError, match=f"last offset in the system is '{log.last_offset}'"):
            log.from_offset(log.last_offset + 1, inclusive=inclusive)
        with pytest.raises(InvalidPositionError, match="last sequence number in the system is '0'"):
            log.from_sequence(2 if inclusive else 1, inclusive=inclusive)


def test_a_full_disk_loses_nothing_that_was_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A send of which only a part could be written is refused, taken back, and does not harm the next."""
    with opened(tmp_path) as log:
        append(log, b"before")
        write = os.write
        calls = iter([True, False])

        def half(descriptor: int, data: bytes) -> int:
            if next(calls):
                return write(descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(StorageError, match="No space left"):
                append(log, b"never")
        append(log, b"after")
        kept = read(log)
    with opened(tmp_path) as log:
        assert read(log) == kept
        assert [event.rpartition(b"|")[2] for event in kept] == [b"before", b"after"]


def test_checksums_are_of_the_bytes_on_disk(tmp_path: Path) -> None:
    """The checksum in a block is the CRC-32 of the block's own bytes, so that other tools can check it."""
    with opened(tmp_path) as log:
        append(log, b"one", b"two")
    data = next(tmp_path.glob("*.log")).read_bytes()
    assert zlib.crc32(data[:40]).to_bytes(4) == data[40:44]
    block = data[44:]
    assert zlib.crc32(block[8:]).to_bytes(4) == block[4:8]
