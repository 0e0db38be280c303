"""The state folder of a local stack: what runs, where it listens, its logs and its data.

All of a stack's state is in one folder and is kept or emptied together: a hub that remembers beside a store
that forgot looks like loss. ``stack.json`` in it says what runs.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from everscore_local.endpoints import Names, Ports
from everscore_local.processes import Running, StackError

SCHEMA = 1
_FILE = "stack.json"
# Only what the stack itself writes there: a folder given by mistake keeps all else.
_CONTENT = ("eventhubs", "cosmos", "azurite", "functions", "logs", _FILE, "lock")


@dataclass(frozen=True, slots=True)
class StackState:
    """What ``stack.json`` says.

    Attributes:
        mark: in the environment of every process of this stack and of what they start.
        app: the folder of the function app.
        own_ports: the stack chose its ports, so commands take them from here, not from local.settings.json.
        ports: where the parts listen.
        names: of hub, containers and queue.
        host_environment: what the Functions host got on top of the environment.
        host_settings: the settings file that the host reads in place of local.settings.json, or None.
        running: the parts, by name.
    """

    mark: str
    app: Path
    own_ports: bool
    ports: Ports
    names: Names
    host_environment: dict[str, str] = field(default_factory=dict)
    host_settings: Path | None = None
    running: dict[str, Running] = field(default_factory=dict)

    def with_part(self, part: Running, ports: Ports) -> StackState:
        """The same stack with one part (started anew)."""
        return replace(self, running={**self.running, part.name: part}, ports=ports)

    def without_part(self, name: str) -> StackState:
        """The same stack with one part less."""
        return replace(self, running={key: part for key, part in self.running.items() if key != name})


def read_state(folder: Path) -> StackState | None:
    """What runs in this state folder, or None: nothing was started there.

    Raises:
        StackError: the file is from another version, or is damaged.
    """
    path = folder / _FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StackError(
            f"{path} is damaged ({error}): end what runs by hand and remove the file."
        ) from error
    if content.get("schema") != SCHEMA:
        raise StackError(
            f"{path} was written by another version of Everscore: stop that stack with it first."
        )
    return _from_json(content)


def write_state(folder: Path, state: StackState) -> None:
    """Write ``stack.json``, whole or not at all."""
    content = {
        "schema": SCHEMA,
        "mark": state.mark,
        "app": str(state.app),
        "ownPorts": state.own_ports,
        "ports": asdict(state.ports),
        "names": asdict(state.names),
        "hostEnvironment": state.host_environment,
        "hostSettings": str(state.host_settings) if state.host_settings else None,
        "running": {name: asdict(part) for name, part in state.running.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{_FILE}.new"
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    temporary.replace(folder / _FILE)


def remove_state(folder: Path) -> None:
    """Say that nothing runs here any more; data and logs stay."""
    (folder / _FILE).unlink(missing_ok=True)


def empty(folder: Path) -> None:
    """Remove all data and logs. Nothing may be running."""
    for name in _CONTENT:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other commands from starting or stopping this stack meanwhile.

    Raises:
        StackError: another command is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(
                f"Another command is starting or stopping the stack in {folder}: wait until it is done."
            ) from error
        yield


def _from_json(content: dict[str, Any]) -> StackState:
    return StackState(
        mark=content["mark"],
        app=Path(content["app"]),
        own_ports=content["ownPorts"],
        ports=Ports(**content["ports"]),
        names=Names(**content["names"]),
        host_environment=content["hostEnvironment"],
        host_settings=Path(content["hostSettings"]) if content["hostSettings"] else None,
        running={name: Running(**part) for name, part in content["running"].items()},
    )
