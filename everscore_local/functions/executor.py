"""One invocation with its retry policy: the loop that every trigger shares.

Source: FunctionExecutorExtensions.cs of azure-webjobs-sdk. The loop is in memory, keeps the invocation id,
and ends without a verdict when the host stops, and for nothing else: neither the loss of a partition nor
drain mode ends it.
"""

import asyncio
import enum
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from .errors import WorkerError
from .functions import Function
from .worker_client import WorkerClient, new_invocation_id
from .worker_process import Result

_log = logging.getLogger("Host.Executor")


class Verdict(enum.Enum):
    """What is certain after an invocation."""

    SUCCEEDED = enum.auto()
    FAILED = enum.auto()  # for good: without a policy, or with its tries used up
    ABANDONED = enum.auto()  # the retry loop was cancelled: nothing is decided


@dataclass(slots=True)
class Trigger:
    """What a trigger hands to a function: (name, kind, value) of its data and of its metadata.

    With ``error`` set the data could not be made: every try fails before it reaches the worker. ``details``
    says where the data comes from, for the log of a failure.
    """

    inputs: list[tuple[str, str | None, Any]]
    metadata: list[tuple[str, str | None, Any]] = field(default_factory=list)
    error: str | None = None
    details: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Verdict and, unless the worker died, the last result."""

    verdict: Verdict
    result: Result | None = None
    error: str | None = None


WriteOutputs = Callable[[Function, Result], Awaitable[None]]


class Executor:
    """Runs functions for the listeners."""

    def __init__(self, worker: WorkerClient, write_outputs: WriteOutputs) -> None:
        self._worker = worker
        self._write_outputs = write_outputs

    async def run(self, function: Function, trigger: Trigger, cancelled: asyncio.Event) -> Outcome:
        """Run a function until it succeeds, its policy ends, or ``cancelled`` is set between two tries."""
        invocation_id = new_invocation_id()
        policy = function.retry
        retry_count = 0
        failure: str | None = None
        while True:
            largest = policy.max_retry_count if policy else 0
            result, failure = await self._attempt(
                function, trigger, invocation_id, (retry_count, largest, failure)
            )
            if failure is None:
                return Outcome(Verdict.SUCCEEDED, result)
            if policy is None:
                return Outcome(Verdict.FAILED, result, failure)
            if not policy.allows(retry_count):
                _log.error("%s failed for good after %d tries", function.name, retry_count + 1)
                return Outcome(Verdict.FAILED, result, failure)
            delay = policy.delay(retry_count)
            _log.info("%s is tried again in %.3g s (retry %d)", function.name, delay, retry_count + 1)
            if await _wait(cancelled, delay):
                return Outcome(Verdict.ABANDONED, result, failure)
            retry_count += 1

    async def _attempt(
        self, function: Function, trigger: Trigger, invocation_id: str, retry: tuple[int, int, str | None]
    ) -> tuple[Result | None, str | None]:
        log = logging.getLogger(f"Function.{function.name}")
        result, failure = await self._invoke(function, trigger, invocation_id, retry, log)
        if failure is not None and trigger.details:
            log.info("Trigger Details: %s", trigger.details)
        return result, failure

    async def _invoke(
        self,
        function: Function,
        trigger: Trigger,
        invocation_id: str,
        retry: tuple[int, int, str | None],
        log: logging.Logger,
    ) -> tuple[Result | None, str | None]:
        if trigger.error is not None:
            log.error("failed: %s", trigger.error)
            return None, trigger.error
        log.debug("started (invocation %s, retry %d)", invocation_id, retry[0])
        try:
            result = await self._worker.invoke(
                function, invocation_id, trigger.inputs, trigger.metadata, retry
            )
        except WorkerError as error:
            log.error("failed: %s", error)  # noqa: TRY400 - the sentence says it all
            return None, str(error)
        if result.error is not None:
            log.error("failed: %s", result.error)
            log.debug("%s", result.stack)
            return result, result.error
        try:
            await self._write_outputs(function, result)
        except Exception as error:  # noqa: BLE001 - an output that cannot be written fails the invocation
            log.error("failed: its output could not be written: %s", error)  # noqa: TRY400 - likewise
            return result, f"{type(error).__name__}: {error}"
        log.debug("succeeded (invocation %s)", invocation_id)
        return result, None


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set or the time has passed; tell whether it is set."""
    if event.is_set():
        return True
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
