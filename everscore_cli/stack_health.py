"""Whether each part of the local stack answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from everscore_local.stack import PARTS, SERVICES, Stack

TIMEOUT_SECONDS = 15.0
_REPORTS = ("score_events", "retry_events")
_AMQP_HEADER = b"AMQP\x03\x01\x00\x00"


@dataclass(frozen=True, slots=True)
class PartHealth:
    """One part of the stack.

    Attributes:
        part: its name.
        healthy: it runs and answers.
        detail: what it answers, or what is wrong.
        pid: its process id, or None where it does not run.
        uptime_seconds: since it was started.
        memory_mb: of it and all it started.
    """

    part: str
    healthy: bool
    detail: str
    pid: int | None = None
    uptime_seconds: float | None = None
    memory_mb: float | None = None


async def check(stack: Stack) -> list[PartHealth]:
    """Ask every part that the stack has: the services, and the host where it was started."""
    probes: dict[str, Callable[[Stack, aiohttp.ClientSession], Awaitable[str]]] = {
        "eventhubs": _eventhubs,
        "cosmos": _cosmos,
        "azurite": _azurite,
        "functions": _functions,
    }
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        parts = [part for part in PARTS if part in SERVICES or part in stack.state.running]
        return await asyncio.gather(*(_check(stack, session, part, probes[part]) for part in parts))


async def _check(
    stack: Stack,
    session: aiohttp.ClientSession,
    part: str,
    probe: Callable[[Stack, aiohttp.ClientSession], Awaitable[str]],
) -> PartHealth:
    running = stack.state.running.get(part)
    process = running.process() if running else None
    if running is None:
        return PartHealth(part, healthy=False, detail="not started")
    if process is None:
        return PartHealth(part, healthy=False, detail=f"died: see {stack.log(part)}")
    family = [process, *process.children(recursive=True)]
    memory = sum(member.memory_info().rss for member in family if member.is_running()) / 1e6
    uptime = time.time() - running.created
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            detail = await probe(stack, session)
        healthy = True
    except (OSError, TimeoutError, aiohttp.ClientError, _WrongAnswerError) as error:
        healthy, detail = False, f"does not answer: {error or type(error).__name__}"
    except _UnwellError as error:
        healthy, detail = False, str(error)
    return PartHealth(part, healthy, detail, process.pid, uptime, memory)


class _WrongAnswerError(Exception):
    """A part answered, and not as it should."""


class _UnwellError(Exception):
    """A part answered that something it needs is wrong."""


async def _eventhubs(stack: Stack, _session: aiohttp.ClientSession) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.ports.eventhubs)
    try:
        writer.write(_AMQP_HEADER)
        answer = await reader.readexactly(len(_AMQP_HEADER))
    except asyncio.IncompleteReadError as error:
        raise _WrongAnswerError("it closed the connection") from error
    finally:
        writer.close()
        await writer.wait_closed()
    if answer != _AMQP_HEADER:
        raise _WrongAnswerError("it does not speak AMQP")
    return f"AMQP on port {stack.ports.eventhubs}"


async def _cosmos(stack: Stack, session: aiohttp.ClientSession) -> str:
    async with session.get(f"http://127.0.0.1:{stack.ports.cosmos_control}/state") as answer:
        if answer.status != 200:
            raise _WrongAnswerError(f"status {answer.status}")
    return f"http://127.0.0.1:{stack.ports.cosmos}/"


async def _azurite(stack: Stack, session: aiohttp.ClientSession) -> str:
    for port in (stack.ports.blob, stack.ports.queue):
        # It refuses a request without a signature, which shows that it is alive.
        async with session.get(f"http://127.0.0.1:{port}/devstoreaccount1?comp=list") as answer:
            if answer.status >= 500:
                raise _WrongAnswerError(f"status {answer.status} on port {port}")
    return f"blobs on port {stack.ports.blob}, queues on {stack.ports.queue}"


async def _functions(stack: Stack, session: aiohttp.ClientSession) -> str:
    base = f"http://127.0.0.1:{stack.ports.functions}"
    async with session.get(f"{base}/admin/host/status") as answer:
        if answer.status != 200:
            raise _WrongAnswerError(f"status {answer.status}")
    async with session.get(f"{base}/api/health") as answer:
        if answer.status != 200:
            raise _WrongAnswerError(f"/api/health has status {answer.status}")
    # What the app depends on; of what its functions report of themselves `status` shows more.
    async with session.get(f"{base}/api/health/details") as answer:
        checks = (await answer.json())["checks"]
    wrong = [
        f"{name}: {check['detail']}"
        for name, check in checks.items()
        if not check["ok"] and name not in _REPORTS
    ]
    if wrong:
        raise _UnwellError(" ".join(wrong))
    return f"{base}/api/health says healthy"
