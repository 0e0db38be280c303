"""The servers of a run, each a process of its own, and the Functions hosts that a group starts and kills."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from everscore_local import azurite, processes
from everscore_local.endpoints import COSMOS_KEY, EVENTHUBS_KEY, EVENTHUBS_KEY_NAME, Names
from everscore_local.provision import provision_cosmos, provision_storage
from tests.chaos.controls import Control, Proxy, Store
from tests.support.app import copy_app
from tests.support.services import ROOT

PARTITIONS = 4
LEASE_SECONDS = 6
# Short intervals make a fault that lasts for seconds as long as one that lasts for minutes.
HOST_JSON: Mapping[str, Mapping[str, Any]] = {
    "eventHubs": {
        "maxEventBatchSize": 64,
        "loadBalancingUpdateInterval": "00:00:01",
        "partitionOwnershipExpirationInterval": "00:00:04",
    },
    "queues": {"maxPollingInterval": "00:00:00.5", "visibilityTimeout": "00:00:01"},
}
FUNCTION_TIMEOUT = "00:00:20"
SETTINGS: Mapping[str, str] = {
    "BATCH_DEADLINE_SECONDS": "2",
    "COSMOS_TIMEOUT_SECONDS": "1.5",
    "STORAGE_TIMEOUT_SECONDS": "2",
    "TIME_BUDGET_SECONDS": "15",
    "BREAKER_PAUSE_SECONDS": "1",
    "LINGER_SECONDS": "0.3",
    "STATUS_INTERVAL_SECONDS": "0.5",
    "UNEXPECTED_MINUTES": "0.1",
}


def group_names(group: str) -> Names:
    """Hub, container, queue and blob containers of one group."""
    return Names(
        hub=group,
        partitions=PARTITIONS,
        container=group,
        queue=f"{group}-retry",
        dead_letters=f"{group}-letters",
        claim_checks=f"{group}-checks",
    )


def make_app(
    folder: Path,
    *,
    host: Mapping[str, Mapping[str, Any]] = HOST_JSON,
    stream: Mapping[str, Any] | None = None,
    function_timeout: str = FUNCTION_TIMEOUT,
) -> Path:
    """A copy of the app with short intervals."""
    app = copy_app(folder, host=host, stream=stream)
    path = app / "host.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "functionTimeout": function_timeout}))
    return app


def without_budget_check(app: Path) -> None:
    """Have a copy of the app start with a TIME_BUDGET_SECONDS that functionTimeout leaves no time for."""
    path = app / "function_app" / "composition.py"
    text = path.read_text()
    begin = text.index("    check_time_budget(\n")
    end = text.index("    clock_ahead = ")
    path.write_text(text[:begin] + text[end:])


class HostGoneError(Exception):
    """A host that should run does not answer."""


class HostProcess:
    """One Functions host and its worker."""

    def __init__(self, running: processes.Running, log: Path) -> None:
        self.running = running
        self.log_file = log
        self._control = Control(int(running.ready["port"]))
        self._seconds = 0.0
        self._seen: dict[int, float] = {}

    async def status(self) -> dict[str, Any]:
        """What the host says of itself."""
        try:
            return dict(await asyncio.to_thread(self._control.ask, "GET", "/admin/host/status"))
        except OSError as error:
            raise HostGoneError(f"a host does not answer, see {self.log_file.name}: {error}") from error

    async def run_timer(self, function: str) -> None:
        """Run a timer function now."""
        await asyncio.to_thread(self._control.ask, "POST", f"/admin/functions/{function}", {})

    async def worker(self) -> int | None:
        """Process id of the worker; None while there is none."""
        pid = (await self.status())["worker"]["pid"]
        return None if pid is None else int(pid)

    async def kill_worker(self) -> None:
        """End the worker alone, as a crash would."""
        pid = await self.worker()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def kill(self) -> None:
        """End host and worker with SIGKILL."""
        process = self.running.process()
        if process is not None:
            family = [*process.children(recursive=True), process]
            await asyncio.to_thread(processes.kill, family)

    async def stop(self, seconds: float = 40) -> None:
        """SIGTERM: the host drains, then ends."""
        process = self.running.process()
        if process is not None:
            await asyncio.to_thread(processes.end, [process], seconds)

    @property
    def alive(self) -> bool:
        """Whether the host runs."""
        return self.running.process() is not None

    def log(self) -> str:
        """What it has logged."""
        return self.log_file.read_text(errors="replace")

    def cpu_seconds(self) -> float:
        """Processor time of the host and all workers that it has had, as far as they were looked at."""
        process = self.running.process()
        if process is not None:
            for each in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    times = each.cpu_times()
                    self._seen[each.pid] = times.user + times.system
        return sum(self._seen.values())


@dataclass
class Bench:
    """The servers.

    Attributes:
        folder: of all state.
        store: control port of the store.
        proxy: control port of the proxy before blobs, queues and hub.
    """

    folder: Path
    groups: Sequence[str]
    mark: str = field(default_factory=lambda: f"chaos-{os.getpid()}-{uuid.uuid4()}")

    def __post_init__(self) -> None:
        self._ports: dict[str, int] = {}
        self._hub: processes.Running | None = None
        self._hosts = 0
        self.store: Store
        self.proxy: Proxy

    async def start(self) -> None:
        """Start all servers."""
        await asyncio.gather(self.start_hub(), self._start_cosmos(), self._start_azurite())
        ports = self._ports
        routes = {
            "blob": ports["blob"],
            "queue": ports["queue"],
            "hub": ports["hub"],
            "store": ports["cosmos"],
        }
        arguments = [word for name, port in routes.items() for word in ("--route", f"{name}:0:{port}")]
        running = await self._start("proxy", *arguments, "--control-port", "0")
        self._ports |= {f"{name} of the app": int(port) for name, port in running.ready["ports"].items()}
        self.proxy = Proxy(int(running.ready["controlPort"]))

    async def stop(self) -> None:
        """End everything that carries this run's mark."""
        await asyncio.to_thread(processes.end, processes.marked(self.mark), 15)

    async def start_hub(self) -> None:
        """Start the Event Hubs server (again, on its port)."""
        port = str(self._ports.get("hub", 0))
        hubs = [word for group in self.groups for word in ("--hub", f"{group}:{PARTITIONS}:everscore")]
        running = await self._start("eventhubs", "--port", port, "--data", str(self.folder / "hub"), *hubs)
        self._ports["hub"] = int(running.ready["port"])
        self._hub = running

    async def stop_hub(self, forget: str | None = None) -> None:
        """Stop the Event Hubs server, and remove all data of one hub, as if it had been made anew."""
        process = self._hub.process() if self._hub else None
        if process is not None:
            await asyncio.to_thread(processes.end, [process], 20)
        if forget:
            found = [path for path in (self.folder / "hub").rglob(forget) if path.is_dir()]
            assert found, f"no data of the hub {forget}"
            for path in found:
                shutil.rmtree(path)

    async def _start_cosmos(self) -> None:
        running = await self._start(
            "cosmos", "--port", "0", "--control-port", "0", "--data", str(self.folder / "cosmos")
        )
        self._ports["cosmos"] = int(running.ready["port"])
        self.store = Store(int(running.ready["controlPort"]))

    async def _start_azurite(self) -> None:
        running = await self._start(
            "azurite", "--blob-port", "0", "--queue-port", "0", "--data", str(self.folder / "azurite")
        )
        self._ports |= {"blob": int(running.ready["blobPort"]), "queue": int(running.ready["queuePort"])}

    async def provision(self, names: Names) -> None:
        """Create what a deployment creates."""
        await asyncio.to_thread(provision_cosmos, self.cosmos, names)
        await asyncio.to_thread(provision_storage, self.storage, names)

    @property
    def cosmos(self) -> str:
        """Connection string of the store."""
        return _cosmos_string(self._ports["cosmos"])

    @property
    def cosmos_of_app(self) -> str:
        """Connection string of the store through the proxy, for faults of the network."""
        return _cosmos_string(self._ports["store of the app"])

    @property
    def storage(self) -> str:
        """Connection string of the storage, past the proxy."""
        return azurite.connection_string(self._ports["blob"], self._ports["queue"])

    @property
    def hub(self) -> str:
        """Connection string of the hub, past the proxy."""
        return _hub_string(self._ports["hub"])

    def settings(self, names: Names) -> dict[str, str]:
        """The app's settings: storage and hub through the proxy."""
        storage = azurite.connection_string(self._ports["blob of the app"], self._ports["queue of the app"])
        return {
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "ORT_DISABLE_TELEMETRY": "1",
            "AzureWebJobsStorage": storage,
            "STORAGE": storage,
            "COSMOS": self.cosmos,
            "EVENTHUB": _hub_string(self._ports["hub of the app"]),
            **names.settings(),
            **SETTINGS,
        }

    async def start_host(
        self, app: Path, settings: Mapping[str, str], module: str = "everscore_local.functions"
    ) -> HostProcess:
        """Start a host; without a settings file, so that all settings are those given."""
        self._hosts += 1
        empty = self.folder / "settings.json"
        empty.write_text(json.dumps({"Values": {}}))
        log = self.folder / "logs" / f"host-{self._hosts:02}.log"
        arguments = ["--app", str(app), "--port", "0", "--settings", str(empty), "--grace-seconds", "10"]
        arguments += ["--queue-lease-seconds", str(LEASE_SECONDS)]
        launch = processes.Launch(
            name="functions",
            command=[sys.executable, "-m", module, *arguments],
            folder=ROOT,
            environment={**settings, processes.MARK: self.mark, "PYTHONUNBUFFERED": "1"},
            log=log,
            dies_with_parent=True,
        )
        # Started by this thread, which lives as long as the process: the parts end when their parent thread does.
        starting = processes.Starting(launch)
        return HostProcess(await asyncio.to_thread(starting.wait), log)

    async def _start(self, name: str, *arguments: str) -> processes.Running:
        launch = processes.Launch(
            name=name,
            command=[sys.executable, "-m", f"everscore_local.{name}", *arguments],
            folder=ROOT,
            environment={processes.MARK: self.mark, "PYTHONUNBUFFERED": "1"},
            log=self.folder / "logs" / f"{name}.log",
            dies_with_parent=True,
        )
        starting = processes.Starting(launch)
        return await asyncio.to_thread(starting.wait)


def _cosmos_string(port: int) -> str:
    return f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey={COSMOS_KEY};"


def _hub_string(port: int) -> str:
    return (
        f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName={EVENTHUBS_KEY_NAME};"
        f"SharedAccessKey={EVENTHUBS_KEY};UseDevelopmentEmulator=true;"
    )


@asynccontextmanager
async def bench(folder: Path, groups: Sequence[str]) -> AsyncIterator[Bench]:
    """The servers for as long as the block runs."""
    made = Bench(folder, groups)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
