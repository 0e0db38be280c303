"""The host: settings, worker, listeners, HTTP, and the order in which they start and stop."""

import asyncio
import contextlib
import hashlib
import logging
import time
from typing import Any, Protocol

from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry
from azure.storage.queue.aio import QueueServiceClient

from .app_settings import AppSettings
from .errors import ConfigurationError
from .event_hubs import EventHubListener
from .executor import Executor
from .functions import Function, read_functions
from .host_json import HostOptions
from .http_server import HttpServer
from .options import Options
from .outputs import OutputWriter
from .queues import QueueListener
from .timers import TimerListener
from .worker_client import WorkerClient

_log = logging.getLogger("Host")
_STORAGE = "AzureWebJobsStorage"
# After the grace period, for what is left to do without the worker: giving partitions and messages back.
_LAST_SECONDS = 3.0


class Listener(Protocol):
    """What every trigger brings."""

    def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """Take nothing more, end retry loops and wait for what runs."""

    async def drain(self) -> None:
        """Take nothing more and wait for what runs, retry loops included."""

    def status(self) -> dict[str, Any]:
        """Return details for the status page."""


class Host:
    """One host of one app."""

    def __init__(
        self, options: Options, settings: AppSettings, host_json: HostOptions, worker: WorkerClient
    ) -> None:
        self._options = options
        self._settings = settings
        self._host_json = host_json
        self._queue_services: dict[str, QueueServiceClient] = {}
        self._blobs: BlobServiceClient | None = None
        self._listeners: list[Listener] = []
        self._manual: set[asyncio.Task[None]] = set()
        self._born = time.monotonic()
        self._state = "Initializing"
        self._worker = worker
        self._outputs = OutputWriter(
            self._queue_service, settings.connection, host_json.queues.message_encoding, self._queue_written
        )
        self._executor = Executor(self._worker, self._outputs.write)
        self._http: HttpServer | None = None
        self._draining: asyncio.Task[None] | None = None
        self.functions: list[Function] = []

    @property
    def port(self) -> int:
        """The port of the HTTP side."""
        return self._http.port if self._http else 0

    async def start(self, reported: list[dict[str, Any]]) -> None:
        """Open the port and start the listeners.

        Args:
            reported: the functions that the worker has found.

        Raises:
            ConfigurationError: a mistake of the user's.
        """
        if not reported:
            raise ConfigurationError(
                f"No functions were found in {self._options.app_dir}: is there a function_app.py (or "
                f"the file that PYTHON_SCRIPT_FILE_NAME names) beside host.json, and does it define an app?"
            )
        self.functions = read_functions(reported, self._settings)
        active = [function for function in self.functions if not function.disabled]
        self._listeners = [made for function in active if (made := self._listener(function)) is not None]
        self._http = HttpServer(self.functions, self._host_json.route_prefix, self._executor, self)
        await self._http.start(self._options.port)
        for listener in self._listeners:
            listener.start()
        self._state = "Running"
        self._announce()

    async def stop(self) -> None:
        """Drain: take nothing more, let running invocations end within the grace period, stop the worker."""
        self._state = "Stopping"
        if self._http is not None:
            self._http.refuse()
        if self._listeners:
            stops = [asyncio.create_task(listener.stop()) for listener in self._listeners]
            if self._draining is not None:
                stops.append(self._draining)
            _done, late = await asyncio.wait(stops, timeout=self._options.grace_seconds)
            if late:
                _log.warning(
                    "%d listeners still run after the grace period of %g s; their invocations are ended",
                    len(late),
                    self._options.grace_seconds,
                )
                await self._worker.close()
                # They may still wait for a storage or a hub that does not answer: with the SDKs, minutes.
                _done, stuck = await asyncio.wait(late, timeout=_LAST_SECONDS)
                for stop in stuck:
                    _log.error("a listener waits for a service that does not answer, and is left")
                    stop.cancel()
            for failed in await asyncio.gather(*stops, return_exceptions=True):
                if isinstance(failed, Exception):
                    _log.error("a listener did not stop cleanly: %r", failed)
        await self._drain_http()
        await self._worker.close()
        if self._http is not None:
            await self._http.stop()
        await self._outputs.close()
        for service in self._queue_services.values():
            await service.close()
        if self._blobs is not None:
            await self._blobs.close()

    async def _drain_http(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.grace_seconds):
                await self._worker.idle.wait()

    def status(self) -> dict[str, Any]:
        """Return what /admin/host/status shows."""
        return {
            "id": self._host_id(),
            "state": self._state,
            "version": "4.0.0-local",
            "processUptime": int((time.monotonic() - self._born) * 1000),
            "worker": {
                "pid": self._worker.pid,
                "restarts": self._worker.restarts,
                "running": self._worker.running,
            },
            "listeners": [listener.status() for listener in self._listeners],
        }

    def drain(self) -> None:
        """Begin drain mode, as Azure does before it takes an instance away: ``stop`` still has to follow."""
        if self._draining is None:
            self._state = "Draining"
            self._draining = asyncio.create_task(self._drain_listeners())

    async def _drain_listeners(self) -> None:
        drained = await asyncio.gather(
            *(listener.drain() for listener in self._listeners), return_exceptions=True
        )
        for failed in drained:
            if isinstance(failed, Exception):
                _log.error("a listener did not stop cleanly: %r", failed)

    def drain_status(self) -> dict[str, Any]:
        """Return what /admin/host/drain/status shows."""
        if self._draining is None:
            state = "Disabled"
        else:
            state = "Completed" if self._draining.done() and not self._worker.running else "InProgress"
        return {"state": state, "outstandingInvocations": self._worker.running}

    async def run_once(self, name: str) -> bool:
        """Run a timer function out of turn; tell whether there is one of that name."""
        for listener in self._listeners:
            if isinstance(listener, TimerListener) and listener.status()["function"] == name:
                task = asyncio.create_task(listener.run_now())
                self._manual.add(task)
                task.add_done_callback(self._manual.discard)
                return True
        return False

    def _listener(self, function: Function) -> Listener | None:
        trigger = function.trigger
        used_by = f"the {trigger.type} of function {function.name}"
        match trigger.type:
            case "eventHubTrigger":
                connection = self._settings.connection(trigger.text("connection"), used_by)
                return EventHubListener(
                    function,
                    connection,
                    self._blob_service(used_by),
                    self._host_json.event_hubs,
                    self._executor,
                )
            case "queueTrigger":
                return QueueListener(
                    function,
                    self._queue_service(trigger.text("connection") or _STORAGE, used_by),
                    self._host_json.queues,
                    self._executor,
                    self._options.lease_seconds,
                )
            case "timerTrigger":
                blobs = self._blob_service(used_by) if self._settings.get(_STORAGE) else None
                return TimerListener(function, blobs, self._host_id(), self._executor)
            case _:
                return None

    def _blob_service(self, used_by: str) -> BlobServiceClient:
        if self._blobs is None:
            connection = self._settings.connection(_STORAGE, used_by)
            self._blobs = _storage_client(BlobServiceClient, connection, _STORAGE, used_by)
        return self._blobs

    def _queue_service(self, name: str, used_by: str) -> QueueServiceClient:
        if name not in self._queue_services:
            connection = self._settings.connection(name, used_by)
            self._queue_services[name] = _storage_client(QueueServiceClient, connection, name, used_by)
        return self._queue_services[name]

    def _queue_written(self, queue: str) -> None:
        for listener in self._listeners:
            if isinstance(listener, QueueListener):
                listener.wake(queue)

    def _host_id(self) -> str:
        """Return what tells this app from others in one storage account: by setting, or from its folder."""
        named = self._settings.get("AzureFunctionsWebHost__hostId")
        return named or hashlib.sha256(str(self._options.app_dir).encode()).hexdigest()[:32]

    def _announce(self) -> None:
        _log.info("Functions host on http://127.0.0.1:%d, worker process %s", self.port, self._worker.pid)
        for function in self.functions:
            state = " (disabled)" if function.disabled else ""
            _log.info("  %s: %s%s", function.name, function.described, state)


def _storage_client[T: (BlobServiceClient, QueueServiceClient)](
    kind: type[T], connection: str, name: str, used_by: str
) -> T:
    # The SDK's default waits 15 s before its first repeat. Blobs are tried for about as long as by the real
    # host (25 s), after which a partition begins again at its checkpoint; queues have their own back-off.
    retry = ExponentialRetry(
        initial_backoff=1, increment_base=2, retry_total=4 if kind is BlobServiceClient else 2
    )
    if connection.strip().casefold() == "usedevelopmentstorage=true":
        connection = _DEVELOPMENT_STORAGE
    try:
        return kind.from_connection_string(connection, retry_policy=retry)
    except ValueError as error:
        raise ConfigurationError(
            f"The setting {name}, used by {used_by}, is no storage connection string: "
            f"{str(error).rstrip('.')}."
        ) from None


# The published account and key of every storage emulator; the Python SDK does not know the short form.
_DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUz"
    "FT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
)
