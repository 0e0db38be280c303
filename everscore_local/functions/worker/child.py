"""The loop of the child process: reads requests, runs them in the worker library, answers.

Messages from the host: ``("init", verbose)``; ``("invoke", (id, function id, inputs, metadata, trace,
retry))``; ``("stop",)``.
Messages to it: ``("ready", error, functions)``; ``("result", id, error, stack, return value, outputs)``;
``("log", level, logger, text, invocation id)``.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from types import SimpleNamespace
from typing import Any

from . import convert, frames, life, protos, relay


class Child:
    """Serves one host over one socket until it closes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, app_dir: str) -> None:
        self._reader = reader
        self._writer = writer
        self._app_dir = app_dir
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._runtime: Any = None

    def send(self, message: tuple[Any, ...]) -> None:
        """Write a message; safe from any thread. Messages of one thread keep their order."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        frame = frames.encode(message)
        if running is self._loop:
            self._write(frame)
        else:
            # The loop is closed only while the process ends: nobody is left to read the line then.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._write, frame)

    def _write(self, frame: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame)

    async def serve(self) -> None:
        """Answer requests until the host says stop or goes away."""
        while True:
            try:
                message = await frames.read(self._reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            match message:
                case ("init", verbose):
                    await self._init(verbose=bool(verbose))
                case ("invoke", invocation):
                    task = self._loop.create_task(self._invoke(invocation))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                case ("stop",):
                    await self._writer.drain()
                    return

    async def _init(self, *, verbose: bool) -> None:
        sys.path.append(self._app_dir)
        try:
            import azure_functions_runtime as runtime  # noqa: PLC0415 - its absence is reported to the host
        except ImportError as error:
            self.send(("ready", f"azure_functions_runtime cannot be imported: {error}", []))
            return
        self._runtime = runtime
        relay.install(relay.RelayHandler(self.send, runtime.invocation_id_cv), verbose=verbose)
        runtime.start_threadpool_executor()
        request = _request(
            "worker_init_request", SimpleNamespace(capabilities={}, function_app_directory=self._app_dir)
        )
        response = await runtime.worker_init_request(request)
        if response.result.status != protos.StatusResult.Success:
            self.send(("ready", _message(response.result.exception), []))
            return
        listing = await runtime.functions_metadata_request(_request("functions_metadata_request", None))
        functions = [convert.function_of(entry) for entry in listing.function_metadata_results or []]
        for function in functions:
            loading = _request("function_load_request", SimpleNamespace(function_id=function["id"]))
            await runtime.function_load_request(loading)
        self.send(("ready", None, functions))

    async def _invoke(self, invocation: tuple[Any, ...]) -> None:
        invocation_id, function_id, inputs, metadata, trace, retry = invocation
        relay.invocation_id.set(invocation_id)
        retry_count, max_retry_count, failure = retry
        exception = protos.RpcException(message=failure or "", stack_trace="", source="")
        message = SimpleNamespace(
            invocation_id=invocation_id,
            function_id=function_id,
            input_data=[
                protos.InputBinding(name, convert.typed(kind, value)) for name, kind, value in inputs
            ],
            trigger_metadata={name: convert.typed(kind, value) for name, kind, value in metadata},
            trace_context=SimpleNamespace(trace_parent=trace[0], trace_state=trace[1], attributes={}),
            retry_context=SimpleNamespace(
                retry_count=retry_count, max_retry_count=max_retry_count, exception=exception
            ),
        )
        try:
            response = await self._runtime.invocation_request(_request("invocation_request", message))
            error, stack = None, ""
            if response.result.status != protos.StatusResult.Success:
                error = _message(response.result.exception)
                stack = str(response.result.exception.stack_trace or "")
            value = convert.plain(response.return_value)
            outputs = [(output.name, convert.plain(output.data)) for output in response.output_data or []]
            answer = ("result", invocation_id, error, stack, value, outputs)
        except asyncio.CancelledError as cancelled:
            # The library lets it through, and the host would wait until functionTimeout.
            answer = ("result", invocation_id, f"CancelledError: {cancelled}", "", None, [])
        self.send(answer)


def _request(verb: str, message: Any) -> SimpleNamespace:
    return SimpleNamespace(
        request=SimpleNamespace(**{verb: message}), properties={"protos": protos, "host": "127.0.0.1"}
    )


def _message(exception: Any) -> str:
    return str(exception.message) if exception is not None else "unknown failure"


async def _serve(descriptor: int, app_dir: str) -> None:
    connection = socket.socket(fileno=descriptor)
    reader, writer = await asyncio.open_connection(sock=connection, limit=1 << 20)
    await Child(reader, writer, app_dir).serve()
    # What functions left open is the app's business; the real host kills the worker just as well.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def run(descriptor: int, app_dir: str, parent: int) -> None:
    """Serve the host on an inherited socket until it closes; never returns."""
    life.die_with(parent)
    # A program that a function starts must not hold the socket open after this process has died.
    os.set_inheritable(descriptor, False)
    # Both may reach the whole process group, but only the host decides: it drains first, then says stop. A
    # handler that does nothing, unlike SIG_IGN, is not inherited by programs that a function starts.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    asyncio.run(_serve(descriptor, app_dir))
