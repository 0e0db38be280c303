"""Python and Node, as this machine has them: found by running each candidate."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import subprocess
import sys
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from devsetup import ROOT
from devsetup.stop import Stop

PYTHON = (3, 13)
# Folders outside of anyone's home, looked into last: they may not be on the PATH.
SYSTEM_PLACES = (
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/usr/bin",
    "/Library/Frameworks/Python.framework/Versions/3.13/bin",
)

PROBE = """
import importlib.util, json, sys, sysconfig
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "base": getattr(sys, "_base_executable", None) or sys.executable,
    "usual": sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED"),
    "lacks": [m for m in ("venv", "ensurepip", "_ssl") if importlib.util.find_spec(m) is None],
}))
"""


class Python(NamedTuple):
    """An interpreter that ran and said what it is."""

    path: str
    version: Tuple[int, ...]
    usual: bool
    lacks: Tuple[str, ...]

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))} ({self.path})"


def probe(path: str) -> Optional[Python]:
    """What the interpreter at `path` is, or None where it does not run.

    A pyenv shim on the PATH exists but fails while its version is not selected: only running it tells.
    The path returned is that of the base interpreter, never one inside a virtual environment, which may
    be the very one that has to be replaced.
    """
    try:
        done = subprocess.run(
            [path, "-I", "-c", PROBE], capture_output=True, text=True, timeout=30, check=True, cwd=ROOT
        )
        said = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Python(said["base"], tuple(said["version"]), said["usual"], tuple(said["lacks"]))


def on_path(name: str) -> List[str]:
    """Every program called `name` on the PATH, in its order: the first may be a shim that fails."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    paths = [os.path.join(folder, name) for folder in folders if folder]
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]


def newest(pattern: str) -> List[str]:
    """The files that fit `pattern`, the highest version first."""
    return sorted(
        glob.glob(pattern), key=lambda path: [int(n) for n in re.findall(r"\d+", path)], reverse=True
    )


def python_candidates() -> Iterator[str]:
    """Where a newcomer's machine may have Python 3.13, the likeliest first."""
    name = "python%d.%d" % PYTHON
    home = os.path.expanduser("~")
    yield sys.executable
    for each in (name, "python3", "python"):
        yield from on_path(each)
    for uv in [*on_path("uv"), os.path.join(home, ".local/bin/uv"), os.path.join(home, ".cargo/bin/uv")]:
        command = [uv, "python", "find", "--system", "--no-project", "%d.%d" % PYTHON]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, cwd=home)
            yield done.stdout.strip()
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local/share")
    for folder, pattern in (
        (os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv/python"), f"*-3.13*/bin/{name}"),
        (os.environ.get("PYENV_ROOT") or os.path.join(home, ".pyenv"), "versions/3.13*/bin/python"),
        (os.path.join(home, ".asdf/installs/python"), "3.13*/bin/python"),
        (os.path.join(data, "mise/installs/python"), "3.13*/bin/python"),
        *((folder, name) for folder in SYSTEM_PLACES),
    ):
        yield from newest(os.path.join(folder, pattern))


def find_python() -> str:
    """The path of a Python 3.13 that can make virtual environments; EVERSCORE_PYTHON overrides the search.

    Raises Stop with what was found instead and how to get one.
    """
    wanted = "%d.%d" % PYTHON
    chosen = os.environ.get("EVERSCORE_PYTHON")
    seen: Dict[str, Python] = {}
    lacking: List[Python] = []
    tried = set()
    for path in [chosen] if chosen else python_candidates():
        if path in tried:
            continue
        tried.add(path)
        found = probe(path)
        if found is None:
            continue
        if found.version[:2] == PYTHON and found.usual:
            if not found.lacks:
                return found.path
            lacking.append(found)
        seen.setdefault(found.path, found)
    if lacking:
        found = lacking[0]
        parts = " and ".join(part.lstrip("_") for part in found.lacks)
        raise Stop(
            f"Python {found} lacks {parts}, so it cannot make the project's virtual environment: on Debian"
            f" and Ubuntu type `sudo apt install python{wanted}-venv`, elsewhere install it whole."
        )
    if chosen:
        what = str(seen[next(iter(seen))]) if seen else "nothing that runs"
        raise Stop(f"EVERSCORE_PYTHON must be the path of a Python {wanted}; {chosen!r} is {what}.")
    others = ", ".join(str(python) for python in seen.values()) or "none at all"
    raise Stop(
        f"Everscore needs Python {wanted}, the version it has in Azure; found on this machine: {others}.\n"
        "Install it in one of these ways, then type the same command again:\n"
        f"  uv python install {wanted}         (uv: https://docs.astral.sh/uv; needs no root)\n"
        f"  pyenv install {wanted}\n"
        f"  sudo apt install python{wanted} python{wanted}-venv   (Debian 13, Ubuntu 25.04 and later)\n"
        f"  brew install python@{wanted}\n"
        f"or set EVERSCORE_PYTHON to the path of one."
    )


def wanted_node() -> Tuple[int, ...]:
    """The oldest Node that the locked packages run on, as package-lock.json says it (`>=22.0.0`)."""
    with open(os.path.join(ROOT, "package-lock.json"), encoding="utf-8") as file:
        range_ = json.load(file)["packages"][""]["engines"]["node"]
    return tuple(int(part) for part in re.findall(r"\d+", range_))


def has_node() -> bool:
    """Whether the Node that answers on this machine is one that the locked packages run on, with npm.

    Only the first on the PATH counts, since that is the one that any other program here would start.
    """
    try:
        done = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    version = tuple(int(part) for part in re.findall(r"\d+", done.stdout)[:3])
    # Debian's package of Node comes without npm.
    return version >= wanted_node() and bool(on_path("npm"))
