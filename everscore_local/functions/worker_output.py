"""What the worker process prints, line by line into the log.

Own pipes and not asyncio's ``PIPE``: until Python 3.14 ``Process.wait()`` returns only when those are closed
on the other side, and a program that a function has started keeps them open long after the worker's death.
"""

import asyncio
import logging
import os

_log = logging.getLogger("Worker.output")
# A longer line is left out, and said to be.
_LINE_LIMIT = 1 << 20
# What a dead worker printed last is already in the pipe.
_LAST_WORDS_SECONDS = 0.5


class OutputRelay:
    """One stream of the worker: give ``descriptor`` to the process, then ``release``, then ``start``."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._reader = asyncio.StreamReader(limit=_LINE_LIMIT)
        self._transport: asyncio.ReadTransport | None = None
        self._task: asyncio.Task[None] | None = None
        ours, self.descriptor = os.pipe()
        self._stream = os.fdopen(ours, "rb", buffering=0)

    def release(self) -> None:
        """Close the descriptor: the process has its own copy now, or could not be started."""
        os.close(self.descriptor)

    async def start(self) -> None:
        """Begin to read."""
        protocol = asyncio.StreamReaderProtocol(self._reader)
        stream = self._stream
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, stream)
        self._task = asyncio.create_task(self._relay())

    async def close(self) -> None:
        """Log what is left and close, even if some other process still holds the other end."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_LAST_WORDS_SECONDS)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    async def _relay(self) -> None:
        while True:
            try:
                line = await self._reader.readline()
            except ValueError:
                _log.log(self._level, "(a line of more than %d bytes was left out)", _LINE_LIMIT)
                continue
            if not line:
                return
            if text := line.decode("utf-8", "replace").rstrip():
                _log.log(self._level, "%s", text)
