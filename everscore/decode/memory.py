"""A budget for what bodies are unpacked to, so that no batch, however strange, fills the worker's memory.

It is shared by all invocations of the process. Whoever waits for a share holds none meanwhile, so that nobody
waits for ever; whoever has one may enlarge it while nobody waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque

# What an event takes beside its payload: item, source, identity, scores, and the document around the payload
# as an object, as a text and as bytes on its way to the store.
PER_EVENT = 5_000


class Memory:
    """Bytes that may be in use at a time. Shares are taken and given back on one event loop.

    Args:
        total: bytes.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        # Shares grow in the threads that decode.
        self._lock = threading.Lock()

    async def share(self, size: int) -> Share:
        """Wait for a share, which is to be closed; first come, first served.

        Args:
            size: bytes at the beginning; what is more than the total gets all of it, and so is alone.
        """
        size = min(size, self.total)
        with self._lock:
            if not self._waiting and self._free >= size:
                self._free -= size
                return Share(self, size)
            granted = asyncio.get_running_loop().create_future()
            self._waiting.append((size, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release(size)
            else:
                self.release(0)  # whoever stands behind it may fit
            raise
        return Share(self, size)

    def grow(self, share: Share, size: int) -> bool:
        """Take more for a share, unless that is closed, somebody waits or not so much is left."""
        with self._lock:
            if share.is_closed or self._waiting or self._free < size:
                return False
            self._free -= size
            share.size += size
            return True

    def close(self, share: Share) -> None:
        """Take back all that a share has; on the event loop. A thread that has it still gets no more."""
        with self._lock:
            share.is_closed = True
            size, share.size = share.size, 0
        self.release(size)

    def release(self, size: int) -> None:
        """Take back what a share does not need any more; on the event loop."""
        with self._lock:
            self._free += size
            while self._waiting:
                wanted, granted = self._waiting[0]
                if granted.cancelled():
                    self._waiting.popleft()
                    continue
                if wanted > self._free:
                    break
                self._waiting.popleft()
                self._free -= wanted
                granted.set_result(None)


class Share:
    """What one slice of a batch may use. One thread at a time has it."""

    def __init__(self, memory: Memory | None = None, size: int = 0) -> None:
        """A share of a budget; without one it has no end."""
        self._memory = memory
        self.size = size
        self.used = 0
        self.is_closed = False

    def take(self, size: int, *, first: bool = False) -> bool:
        """Use some more, if there is as much.

        Args:
            size: bytes.
            first: nothing of the slice is there yet: whoever has all of the budget then goes ahead, whatever
                it takes, since waiting would not help.
        """
        if self._memory is None:
            return True
        lacking = self.used + size - self.size
        goes_ahead = first and not self.is_closed and self.size >= self._memory.total
        if lacking > 0 and not self._memory.grow(self, lacking) and not goes_ahead:
            return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        """Use less; the share keeps it for what comes next."""
        self.used -= size

    def shrink(self) -> None:
        """Let others have what is not in use; on the event loop."""
        if self._memory is not None and self.size > self.used:
            self._memory.release(self.size - self.used)
            self.size = self.used

    def close(self) -> None:
        """Let others have all of it; on the event loop."""
        self.used = 0
        if self._memory is not None:
            self._memory.close(self)


def parsed_size(text: bytes) -> int:
    """About how many bytes a JSON text takes: itself, its values, and the document that holds them."""
    return 4 * len(text) + 100 * text.count(b",") + 200 * text.count(b"{") + 80 * text.count(b"[")
