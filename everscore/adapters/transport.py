"""The HTTP transport of the async clients."""

from __future__ import annotations

import urllib.request

from azure.core.pipeline.transport import AioHttpTransport


def transport(connection_timeout: float, read_timeout: float) -> AioHttpTransport:
    """A transport for one client, which closes it.

    By default aiohttp looks for proxies in the environment and, in another thread, for a .netrc file, at
    every single request: a third of what a request costs. Here the environment is looked at once, and where
    it names no proxy, not again.

    Args:
        connection_timeout: seconds to connect.
        read_timeout: seconds to wait for an answer.
    """
    return AioHttpTransport(
        use_env_settings=bool(urllib.request.getproxies()),
        connection_timeout=connection_timeout,
        read_timeout=read_timeout,
    )
