#!/usr/bin/env python3
"""Sets this folder up and runs one of its commands: `python3 dev.py TARGET [arguments]`.

Needs nothing but a Python of 3.8 or later to run; the project itself gets Python 3.13, wherever this
machine keeps it, in `.venv`, and Node's packages in `node_modules`. Only what changed since the last time
is installed again. Every target of the Makefile is an alias of one here.
"""

from __future__ import annotations

import glob
import os
import shutil
import signal
import subprocess
import sys
from typing import Callable, List, NamedTuple, NoReturn, Optional, Sequence

if os.name == "nt":  # before the imports below, which know no native Windows
    sys.exit(
        "Everscore runs on Linux and macOS; on Windows type this inside WSL 2 (`wsl --install` sets it up)."
    )

from devsetup import ROOT
from devsetup.checks import Check, run_checks
from devsetup.install import VENV, VENV_PYTHON, only_one, set_up
from devsetup.interpreters import PYTHON
from devsetup.stop import Stop

RUNNING = ("requirements.txt", "requirements-local.txt")
DEVELOPING = (*RUNNING, "requirements-dev.txt", "models/requirements.txt")
# In this order: each is resolved under the constraints of those before it.
LOCKED = (
    "requirements",
    "requirements-local",
    "models/requirements",
    "requirements-dev",
    "requirements-node",
)


def call(command: Sequence[str]) -> int:
    """Runs a program of the virtual environment in this folder."""
    child = subprocess.Popen(command, cwd=ROOT)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # the child has it too: it stops what it started, then ends


def python(*arguments: str) -> List[str]:
    """The command that runs these arguments with the project's Python."""
    return [VENV_PYTHON, *arguments]


def everscore(*arguments: str) -> NoReturn:
    """Becomes the `everscore` command: signals and the exit code are its own."""
    sys.stdout.flush()
    program = os.path.join(VENV, "bin", "everscore")
    os.execv(program, [program, *arguments])


LINT = (
    Check("ruff check", python("-m", "ruff", "check")),
    Check("ruff format", python("-m", "ruff", "format", "--check")),
    Check("mypy", python("-m", "mypy")),
    Check("lint-imports", [os.path.join(VENV, "bin", "lint-imports")]),
)


def test(arguments: Sequence[str]) -> int:
    """All checks and all tests; arguments go to pytest."""
    # A file's tests stay together on one worker: they share its servers. Five workers even on two cores,
    # since more than half of a test's time goes by with waiting for servers. What takes longest comes first,
    # so that no worker ends long before the others.
    pytest = python("-m", "pytest", "-q", "-n", "5", "--dist", "loadfile", "--no-loadscope-reorder")
    folders = [
        path
        for path in glob.glob(os.path.join(ROOT, "tests", "*"))
        if glob.glob(f"{path}/**/test_*.py", recursive=True)
    ]
    folders.sort(key=lambda path: (path.endswith("unit"), not path.endswith("walks"), path))
    # Without bytecode, each worker would rewrite every test's assertions anew, and each of the hundreds of
    # processes that the tests start would compile the project anew: a tenth of the time.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return run_checks([*LINT, Check("pytest", [*pytest, *(arguments or folders)], live=True)], environment)


def lint(_: Sequence[str]) -> int:
    """Style, types and the dependencies between the packages."""
    return run_checks(LINT, dict(os.environ))


def tidy(_: Sequence[str]) -> int:
    """Formats the code and fixes what ruff can fix."""
    return call(python("-m", "ruff", "check", "--fix")) or call(python("-m", "ruff", "format"))


TRAIN = ("-m", "everscore_models", "train")


def model(arguments: Sequence[str]) -> int:
    """Trains a model, the two of the example where none is named, exports and checks it."""
    trainings = [arguments] if arguments else [["flights"], ["unusual"]]
    return next((code for each in trainings if (code := call(python(*TRAIN, *each)))), 0)


def chaos(arguments: Sequence[str]) -> int:
    """Events through the whole stack while faults run; arguments go to the harness."""
    return call(python("-m", "tests.chaos", *arguments))


def lock_requirements(arguments: Sequence[str]) -> int:
    """Pins requirements*.txt anew; `--upgrade` takes newer releases."""
    for name in LOCKED:
        command = python("-m", "uv", "pip", "compile", "--quiet", "--universal", "--no-header")
        style = [] if name == "requirements" else ["--no-annotate"]
        version = "%d.%d" % PYTHON
        code = call(
            [*command, *style, "--python-version", version, *arguments, f"{name}.in", "-o", f"{name}.txt"]
        )
        if code:
            return code
    return 0


def nothing_more(_: Sequence[str]) -> int:
    """Installs everything, for running and for developing."""
    return 0


def clean(_: Sequence[str]) -> int:
    """Removes what the set-up and the tools made; the stack's state in .everscore stays."""
    with only_one():
        for pattern in (".venv", "node_modules", "*.egg-info", "build", ".*_cache", ".hypothesis"):
            for path in glob.glob(os.path.join(ROOT, pattern)):
                shutil.rmtree(path)
    return 0


class Target(NamedTuple):
    """What a target needs and does; one without `action` is a command of `everscore`."""

    help: str
    files: Sequence[str] = RUNNING
    node: bool = True
    action: Optional[Callable[[Sequence[str]], int]] = None


TARGETS = {
    "run": Target("20,000 real flights through the whole pipeline, on a stack of their own"),
    "test": Target("all checks and tests", DEVELOPING, True, test),
    "up": Target("start the local stack and the function app"),
    "services": Target("start the stand-ins alone, for Azure Functions Core Tools"),
    "status": Target("what runs, what waits, what is stored"),
    "down": Target("stop the local stack"),
    "chaos": Target("events under faults of every kind, each accounted for", DEVELOPING, True, chaos),
    "model": Target("train the flights' model, export and check it", DEVELOPING, False, model),
    "lint": Target("style, types and the dependencies between the packages", DEVELOPING, False, lint),
    "format": Target("format the code", DEVELOPING, False, tidy),
    "setup": Target("install everything, for running and for developing", DEVELOPING, True, nothing_more),
    "lock": Target("pin requirements*.txt anew", DEVELOPING, False, lock_requirements),
    "clean": Target("remove .venv, node_modules and caches", (), False, clean),
}


def main(arguments: Sequence[str]) -> int:
    """Runs one target and returns its exit code."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print("python3 dev.py TARGET [arguments]\n")
        print("\n".join(f"  {name:<10} {target.help}" for name, target in TARGETS.items()))
        return 0
    name, *rest = arguments
    target = TARGETS.get(name)
    if target is None:
        raise Stop(f"There is no target {name!r}; there are: {', '.join(TARGETS)}.")
    if target.files:
        set_up(target.files, target.node, target.files == DEVELOPING)
    if target.action is None:
        everscore(name, *rest)
    return target.action(rest)


def terminated(*_: object) -> NoReturn:
    """Ends the set-up in good order, with its child."""
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminated)
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.code)
    except KeyboardInterrupt:
        print("Interrupted. Typing the same command again takes it up anew.", file=sys.stderr)
        sys.exit(130)
