"""The timer listener of one function.

Source: TimerListener.cs, StorageScheduleMonitor.cs of azure-webjobs-sdk-extensions. Runs never overlap. With
a monitor (default, for intervals of a minute and more) the last run is kept in a blob, and one that was
missed while the host was down is made up for at start, once, with IsPastDue set.
"""

import asyncio
import contextlib
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

from .executor import Executor, Trigger
from .functions import Function
from .schedule import parse_schedule

_log = logging.getLogger("Host.Timers")
_CONTAINER = "azure-webjobs-hosts"
_SHORTEST_MONITORED = timedelta(minutes=1)


class TimerListener:
    """Runs one function by the clock."""

    def __init__(
        self, function: Function, storage: BlobServiceClient | None, host_id: str, executor: Executor
    ) -> None:
        trigger = function.trigger
        self._function = function
        self._next = parse_schedule(trigger.text("schedule"), function.name)
        self._executor = executor
        self._run_on_startup = bool(trigger.settings.get("runOnStartup"))
        first = self._next(datetime.now(UTC))
        monitored = trigger.settings.get("useMonitor") is not False
        monitored = monitored and self._next(first) - first >= _SHORTEST_MONITORED
        self._blob = (
            storage.get_blob_client(_CONTAINER, f"timers/{host_id}/{function.name}/status")
            if storage is not None and monitored
            else None
        )
        self._storage = storage
        self._status: dict[str, str] | None = None
        self._stopping = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def status(self) -> dict[str, Any]:
        """Return the schedule, for the status page."""
        return {
            "function": self._function.name,
            "type": "timerTrigger",
            "schedule": self._function.trigger.text("schedule"),
            "next": self._next(datetime.now(UTC)).isoformat(),
        }

    def start(self) -> None:
        """Begin to count."""
        self._task = asyncio.create_task(self._loop())

    async def stop(self) -> None:
        """Count no more and wait for the run in progress."""
        self._stopping.set()
        if self._task is not None:
            await self._task
        async with self._lock:
            return

    async def drain(self) -> None:
        """Do the same: a run has no retries that would go on."""
        await self.stop()

    async def run_now(self, *, past_due: bool = False) -> None:
        """Run the function once, after a run in progress."""
        async with self._lock:
            now = datetime.now(UTC)
            info = {
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": self._status,
                "IsPastDue": past_due,
            }
            trigger = self._function.trigger
            data = Trigger(
                [(trigger.name, "json", json.dumps(info))],
                [("TimerTrigger", "string", now.isoformat())],
            )
            await self._executor.run(self._function, data, self._stopping)
            await self._record(now)

    async def _loop(self) -> None:
        missed = await self._missed()
        if (missed or self._run_on_startup) and not self._stopping.is_set():
            await self.run_now(past_due=missed)
        due = self._next(datetime.now(UTC))
        while not await self._sleep_until(due):
            await self.run_now()
            # Occurrences that passed during a long run are left out, not made up for.
            due = self._next(max(due, datetime.now(UTC)))

    async def _sleep_until(self, due: datetime) -> bool:
        """Wait; tell whether the host stops."""
        while (left := (due - datetime.now(UTC)).total_seconds()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return True
        return self._stopping.is_set()

    async def _missed(self) -> bool:
        if self._blob is None:
            return False
        try:
            stored = json.loads(await (await self._blob.download_blob()).readall())
            last = datetime.fromisoformat(stored["Last"])
        except ResourceNotFoundError:
            return False
        except (AzureError, ValueError, KeyError, TypeError) as error:
            _log.warning("the last run of %s cannot be read: %s", self._function.name, error)
            return False
        self._status = stored
        last = last if last.tzinfo else last.replace(tzinfo=UTC)
        return self._next(last) < datetime.now(UTC)

    async def _record(self, ran: datetime) -> None:
        self._status = {
            "Last": ran.isoformat(),
            "Next": self._next(ran).isoformat(),
            "LastUpdated": datetime.now(UTC).isoformat(),
        }
        if self._blob is None or self._storage is None:
            return
        try:
            with contextlib.suppress(ResourceExistsError):
                await self._storage.create_container(_CONTAINER)
            await self._blob.upload_blob(json.dumps(self._status), overwrite=True)
        except AzureError as error:
            _log.warning("the run of %s could not be recorded: %s", self._function.name, error.message)
