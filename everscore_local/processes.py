"""Processes of the local stack: start one, wait until it is ready, find it again, end it and all it started.

A part of the stack is a program that prints one JSON line, ``{"ready": NAME, ...}``, once it accepts
connections, writes its log to stderr, stops in order on SIGTERM, and exits with code 2 and one sentence when
the user made a mistake. All its output goes to one log file, in which the ready line is looked for: a pipe
would break as soon as the command that started the part ends.

A process is known by its pid *and* its time of creation, so that a pid which the system gave to somebody else
is never signalled. What a part started is known by a mark in its environment, which children inherit.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from everscore_local import interrupts
from everscore_local.loopback import without_proxy

MARK = "EVERSCORE_STACK_ID"
READY_SECONDS = 60.0
LOG_BYTES = 20 * 1024 * 1024
_POLL_SECONDS = 0.02


class StackError(Exception):
    """The local stack cannot do what was asked. The message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process that was started.

    Attributes:
        name: the part's name.
        pid: its process id.
        created: when it was created, in seconds since the epoch, as the system says.
        command: the arguments that it was started with.
        ready: the JSON object that it printed when it was ready.
    """

    name: str
    pid: int
    created: float
    command: list[str]
    ready: dict[str, Any]

    def process(self) -> psutil.Process | None:
        """The live process, or None: it ended, or its pid is somebody else's by now."""
        try:
            process = psutil.Process(self.pid)
            # The clock that creation times are derived from may be adjusted a little while a process runs.
            same = abs(process.create_time() - self.created) < 1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start.

    Attributes:
        name: the part's name, which its ready line must carry.
        command: program and arguments.
        folder: the working folder.
        environment: what is set on top of this process's environment.
        log: the file that all output is appended to.
        dies_with_parent: on Linux, end it when this process dies, however it dies. The thread that starts the
            part must then live as long as the process.
        death_signal: how it is ended then.
    """

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    log: Path
    dies_with_parent: bool = False
    death_signal: signal.Signals = signal.SIGTERM


class Starting:
    """A process between its start and its ready line."""

    def __init__(self, launch: Launch) -> None:
        """Start it.

        Raises:
            StackError: the program cannot be started.
        """
        self._launch = launch
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        _rotate(launch.log)
        # An interrupt between fork and exec would leave a process that nobody knows and no mark betrays.
        with launch.log.open("ab") as log, interrupts.put_off():
            self._offset = log.tell()
            try:
                # The hook makes one C call and takes no lock.
                self._process = subprocess.Popen(
                    list(launch.command),
                    cwd=launch.folder,
                    env={**os.environ, **without_proxy(os.environ), **launch.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C in the terminal reaches the one who started us, not us
                    preexec_fn=_parent_death_hook(launch.death_signal) if launch.dies_with_parent else None,  # noqa: PLW1509
                )
            except OSError as error:
                raise StackError(f"{launch.name} cannot be started: {error}.") from error
            _children.append(self._process)
        self._created = psutil.Process(self._process.pid).create_time()

    def wait(self, seconds: float = READY_SECONDS) -> Running:
        """Wait for the ready line.

        Raises:
            StackError: the process ended, or did not become ready in time.
        """
        launch = self._launch
        deadline = time.monotonic() + seconds
        while True:
            ended = self._process.poll()
            ready = self._ready_line()
            if ready is not None:
                return Running(launch.name, self._process.pid, self._created, list(launch.command), ready)
            if ended is not None:
                raise StackError(self._why(ended))
            if time.monotonic() > deadline:
                raise StackError(f"{launch.name} was not ready within {seconds:.0f} s: see {launch.log}.")
            time.sleep(_POLL_SECONDS)

    def _output(self) -> list[str]:
        with self._launch.log.open("rb") as log:
            log.seek(self._offset)
            return log.read().decode(errors="replace").splitlines()

    def _ready_line(self) -> dict[str, Any] | None:
        for line in self._output():
            if line.startswith('{"ready"'):
                with contextlib.suppress(json.JSONDecodeError):  # half a line: read again
                    ready = json.loads(line)
                    if isinstance(ready, dict) and ready.get("ready") == self._launch.name:
                        return ready
        return None

    def _why(self, code: int) -> str:
        lines = [line.strip() for line in self._output() if line.strip()]
        last = lines[-1] if lines else "it said nothing"
        if code == 2:
            return f"{self._launch.name}: {last}"
        name, log = self._launch.name, self._launch.log
        return f"{name} ended with code {code} before it was ready ({last}): see {log}."


# Kept so that those which end are collected; a part may live longer than the command that started it.
_children: list[subprocess.Popen[bytes]] = []


def marked(mark: str) -> list[psutil.Process]:
    """Every live process of this user that carries this mark in its environment."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], seconds: float) -> None:
    """Ask processes to stop (SIGTERM), wait for them, and kill those that have not ended in time."""
    asked = list(processes)
    for process in asked:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = wait_gone(asked, seconds)
    kill(alive)


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill processes at once and wait until they are gone."""
    killed = list(processes)
    for process in killed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_gone(killed, 10)


def wait_gone(
    processes: Iterable[psutil.Process], seconds: float
) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Wait until processes have ended; a zombie that its parent has not collected counts as ended.

    Returns:
        those that ended, and those still alive after ``seconds``.
    """
    waiting = list(processes)
    gone: list[psutil.Process] = []
    deadline = time.monotonic() + seconds
    while True:
        for child in list(_children):
            if child.poll() is not None:
                _children.remove(child)
        for process in list(waiting):
            if not _lives(process):
                waiting.remove(process)
                gone.append(process)
        if not waiting or time.monotonic() > deadline:
            return gone, waiting
        time.sleep(_POLL_SECONDS)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _rotate(log: Path) -> None:
    """Keep a log that grew large as ``NAME.1`` and begin a new one."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(log.suffix + ".1"))


def _parent_death_hook(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before its program, so that Linux ends it when its parent dies."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_parent_death_signal = 1
    parent = os.getpid()

    def hook() -> None:
        prctl(set_parent_death_signal, death_signal)
        if os.getppid() != parent:  # it died in between
            os.kill(os.getpid(), death_signal)

    return hook
