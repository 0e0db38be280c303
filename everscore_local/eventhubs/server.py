"""The server: listens, keeps its connections, and lets retention do its work."""

import asyncio
import fcntl
import logging
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from .connection import Connection
from .hub import Hub, HubDefinition, HubError, Namespace
from .log import Limits, StorageError
from .performatives import ProtocolError

_LOG = logging.getLogger(__name__)

KEY_NAME = "RootManageSharedAccessKey"
KEY = "SAS_KEY_VALUE"
"""Name and value of the key that Microsoft's emulator has too: nothing secret."""


_LAST_WORDS_SECONDS = 1.0
"""How long a client may take to read what is on its way when the server stops."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a server is made of.

    Attributes:
        data: Folder of all that it keeps.
        hubs: The hubs that it has.
        port: Port on 127.0.0.1; 0 is a free one.
        keys: Key values by name.
        limits: Bounds of each partition's log.
    """

    data: Path
    hubs: tuple[HubDefinition, ...]
    port: int = 5672
    keys: dict[str, str] = field(default_factory=lambda: {KEY_NAME: KEY})
    limits: Limits = field(default_factory=Limits)


class Server:
    """An Event Hubs namespace on 127.0.0.1.

    Use as an asynchronous context manager.

    Attributes:
        port: The port that it listens on.
    """

    def __init__(self, options: Options) -> None:
        self.port = options.port
        self._options = options
        self._namespace = Namespace(options.keys)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._retention: asyncio.Task[None] | None = None
        self._lock = -1

    async def __aenter__(self) -> Self:
        """Open the data and listen.

        Raises:
            HubError: the data cannot be used as asked for.
            OSError: the port or the folder cannot be had.
        """
        self._options.data.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self._options.data)
        try:
            for definition in self._options.hubs:
                hub = Hub(definition, self._options.data, self._options.limits, self._namespace.clock)
                self._namespace.hubs[definition.name.casefold()] = hub
            container = f"everscore-local-{uuid.uuid4()}"
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: self._connect(container), "127.0.0.1", self.port)
        except BaseException:
            self._release()
            raise
        self.port = self._server.sockets[0].getsockname()[1]
        self._retention = asyncio.create_task(self._keep_retention())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Tell the clients, and let go of everything."""
        if self._retention is not None:
            self._retention.cancel()
            await asyncio.wait([self._retention])
        if self._server is not None:
            self._server.close()
        stopping = ProtocolError("amqp:connection:forced", "The server is stopping.")
        for connection in list(self._connections):
            connection.shut(stopping)
        if self._server is not None:
            try:
                async with asyncio.timeout(_LAST_WORDS_SECONDS):
                    await self._server.wait_closed()
            except TimeoutError:  # somebody does not read what it has asked for
                self._server.abort_clients()
                await self._server.wait_closed()
        self._release()

    def _connect(self, container: str) -> Connection:
        connection = Connection(self._namespace, container, self._connections.discard)
        self._connections.add(connection)
        return connection

    async def _keep_retention(self) -> None:
        every = min(max(self._options.limits.roll_ms / 1000, 0.2), 60)
        while True:
            for hub in self._namespace.hubs.values():
                try:
                    hub.expire()
                except (OSError, StorageError):
                    _LOG.exception("Retention could not do its work on hub %s; it tries again", hub.name)
            await asyncio.sleep(every)

    def _release(self) -> None:
        for hub in self._namespace.hubs.values():
            hub.close()
        self._namespace.hubs.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _lock(data: Path) -> int:
    """Hold the folder for this process alone; the operating system lets go of it when the process dies."""
    descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise HubError(
            f"{data} is in use by another Event Hubs server: stop that one, or choose another --data"
        ) from error
    return descriptor
