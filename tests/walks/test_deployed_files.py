"""What .funcignore leaves of the project is the app, and nothing else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pathspec
import pytest

ROOT = Path(__file__).resolve().parents[2]
LINES = (ROOT / ".funcignore").read_text(encoding="utf-8").splitlines()

Ignores = Callable[[str], bool]


def as_azd_reads_it(lines: list[str]) -> Ignores:
    """By the rules of .gitignore, which azd goes by (Azure/azure-dev#4381)."""
    return pathspec.GitIgnoreSpec.from_lines(lines).match_file


def as_core_tools_reads_it(lines: list[str]) -> Ignores:
    """As prefixes of the path, as Core Tools' GitIgnoreParser.cs does: ** is `.+`, * is `[^/]+`, ! wins."""
    kept: list[str] = []
    left_out: list[str] = []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            pattern = re.escape(line.strip().removeprefix("!").removeprefix("/"))
            pattern = pattern.replace(r"\*\*", "(.+)").replace(r"\*", "([^/]+)")
            (kept if line.startswith("!") else left_out).append(pattern)
    accepts, denies = (re.compile("|".join(f"(?:{one})" for one in some)) for some in (kept, left_out))
    return lambda path: accepts.match(path) is None and denies.match(path) is not None


def is_deployed(path: str) -> bool:
    """What the app needs in Azure."""
    if path in {"function_app.py", "host.json", "stream.json", "requirements.txt"}:
        return True
    if path.startswith(("everscore/", "function_app/")):
        return True
    return (
        re.fullmatch(r"models/[^/]+/(manifest\.json|model\.onnx|golden\.jsonl|features\.py)", path)
        is not None
    )


@pytest.mark.parametrize("reader", [as_azd_reads_it, as_core_tools_reads_it])
def test_exactly_the_app_is_deployed(reader: Callable[[list[str]], Ignores]) -> None:
    """Of all files in the repository, both programs that read .funcignore deploy exactly the app's."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    ignores = reader(LINES)
    files = listed.stdout.splitlines()
    assert {"host.json", "requirements.txt", "everscore/config/settings.py"} < set(files)
    deployed = {path for path in files if not ignores(path)}
    assert deployed == {path for path in files if is_deployed(path)}


@pytest.mark.parametrize("reader", [as_azd_reads_it, as_core_tools_reads_it])
@pytest.mark.parametrize(
    "path",
    [
        "local.settings.json",
        ".everscore/stack.json",
        ".azure/my-dev/.env",
        ".venv/bin/python",
        "node_modules/azurite/package.json",
        "everscore/__pycache__/settings.cpython-313.pyc",
        "everscore/adapters/__pycache__/cosmos.cpython-313.pyc",
        ".git/config",
    ],
)
def test_nothing_of_this_machine_is_deployed(reader: Callable[[list[str]], Ignores], path: str) -> None:
    """Settings, state and what the set-up made never leave this machine, though git does not list them."""
    assert reader(LINES)(path)


@pytest.mark.parametrize(
    "path",
    ["local.settings.json", ".everscore/stack.json", ".azure/my-dev/.env", ".venv/x", "node_modules/x"],
)
def test_nothing_of_this_machine_is_committed(path: str) -> None:
    """The same are left out of git."""
    assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("reader", [as_azd_reads_it, as_core_tools_reads_it])
def test_what_git_leaves_out_is_not_deployed(reader: Callable[[list[str]], Ignores]) -> None:
    """No line of .gitignore was forgotten here: caches, state of the local stack, what azd keeps."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    names = [line.strip("/").replace("*", "x") for line in lines if line and not line.startswith("#")]
    assert len(names) > 10
    ignores = reader(LINES)
    assert [name for name in names if not ignores(name if "." in name else f"{name}/file")] == []
