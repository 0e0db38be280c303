"""The proxy that fails as it is told, before a real HTTP server."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

BODY = "x" * 100_000


@pytest.fixture
async def target():
    """A server behind the proxy; its ``hits`` counts the requests that reached it."""
    hits: list[str] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        hits.append(request.path)
        return web.Response(text=BODY)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], hits
    await runner.cleanup()


@asynccontextmanager
async def proxy(port: int):
    """The proxy as its user starts it: its route's address and its control address."""
    command = [sys.executable, "-m", "everscore_local.proxy", "--route", f"web:0:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        ready = json.loads(process.stdout.readline())
        try:
            yield f"http://127.0.0.1:{ready['ports']['web']}/", f"http://127.0.0.1:{ready['controlPort']}"
        finally:
            process.terminate()
            assert process.wait() == 0


async def test_it_forwards_until_told_to_fail_and_again_after(target):
    """Each fault shows on the next request, and its end restores the true answer."""
    port, hits = target
    async with proxy(port) as (address, control), aiohttp.ClientSession() as session:

        async def ask(seconds: float | None = None) -> str:
            async with session.get(address, timeout=aiohttp.ClientTimeout(total=seconds)) as response:
                return f"{response.status} {len(await response.text())}"

        async def order(fault: dict | None) -> dict:
            method, data = ("DELETE", None) if fault is None else ("PUT", json.dumps(fault))
            async with session.request(method, f"{control}/web", data=data) as response:
                assert response.status == 200
                return await response.json()

        assert await ask() == f"200 {len(BODY)}"
        await order({"mode": "down"})
        with pytest.raises(aiohttp.ClientError):
            await ask()
        await order({"mode": "hang"})
        with pytest.raises(TimeoutError):
            await ask(seconds=0.5)
        assert len(hits) == 1
        await order({"mode": "status", "status": 503})
        assert (await ask()).startswith("503")
        assert len(hits) == 1
        await order({"mode": "reset"})
        with pytest.raises(aiohttp.ClientError):
            await ask()
        assert len(hits) == 2
        await order({"mode": "delay", "delaySeconds": 0.01})
        assert await ask() == f"200 {len(BODY)}"
        state = await order(None)
        assert state["faulted"] >= 4
        assert state["fault"] is None
        assert await ask() == f"200 {len(BODY)}"


async def test_a_wrong_order_is_refused(target):
    """An unknown mode or field and an unknown route are named."""
    async with proxy(target[0]) as (_, control), aiohttp.ClientSession() as session:
        for path, fault, status in (
            ("web", {"mode": "sulk"}, 400),
            ("web", {"mode": "down", "second": 1}, 400),
            ("tape", {"mode": "down"}, 404),
        ):
            async with session.put(f"{control}/{path}", data=json.dumps(fault)) as response:
                assert response.status == status
                assert (await response.json())["error"]
