"""A partition's log: append-only segments on disk, the newest events in memory too.

Every append is in the operating system's hands when it returns, so it outlives a SIGKILL of the process
(not a power cut: nothing is flushed to the disk itself).
"""

import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .segment import Bake, Block, Segment, read_some, split

_LOG = logging.getLogger(__name__)


class InvalidPositionError(ValueError):
    """A place in the log that was never reached: the reader's checkpoint belongs to another hub."""


class StorageError(Exception):
    """The disk took no more; nothing of the append is kept."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a log.

    Attributes:
        segment_bytes: A segment is closed at this size.
        window_bytes: Newest events kept in memory.
        retention_ms: Events older than this may go.
        retention_bytes: The oldest events go beyond this size on disk.
    """

    segment_bytes: int = 64 * 1024 * 1024
    window_bytes: int = 8 * 1024 * 1024
    retention_ms: int = 24 * 3_600_000
    retention_bytes: int = 1024 * 1024 * 1024

    @property
    def roll_bytes(self) -> int:
        """Size at which a segment is closed, so that retention by bytes keeps at least three quarters."""
        return min(self.segment_bytes, max(1, self.retention_bytes // 4))

    @property
    def roll_ms(self) -> int:
        """Age at which a segment is closed, so that retention by time is kept to within a sixteenth."""
        return max(1, self.retention_ms // 16)


def _open_for_append(segment: Segment) -> int:
    return os.open(segment.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


class PartitionLog:
    """The events of one partition, by sequence number.

    Attributes:
        next_sequence: Sequence number of the next event.
        last_offset: Offset of the newest event; -1 before the first.
        last_time: When the newest event was enqueued, in milliseconds since 1970; 0 before the first.
    """

    def __init__(self, directory: Path, limits: Limits) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.limits = limits
        self._directory = directory
        for unfinished in directory.glob("*.new"):
            unfinished.unlink()
        self._segments = [Segment.open(path) for path in sorted(directory.glob("*.log"))]
        if not self._segments:
            self._segments.append(Segment.create(directory, (0, 0, 0, -1)))
        active = self._segments[-1]
        last, self.last_offset = active.recover()
        self.next_sequence = active.base_sequence if last is None else last.base_sequence + last.count
        self.last_time = active.previous_time if last is None else last.enqueued_at
        self._active_since = active.first_time
        self._descriptor = _open_for_append(active)
        self._has_remains = False
        self._recent: list[bytes] = []
        self._recent_base = self.next_sequence
        self._recent_bytes = 0

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    @property
    def begin_sequence(self) -> int:
        """Sequence number of the oldest event kept."""
        return self._segments[0].base_sequence

    @property
    def is_empty(self) -> bool:
        """Whether no event is kept."""
        return self.begin_sequence == self.next_sequence

    @property
    def disk_bytes(self) -> int:
        """Bytes of events on disk."""
        return sum(segment.data_size for segment in self._segments)

    @property
    def window_bytes(self) -> int:
        """Bytes of events in memory."""
        return self._recent_bytes

    def append[T](self, events: Sequence[T], now: int, bake: Bake[T]) -> None:
        """Write the events of one send, all or none.

        Args:
            events: As `bake` takes them; at least one.
            now: Milliseconds since 1970; the log never goes back in time.
            bake: Encodes each.

        Raises:
            StorageError: the disk did not take it.
        """
        time = max(now, self.last_time)
        active = self._segments[-1]
        if not active.is_empty and (
            active.data_size >= self.limits.roll_bytes or time - self._active_since >= self.limits.roll_ms
        ):
            active = self._roll()
        if active.is_empty:
            self._active_since = time
        data, baked, last_offset = active.build_block(self.next_sequence, time, events, bake)
        self._write(data, active.size)
        active.grown(Block(active.size, active.size + len(data), self.next_sequence, len(baked), time))
        self.next_sequence += len(baked)
        self.last_offset = last_offset
        self.last_time = time
        self._remember(baked)

    def _write(self, data: bytes, size: int) -> None:
        try:
            if self._has_remains:
                self._take_back(size)
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            # Part of the block may be there: the next append must follow the last good one.
            self._has_remains = True
            with contextlib.suppress(OSError):  # tried again before the next append
                self._take_back(size)
            raise StorageError(f"could not write to {self._segments[-1].path}: {error.strerror}") from error

    def _take_back(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self._has_remains = False

    def _remember(self, events: list[bytes]) -> None:
        self._recent += events
        self._recent_bytes += sum(map(len, events))
        if self._recent_bytes <= self.limits.window_bytes:
            return
        # Drop down to three quarters at once, so that the list is not shifted at every append.
        dropped = 0
        while self._recent_bytes > self.limits.window_bytes * 3 // 4 and dropped < len(self._recent):
            self._recent_bytes -= len(self._recent[dropped])
            dropped += 1
        del self._recent[:dropped]
        self._recent_base += dropped

    def _roll(self) -> Segment:
        active = self._segments[-1]
        header = (self.next_sequence, active.offset_at(active.size), self.last_time, self.last_offset)
        try:
            segment = Segment.create(self._directory, header)
            descriptor = _open_for_append(segment)
        except OSError as error:
            raise StorageError(f"could not start a segment in {self._directory}: {error.strerror}") from error
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._has_remains = False
        self._segments.append(segment)
        return segment

    def expire(self, now: int) -> int:
        """Delete what retention no longer keeps, in whole segments; gives how many events went."""
        before = self.begin_sequence
        oldest_kept = now - self.limits.retention_ms
        if not self._segments[-1].is_empty and self.last_time < oldest_kept:
            self._roll()
        while len(self._segments) > 1:
            expired = self._segments[1].previous_time < oldest_kept
            too_many = self.disk_bytes > self.limits.retention_bytes
            if not expired and not too_many:
                break
            if not expired:
                _LOG.warning(
                    "%s is over %d bytes: its oldest events go", self._directory, self.limits.retention_bytes
                )
            self._segments.pop(0).path.unlink()
        gone = self.begin_sequence - self._recent_base
        if gone > 0:
            for event in self._recent[:gone]:
                self._recent_bytes -= len(event)
            del self._recent[:gone]
            self._recent_base = self.begin_sequence
        return self.begin_sequence - before

    def from_sequence(self, sequence: int, *, inclusive: bool) -> int:
        """Give the sequence number to read from.

        Raises:
            InvalidPositionError: it is beyond the newest event.
        """
        first = sequence if inclusive else sequence + 1
        if first > self.next_sequence:
            raise InvalidPositionError(
                f"The supplied sequence number '{sequence}' is invalid. "
                f"The last sequence number in the system is '{self.next_sequence - 1}'"
            )
        return max(first, self.begin_sequence)

    def from_offset(self, offset: int, *, inclusive: bool) -> int:
        """Give the sequence number to read from, by an offset.

        Raises:
            InvalidPositionError: it is beyond the newest event.
        """
        if offset > self.last_offset:
            raise InvalidPositionError(
                f"The supplied offset '{offset}' is invalid. "
                f"The last offset in the system is '{self.last_offset}'"
            )
        for segment in reversed(self._segments):
            if segment.base_offset <= offset:
                found = segment.first_after_offset(offset, inclusive=inclusive)
                following = self._after(segment)
                return following if found is None else found
        return self.begin_sequence

    def from_time(self, time: int) -> int:
        """Give the sequence number of the first event enqueued after a time (milliseconds since 1970)."""
        if time >= self.last_time:
            return self.next_sequence
        for segment in reversed(self._segments):
            if segment.previous_time <= time:
                found = segment.first_after_time(time)
                return self._after(segment) if found is None else found
        return self.begin_sequence

    def _after(self, segment: Segment) -> int:
        at = self._segments.index(segment) + 1
        return self._segments[at].base_sequence if at < len(self._segments) else self.next_sequence

    def segment_of(self, sequence: int) -> Segment:
        """Give the segment that holds an event, or the oldest."""
        for segment in reversed(self._segments):
            if segment.base_sequence <= sequence:
                return segment
        return self._segments[0]

    def recent(self, sequence: int, count: int) -> list[bytes] | None:
        """Give up to `count` events from memory; None where the first is only on disk."""
        at = sequence - self._recent_base
        return None if at < 0 else self._recent[at : at + count]


class Cursor:
    """One reader's place in a log.

    Attributes:
        sequence: Sequence number of the event that comes next.
    """

    def __init__(self, log: PartitionLog, sequence: int) -> None:
        self.sequence = sequence
        self._log = log
        self._ahead: list[bytes] = []  # events read from disk beyond what was asked for
        self._ahead_at = 0
        self._segment: Segment | None = None
        self._position = 0
        self._descriptor = -1

    @property
    def is_at_end(self) -> bool:
        """Whether there is nothing to read now."""
        return self.sequence >= self._log.next_sequence

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._segment = None
        self._ahead = []

    def read(self, max_count: int, max_bytes: int) -> list[bytes]:
        """Read on: at most `max_count` events, and no further one after `max_bytes`."""
        if self._ahead_at < len(self._ahead):
            return self._take(self._ahead[self._ahead_at : self._ahead_at + max_count], max_bytes, ahead=True)
        recent = self._log.recent(self.sequence, max_count)
        if recent is not None:
            if self._descriptor >= 0:
                self.close()
            return self._take(recent, max_bytes, ahead=False)
        self.sequence = max(self.sequence, self._log.begin_sequence)
        self._read_ahead()
        return self._take(self._ahead[:max_count], max_bytes, ahead=True)

    def _take(self, events: list[bytes], max_bytes: int, *, ahead: bool) -> list[bytes]:
        size = 0
        for index, event in enumerate(events):
            size += len(event)
            if size > max_bytes:
                del events[index + 1 :]
                break
        self.sequence += len(events)
        if ahead:
            self._ahead_at += len(events)
        return events

    def _read_ahead(self) -> None:
        self._ahead, self._ahead_at = [], 0
        segment = self._log.segment_of(self.sequence)
        if segment is not self._segment:
            self.close()
            self._descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
            self._segment = segment
            self._position = segment.position_of(self.sequence)
        while not self._ahead and self._position < segment.size:
            for block, body in read_some(self._descriptor, self._position, segment.size):
                self._position = block.end
                if block.base_sequence + block.count > self.sequence + len(self._ahead):
                    self._ahead += split(body)[max(0, self.sequence - block.base_sequence) :]
