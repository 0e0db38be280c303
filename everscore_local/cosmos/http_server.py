"""The HTTP server below both ports."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

# Above every limit of the service, so that its own refusals are what a client sees.
MAX_BODY_BYTES = 64 * 1024 * 1024
_MAX_LINE_BYTES = 64 * 1024  # a partition key of 2,048 bytes takes up to six times that as escaped JSON
_SHUTDOWN_SECONDS = 1.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def start_server(listener: socket.socket, handler: Handler) -> web.ServerRunner:
    """Serve HTTP on a listening socket; ``cleanup()`` of the result ends it."""
    loop = asyncio.get_running_loop()

    def make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES)

    server = web.Server(
        handler,
        request_factory=make_request,
        max_line_size=_MAX_LINE_BYTES,
        max_field_size=_MAX_LINE_BYTES,
        access_log=None,
        keepalive_timeout=300,
        auto_decompress=False,  # no SDK compresses; what only claims to be is then no JSON, 400
    )
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.SockSite(runner, listener, shutdown_timeout=_SHUTDOWN_SECONDS).start()
    return runner
