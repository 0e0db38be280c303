"""The worker as the listeners see it: always there, restarted behind their backs.

The death of the worker fails what it was running and nothing else; a new one is started at once, and with a
growing delay while it keeps dying. What is asked for meanwhile waits. (The real host gives up after three
restarts within some minutes and is itself restarted by the platform.)
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import InvocationTimeoutError, WorkerDiedError, WorkerStartError
from .functions import Function
from .worker_process import Result, WorkerProcess

_log = logging.getLogger("Host.Worker")
# A worker that lived this long starts the delays anew.
_HEALTHY_SECONDS = 30.0
_FIRST_DELAY, _LARGEST_DELAY = 0.25, 10.0


def new_invocation_id() -> str:
    """Return the id of a new invocation."""
    return str(uuid.uuid4())


class WorkerClient:
    """Runs invocations in the present worker process."""

    def __init__(
        self,
        start: Callable[[], Any],
        function_timeout: float | None,
    ) -> None:
        self._start = start
        self._timeout = function_timeout
        self._worker: WorkerProcess | None = None
        self._available = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._stopping = False
        self.restarts = 0
        self.running = 0
        self.idle = asyncio.Event()
        self.idle.set()

    @classmethod
    def of_app(
        cls,
        python: str,
        app_dir: Path,
        environment: Mapping[str, str],
        function_timeout: float | None,
        *,
        verbose: bool,
    ) -> "WorkerClient":
        """Return the client of an app; nothing is started yet."""
        return cls(
            lambda: WorkerProcess.start(python, app_dir, environment, verbose=verbose), function_timeout
        )

    @property
    def pid(self) -> int | None:
        """Process id of the present worker, None while there is none."""
        return self._worker.pid if self._worker is not None and self._available.is_set() else None

    async def open(self) -> list[dict[str, Any]]:
        """Start the first worker and return the functions it found.

        Raises:
            WorkerStartError: the app cannot be loaded.
        """
        worker: WorkerProcess = await self._start()
        self._worker = worker
        self._available.set()
        self._supervisor = asyncio.create_task(self._supervise(worker))
        return worker.functions

    async def close(self) -> None:
        """Stop the worker; invocations still running fail."""
        self._stopping = True
        if self._supervisor is not None:
            if not self._available.is_set():
                self._supervisor.cancel()
            elif self._worker is not None:
                await self._worker.stop()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        if self._worker is not None:
            await self._worker.kill()
        # Whoever waits for a worker learns that there will be none.
        self._available.set()

    async def invoke(
        self,
        function: Function,
        invocation_id: str,
        inputs: list[tuple[str, str | None, Any]],
        metadata: list[tuple[str, str | None, Any]],
        retry: tuple[int, int, str | None] = (0, 0, None),
    ) -> Result:
        """Run a function once, as soon as there is a worker.

        Args:
            function: which one.
            invocation_id: the same for all tries of one invocation.
            inputs: (name, kind, value) of each input.
            metadata: (name, kind, value) of the trigger metadata.
            retry: retry count, largest retry count, failure of the try before; zeros without a policy.

        Raises:
            WorkerDiedError: the worker ended meanwhile.
            InvocationTimeoutError: functionTimeout passed; the worker is replaced.
        """
        worker = await self._present()
        self.running += 1
        self.idle.clear()
        try:
            async with asyncio.timeout(self._timeout):
                return await worker.invoke(
                    invocation_id, (function.id, function.name), inputs, metadata, retry
                )
        except TimeoutError:
            _log.error(
                "%s ran longer than functionTimeout (%g s): the worker is restarted, as the real host does",
                function.name,
                self._timeout,
            )
            self._available.clear()
            await worker.kill()
            raise InvocationTimeoutError(
                f"Timeout value of {self._timeout:g} s was exceeded by function: {function.name}"
            ) from None
        finally:
            self.running -= 1
            if not self.running:
                self.idle.set()

    async def _present(self) -> WorkerProcess:
        while True:
            await self._available.wait()
            if self._worker is not None and not self._worker.died.is_set():
                return self._worker
            if self._stopping:
                raise WorkerDiedError("The host is stopping.")
            # It has died and the supervisor is about to notice.
            await asyncio.sleep(0)

    async def _supervise(self, worker: WorkerProcess) -> None:
        delay = 0.0
        while True:
            born = time.monotonic()
            await worker.died.wait()
            self._available.clear()
            if self._stopping:
                return
            if time.monotonic() - born > _HEALTHY_SECONDS:
                delay = 0.0
            while True:
                self.restarts += 1
                _log.warning(
                    "the worker process %d has ended; a new one starts%s",
                    worker.pid,
                    f" in {delay:g} s" if delay else "",
                )
                await asyncio.sleep(delay)
                delay = min(max(delay * 2, _FIRST_DELAY), _LARGEST_DELAY)
                try:
                    worker = await self._start()
                    break
                except WorkerStartError as error:
                    _log.error("the worker cannot load the app: %s", error)
            self._worker = worker
            self._available.set()
            _log.info("the worker runs again (process %d)", worker.pid)
