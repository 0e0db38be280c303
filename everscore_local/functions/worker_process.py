"""One life of the worker: a process, its socket, and the invocations that wait for its answers."""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import WorkerDiedError, WorkerStartError
from .worker import frames
from .worker_output import OutputRelay

_BOOTSTRAP = Path(__file__).parent / "worker" / "bootstrap.py"
_log = logging.getLogger("Host.Worker")
# A worker that was told to stop and does not is killed after this many seconds.
_STOP_SECONDS = 2.0
_READ_AHEAD = 1 << 20
# Its last answers are already in the socket when a worker has ended.
_LAST_WORDS_SECONDS = 0.5
# The library adds this, a link and the whole import path to the message of an ImportError.
_ADVICE = " Cannot find module. Please check the requirements.txt"


def _defaults(app_dir: Path) -> dict[str, str]:
    """Return what the real host tells its worker, unless the app's settings say otherwise."""
    return {
        "PYTHONUNBUFFERED": "1",
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "AzureWebJobsScriptRoot": str(app_dir),
        "FUNCTIONS_WORKER_RUNTIME": "python",
    }


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one invocation: ``error`` None for success, else ``Type: text``."""

    error: str | None
    stack: str
    return_value: tuple[str, Any] | None
    outputs: list[tuple[str, tuple[str, Any] | None]]


class WorkerProcess:
    """A running worker. Make it with ``start``; when ``died`` is set it can do nothing more."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        writer: asyncio.StreamWriter,
        outputs: Sequence[OutputRelay],
    ) -> None:
        self._process = process
        self._writer = writer
        self._waiting: dict[str, asyncio.Future[Result]] = {}
        self._names: dict[str, str] = {}
        self._outputs = outputs
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self.died = asyncio.Event()
        self.functions: list[dict[str, Any]] = []

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @classmethod
    async def start(
        cls, python: str, app_dir: Path, environment: Mapping[str, str], *, verbose: bool
    ) -> "WorkerProcess":
        """Start a worker and let it load the app.

        Raises:
            WorkerStartError: the interpreter is missing, or the app cannot be loaded.
        """
        ours, theirs = socket.socketpair()
        outputs = OutputRelay(logging.INFO), OutputRelay(logging.WARNING)
        try:
            process = await asyncio.create_subprocess_exec(
                python,
                "-P",
                str(_BOOTSTRAP),
                str(theirs.fileno()),
                str(app_dir),
                str(os.getpid()),
                cwd=app_dir,
                env={**_defaults(app_dir), **environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=outputs[0].descriptor,
                stderr=outputs[1].descriptor,
                pass_fds=[theirs.fileno()],
            )
        except OSError as error:
            ours.close()
            raise WorkerStartError(f"The worker cannot be started with {python}: {error}.") from error
        finally:
            theirs.close()
            for output in outputs:
                output.release()
        for output in outputs:
            await output.start()
        reader, writer = await asyncio.open_connection(sock=ours, limit=_READ_AHEAD)
        worker = cls(process, writer, outputs)
        worker._reading = asyncio.create_task(worker._read(reader))
        worker._watching = asyncio.create_task(worker._watch(worker._reading))
        writer.write(frames.encode(("init", verbose)))
        try:
            worker.functions = await worker._ready
        except BaseException:
            await worker.kill()
            raise
        return worker

    async def invoke(
        self,
        invocation_id: str,
        function: tuple[str, str],
        inputs: list[tuple[str, str | None, Any]],
        metadata: list[tuple[str, str | None, Any]],
        retry: tuple[int, int, str | None],
    ) -> Result:
        """Run one invocation; ``function`` is its (id, name).

        Raises:
            WorkerDiedError: the worker ended before it answered.
        """
        if self.died.is_set():
            raise WorkerDiedError(self._epitaph())
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting[invocation_id] = future
        function_id, self._names[invocation_id] = function
        trace = (f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00", "")
        try:
            self._writer.write(
                frames.encode(("invoke", (invocation_id, function_id, inputs, metadata, trace, retry)))
            )
            return await future
        finally:
            self._waiting.pop(invocation_id, None)
            self._names.pop(invocation_id, None)

    async def stop(self) -> None:
        """Let the worker flush its output and end; kill it where it does not."""
        if not self.died.is_set():
            self._writer.write(frames.encode(("stop",)))
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
            except TimeoutError:
                _log.warning("the worker did not stop within %g s and is killed", _STOP_SECONDS)
        await self.kill()

    async def kill(self) -> None:
        """End the worker at once (SIGKILL); what it was running fails."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        if self._watching is not None:
            await self._watching
        await self.died.wait()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                self._dispatch(await frames.read(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except frames.FrameError as error:
            _log.error("the worker wrote what is no answer (%s) and is killed", error)
        finally:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            self._writer.close()
            for output in self._outputs:
                await output.close()
            self._bury()

    async def _watch(self, reading: asyncio.Task[None]) -> None:
        """End the reading of a dead worker's socket, which a process that it forked may hold open."""
        await self._process.wait()
        await asyncio.wait([reading], timeout=_LAST_WORDS_SECONDS)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    def _dispatch(self, message: tuple[Any, ...]) -> None:
        match message:
            case ("result", invocation_id, error, stack, value, outputs):
                future = self._waiting.get(invocation_id)
                if future is not None and not future.done():
                    future.set_result(Result(error, stack, value, outputs))
            case ("log", level, "azure.functions", text, _) if not self._ready.done():
                # Why an app cannot be loaded is said in one sentence; its stack trace is for --verbose.
                logging.getLogger("Worker.azure.functions").debug("%s %s", logging.getLevelName(level), text)
            case ("log", level, name, text, invocation_id):
                function = self._names.get(invocation_id or "")
                category = f"Function.{function}.User" if function else f"Worker.{name}"
                logging.getLogger(category).log(level, "%s", text)
            case ("ready", None, functions):
                self._ready.set_result(functions)
            case ("ready", error, _):
                self._ready.set_exception(WorkerStartError(str(error).partition(_ADVICE)[0]))

    def _bury(self) -> None:
        self.died.set()
        if not self._ready.done():
            self._ready.set_exception(WorkerStartError(self._epitaph()))
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(WorkerDiedError(self._epitaph()))

    def _epitaph(self) -> str:
        code = self._process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return f"The worker process {self._process.pid} ended ({how})."
