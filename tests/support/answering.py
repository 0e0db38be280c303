"""Servers of a test's own, for answers that no real service can be made to give."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress

from aiohttp import web


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[int]:
    """A server that answers every request this way; its port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def dripping(request: web.Request) -> web.StreamResponse:
    """An answer that never ends and never pauses for long: a byte every 50 ms."""
    headers = {
        "Content-Length": "1000000",
        "Content-Range": "bytes 0-999999/1000000",  # as the blobs' client expects it
        "Content-Type": "application/json",
    }
    answer = web.StreamResponse(headers=headers)
    with suppress(ConnectionError):
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.05)
    return answer


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes every connection and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=1024)) as listener:
        yield int(listener.getsockname()[1])
