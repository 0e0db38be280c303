"""The control port of the Cosmos DB stand-in: its counters, its throttle, and when it accepted what."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from everscore_local.stack import Stack


@dataclass(frozen=True, slots=True)
class Counters:
    """What the gateway has counted since it was started.

    Attributes:
        documents: that it holds.
        throttled: requests that it answered with 429.
    """

    documents: int
    throttled: int


class Gateway:
    """A client of the control port."""

    def __init__(self, session: aiohttp.ClientSession, stack: Stack) -> None:
        self._session = session
        self._base = f"http://127.0.0.1:{stack.ports.cosmos_control}"
        self._names = stack.names

    async def counters(self) -> Counters:
        """The counters of this moment."""
        state = await self._get("/state")
        return Counters(int(state["documents"]), int(state["throttledRequests"]))

    async def throttle(self, rus: float, seconds: float) -> float:
        """Grant so many RU a second for a while.

        Returns:
            when it began, in seconds since the epoch.
        """
        order = {"rus": rus, "seconds": seconds}
        began = time.time()
        async with self._session.post(f"{self._base}/throttle", json=order) as answer:
            answer.raise_for_status()
        return began

    async def accepted(self) -> dict[tuple[str, str], float]:
        """When each document was first accepted, in seconds since the epoch, by partition key and id."""
        query = f"?database={self._names.database}&container={self._names.container}"
        times = await self._get(f"/accepted{query}")
        # Neither part holds a space: the app writes every other byte as ~ and two hex digits.
        return {_split(key): int(when) / 1000 for key, when in times.items()}

    async def _get(self, path: str) -> Any:
        async with self._session.get(f"{self._base}{path}") as answer:
            answer.raise_for_status()
            return await answer.json()


@asynccontextmanager
async def gateway(stack: Stack) -> AsyncIterator[Gateway]:
    """A client of the stack's control port."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Gateway(session, stack)


def _split(key: str) -> tuple[str, str]:
    pk, _, doc_id = key.rpartition(" ")
    return pk, doc_id
