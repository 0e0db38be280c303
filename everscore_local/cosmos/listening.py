"""What is below both ports: the socket, and the HTTP server on it."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from .errors import UserError

HOST = "127.0.0.1"

# Above every limit of the service, so that its own refusals are what a client sees.
MAX_BODY_BYTES = 64 * 1024 * 1024
_MAX_LINE_BYTES = 64 * 1024  # a partition key of 2,048 bytes takes up to six times that as escaped JSON
_SHUTDOWN_SECONDS = 1.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def listen(port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        UserError: Where the port is taken.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise UserError(f"Port {port} is in use; stop what uses it, or choose another port.") from error
        raise UserError(f"Port {port} cannot be used: {error}.") from error
    listener.listen(1024)
    return listener


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
