"""The local stack as one: Event Hubs, Cosmos DB and Storage stand-ins, and the Functions host with the app.

The only module that knows all parts. Each is a process of its own, started with ``python -m``; they know
nothing of one another, only the settings that this module hands to the host.
"""

from __future__ import annotations

import signal
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from everscore_local import interrupts, processes
from everscore_local.endpoints import Names, Ports, check_free, connection_settings
from everscore_local.processes import Launch, Running, Starting
from everscore_local.provision import DEFAULT_TTL, INDEXED, provision_storage
from everscore_local.state import StackState, empty, locked, read_state, remove_state, write_state

SERVICES = ("eventhubs", "cosmos", "azurite")
HOST = "functions"
PARTS = (*SERVICES, HOST)

# The host ends what it has begun before it stops; the services then write their state.
HOST_STOP_SECONDS = 40.0
SERVICE_STOP_SECONDS = 20.0

# Which field of a ready line holds which port.
_READY_PORTS: Mapping[str, Mapping[str, str]] = {
    "eventhubs": {"eventhubs": "port"},
    "cosmos": {"cosmos": "port", "cosmos_control": "controlPort"},
    "azurite": {"blob": "blobPort", "queue": "queuePort"},
    "functions": {"functions": "port"},
}


def quiet(_step: str) -> None:
    """Say nothing about the steps of a start."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How a stack is started.

    Attributes:
        state: the folder of all its state.
        app: the folder of the function app.
        ports: where to listen; ``Ports.free()`` = wherever there is room.
        names: of hub, containers and queue.
        host_environment: settings for the host besides the connections.
        host_settings: a settings file in place of the app's local.settings.json.
        dies_with_parent: on Linux, every part ends when this process dies, even by SIGKILL.
    """

    state: Path
    app: Path
    ports: Ports = field(default_factory=Ports)
    names: Names = field(default_factory=Names)
    host_environment: Mapping[str, str] = field(default_factory=dict)
    host_settings: Path | None = None
    dies_with_parent: bool = False


