"""Faults are set at the gateways: the control port of the store, and a proxy before storage and hub."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

type Rule = Mapping[str, Any]


class Control:
    """JSON over HTTP on a loopback port."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request; its answer, or None where that is empty."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            raw = answer.read()
        return json.loads(raw) if raw.strip() else None


class Store(Control):
    """The gateway of the Cosmos DB stand-in."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.acted = 0

    @asynccontextmanager
    async def faults(self, *rules: Rule) -> AsyncIterator[None]:
        """These rules for as long as the block runs; what they did is added to ``acted``."""
        await asyncio.to_thread(self.ask, "POST", "/faults", list(rules))
        try:
            yield
        finally:
            found = await asyncio.to_thread(self.ask, "GET", "/faults")
            self.acted += sum(rule["acted"] for rule in found["rules"])
            await asyncio.to_thread(self.ask, "DELETE", "/faults")

    async def acts(self) -> int:
        """How often the rules in force have acted."""
        found = await asyncio.to_thread(self.ask, "GET", "/faults")
        return sum(rule["acted"] for rule in found["rules"])

    async def throttle(self, rus: float | None, seconds: float | None = None) -> None:
        """Grant so many request units a second, for a time or for good."""
        await asyncio.to_thread(self.ask, "POST", "/throttle", {"rus": rus, "seconds": seconds})

    async def state(self) -> dict[str, Any]:
        """Documents, accepted writes, requests, statuses."""
        return dict(await asyncio.to_thread(self.ask, "GET", "/state"))


class Proxy(Control):
    """The proxy before blobs, queues and hub."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.acted = 0

    @asynccontextmanager
    async def fault(self, *routes: str, **fault: Any) -> AsyncIterator[None]:
        """A fault on some routes for as long as the block runs; what it did is added to ``acted``."""
        before = await self._faulted(routes)
        for route in routes:
            await asyncio.to_thread(self.ask, "PUT", f"/{route}", fault)
        try:
            yield
        finally:
            for route in routes:
                await asyncio.to_thread(self.ask, "DELETE", f"/{route}")
            self.acted += await self._faulted(routes) - before

    async def faulted(self, *routes: str) -> int:
        """How many connections or requests of these routes met a fault so far."""
        return await self._faulted(routes)

    async def _faulted(self, routes: tuple[str, ...]) -> int:
        state = await asyncio.to_thread(self.ask, "GET", "/")
        return sum(state[route]["faulted"] for route in routes)
