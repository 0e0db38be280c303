"""One listening port before one target, and the fault that is set on it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from typing import Literal

import msgspec

Mode = Literal["down", "hang", "reset", "status", "delay"]

_CHUNK = 65_536


class Fault(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    """What happens to the connections of a route.

    Attributes:
        mode: ``down``: connections are closed at once. ``hang``: they are taken and never answered.
            ``reset``: the request goes through, the connection breaks in the middle of the answer.
            ``status``: each request is answered with ``status`` and does not go through (HTTP only).
            ``delay``: answers come ``delay_seconds`` late.
        probability: share of the requests that it happens to (of the connections, for down and hang).
        seed: of the draw.
        status: HTTP status of the mode ``status``.
        code: x-ms-error-code of the mode ``status``.
        delay_seconds: of the mode ``delay``.
        seconds: after which the fault ends by itself; None for good.
    """

    mode: Mode
    probability: float = 1.0
    seed: int = 0
    status: int = 503
    code: str = "ServerBusy"
    delay_seconds: float = 1.0
    seconds: float | None = None


class Route:
    """Forwards what comes in on a port to a target, and fails as it is told."""

    def __init__(self, name: str, target: tuple[str, int]) -> None:
        self.name = name
        self.port = 0
        self.connections = 0
        self.faulted = 0
        self._target = target
        self._fault: Fault | None = None
        self._random = random.Random(0)  # noqa: S311 - faults are drawn from a seed, to be repeatable
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        self.set(None)
        if self._server is not None:
            self._server.close()
        self._drop()

    @property
    def fault(self) -> Fault | None:
        """What is set now."""
        return self._fault

    def set(self, fault: Fault | None) -> None:
        """Set a fault, or end it. Connections that are open already meet it too."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._fault = fault
        if fault is None:
            return
        self._random = random.Random(fault.seed)  # noqa: S311 - faults are drawn from a seed, to be repeatable
        if fault.mode in ("down", "hang"):
            self._drop()
        if fault.seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(fault.seconds, self.set, None)

    def _drop(self) -> None:
        for writer in list(self._open):
            _abort(writer)

    def _hit(self, *modes: Mode) -> Fault | None:
        """The fault, where it is one of these and the draw says so."""
        fault = self._fault
        if fault is None or fault.mode not in modes or self._random.random() >= fault.probability:
            return None
        self.faulted += 1
        return fault

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            await self._handle(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # either side is gone: that is what this program is for
        finally:
            self._open.discard(writer)
            writer.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self._hit("down", "hang")
        if fault is not None:
            if fault.mode == "down":
                _abort(writer)
            else:
                while await reader.read(_CHUNK):
                    pass
            return
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        self._open.add(up_writer)
        try:
            tasks = [
                asyncio.create_task(self._requests(reader, writer, up_writer)),
                asyncio.create_task(self._answers(up_reader, writer)),
            ]
            _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._open.discard(up_writer)
            up_writer.close()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, up_writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            fault = self._hit("status")
            if fault is not None:
                writer.write(_answer(fault))
                await writer.drain()
                return
            up_writer.write(data)
            await up_writer.drain()

    async def _answers(self, up_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await up_reader.read(_CHUNK):
            fault = self._hit("reset", "delay")
            if fault is not None and fault.mode == "reset":
                writer.write(data[: len(data) // 2])
                with contextlib.suppress(OSError):
                    await writer.drain()
                _abort(writer)
                return
            if fault is not None:
                await asyncio.sleep(fault.delay_seconds)
            writer.write(data)
            await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Reset the connection: the other side sees an error, not an end."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _answer(fault: Fault) -> bytes:
    code = fault.code
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>fault</Message></Error>'
    head = (
        f"HTTP/1.1 {fault.status} Fault\r\nContent-Type: application/xml\r\nx-ms-error-code: {code}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return (head + body).encode()