class Stack:
    """A local stack, from this process's or from another command's start on.

    As a context manager it stops everything at the end, however the end comes.
    """

    def __init__(self, folder: Path, state: StackState, *, dies_with_parent: bool = False) -> None:
        self.folder = folder
        self._state = state
        self._dies_with_parent = dies_with_parent

    @classmethod
    def new(cls, options: StackOptions) -> Stack:
        """A stack of which nothing runs yet."""
        state = StackState(
            mark=str(uuid.uuid4()),
            app=options.app.resolve(),
            own_ports=options.ports != Ports(),
            ports=options.ports,
            names=options.names,
            host_environment=dict(options.host_environment),
            host_settings=options.host_settings,
        )
        return cls(options.state.resolve(), state, dies_with_parent=options.dies_with_parent)

    @classmethod
    def find(cls, folder: Path) -> Stack | None:
        """The stack that was started in this state folder, or None. Its parts may have died meanwhile.

        Raises:
            StackError: the folder's stack.json cannot be read.
        """
        state = read_state(folder)
        return None if state is None else cls(folder.resolve(), state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def state(self) -> StackState:
        """What was started, with which ports and names."""
        return self._state

    @property
    def ports(self) -> Ports:
        """Where the parts listen."""
        return self._state.ports

    @property
    def names(self) -> Names:
        """Of hub, containers and queue."""
        return self._state.names

    def settings(self) -> dict[str, str]:
        """The settings that lead an app, or a command, to this stack."""
        return {**connection_settings(self.ports), **self.names.settings()}

    def log(self, part: str) -> Path:
        """The log file of a part."""
        return self.folder / "logs" / f"{part}.log"

    def alive(self, part: str) -> bool:
        """Whether the part's process runs."""
        running = self._state.running.get(part)
        return running is not None and running.process() is not None

    def start(self, parts: tuple[str, ...] = PARTS, on_step: Callable[[str], None] = quiet) -> None:
        """Start those of the parts that do not run, and create what the app expects to find.

        Args:
            parts: which; the host needs the services.
            on_step: called with a word about each step, before it is taken.

        Raises:
            StackError: a port is taken, a part does not start. Then nothing runs that was started here.
        """
        missing = tuple(part for part in parts if not self.alive(part))
        wanted = {name for part in missing for name in _READY_PORTS[part]}
        with locked(self.folder):
            check_free(self.ports, wanted)
            try:
                # Written before anything is started: whatever happens, `down` finds it by the mark.
                write_state(self.folder, self._state)
                services = [part for part in missing if part in SERVICES]
                on_step(f"starting {', '.join(services)}" if services else "services run already")
                starting = [(part, self._begin(part)) for part in services]
                for part, process in starting:
                    self._ready(part, process)
                    on_step(f"{part} is ready")
                on_step("creating queues and containers")
                # An interrupt inside of an SDK's import or clean-up would be swallowed there.
                with interrupts.put_off():
                    provision_storage(self.settings()["STORAGE"], self.names)
                if HOST in missing:
                    on_step("starting the Functions host")
                    self._ready(HOST, self._begin(HOST))
                    on_step(f"{HOST} is ready")
            except BaseException:
                with interrupts.ignored():
                    self._stop_all()
                raise

    def restart(self, part: str) -> None:
        """Stop a part in order and start it again on the same port.

        Raises:
            StackError: it does not start again; the other parts run on.
        """
        with locked(self.folder):
            self._end(part)
            self._ready(part, self._begin(part))

    def kill(self, part: str) -> None:
        """End a part as a crash would, with SIGKILL. What it started is left to notice that."""
        running = self._state.running.get(part)
        process = running.process() if running else None
        if process is not None:
            processes.kill([process])

    def stop(self) -> None:
        """Stop everything, the host first. Data and logs stay. A second Ctrl-C does not interrupt it."""
        with interrupts.ignored(), locked(self.folder):
            self._stop_all()

    def empty(self) -> None:
        """Remove all data and logs. Call it once everything is stopped."""
        empty(self.folder)

    def _stop_all(self) -> None:
        self._end(HOST)
        services = [self._state.running.get(part) for part in SERVICES]
        alive = [process for part in services if part and (process := part.process())]
        processes.end(alive, SERVICE_STOP_SECONDS)
        # What is left: parts that were killed in mid-start, children of parts that crashed.
        processes.end(processes.marked(self._state.mark), 5)
        self._state = replace(self._state, running={})
        remove_state(self.folder)

    def _end(self, part: str) -> None:
        running = self._state.running.get(part)
        process = running.process() if running else None
        if process is None:
            return
        children = []
        with suppress(psutil.NoSuchProcess):
            children = process.children(recursive=True)
        processes.end([process], HOST_STOP_SECONDS if part == HOST else SERVICE_STOP_SECONDS)
        processes.end(children, 5)
        self._state = self._state.without_part(part)

    def _begin(self, part: str) -> Starting:
        # onnxruntime, which most apps here load, reports to Microsoft unless told not to before its import
        # (microsoft/onnxruntime#27379). A laptop's stack talks to nobody but itself.
        environment = {
            processes.MARK: self._state.mark,
            "PYTHONUNBUFFERED": "1",
            "ORT_DISABLE_TELEMETRY": "1",
        }
        if part == HOST:
            environment |= self._host_environment()
        return Starting(
            Launch(
                name=part,
                command=[sys.executable, "-m", f"everscore_local.{part}", *self._arguments(part)],
                folder=Path(__file__).resolve().parents[1],
                environment=environment,
                log=self.log(part),
                dies_with_parent=self._dies_with_parent,
                # With the services gone the host has nowhere to finish what it began; they write their state.
                death_signal=signal.SIGKILL if part == HOST else signal.SIGTERM,
            )
        )

    def _ready(self, part: str, starting: Starting) -> None:
        running: Running = starting.wait()
        found = {name: int(running.ready[key]) for name, key in _READY_PORTS[part].items()}
        self._state = self._state.with_part(running, replace(self.ports, **found))
        write_state(self.folder, self._state)

    def _host_environment(self) -> dict[str, str]:
        own = self.settings() if self._state.own_ports else {}
        return {"FUNCTIONS_WORKER_RUNTIME": "python", **own, **self._state.host_environment}

    def _arguments(self, part: str) -> list[str]:
        ports = asdict(self.ports)
        names = self.names
        data = ["--data", str(self.folder / part)]
        match part:
            case "eventhubs":
                hub = f"{names.hub}:{names.partitions}:{names.group}"
                return ["--port", str(ports["eventhubs"]), "--hub", hub, *data]
            case "cosmos":
                listen = ["--port", str(ports["cosmos"]), "--control-port", str(ports["cosmos_control"])]
                container = ["--database", names.database, "--container", names.container]
                return [
                    *listen,
                    *container,
                    *(f"--index={path}" for path in INDEXED),
                    f"--default-ttl={DEFAULT_TTL}",
                    *data,
                ]
            case "azurite":
                return ["--blob-port", str(ports["blob"]), "--queue-port", str(ports["queue"]), *data]
            case _:
                settings = self._state.host_settings
                given = ["--settings", str(settings)] if settings else []
                return ["--app", str(self._state.app), "--port", str(ports["functions"]), *given]
