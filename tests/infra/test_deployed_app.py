"""The package that would be deployed: built by .funcignore, it runs by itself and passes the smoke."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pathspec
import pytest

from everscore.event.stream import load_stream
from everscore_local.stack import SERVICES
from tests.support.services import ROOT, part

if TYPE_CHECKING:
    from tests.conftest import StartStack

ALLOWED = re.compile(
    r"function_app\.py|host\.json|stream\.json|requirements\.txt"
    r"|function_app/\w+\.py"
    r"|everscore/(?:\w+/)?\w+\.(?:py|json)|everscore/schemas/[\w.-]+\.json|everscore/py\.typed"
    r"|models/\w+/(?:manifest\.json|model\.onnx|features\.py|golden\.jsonl)"
)
# Far below what Azure takes; a model that makes it larger has a reason.
LARGEST_BYTES = 5_000_000


def package(target: Path) -> list[str]:
    """Zip this folder as azd does: what is on the disk, without what .funcignore names; returns the files."""
    lines = (ROOT / ".funcignore").read_text(encoding="utf-8").splitlines()
    ignores = pathspec.GitIgnoreSpec.from_lines(lines)
    files = []
    for folder, folders, names in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        folders[:] = sorted(name for name in folders if not ignores.match_file(f"{here / name}/"))
        files += [str(here / name) for name in sorted(names) if not ignores.match_file(str(here / name))]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(ROOT / file, file)
    return files


def environment_of_the_app(folder: Path) -> Path:
    """A Python with what requirements.txt names, and nothing else."""
    uv = [sys.executable, "-m", "uv"]
    base = Path(sys.executable).resolve()
    subprocess.run(
        [*uv, "venv", "--quiet", "--no-python-downloads", "--python", str(base), str(folder)], check=True
    )
    python = folder / "bin" / "python"
    install = [
        *uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        str(python),
        "--requirements",
        "requirements.txt",
    ]
    subprocess.run(install, cwd=ROOT, check=True)
    return python


def test_the_package_runs_by_itself(
    tmp_path: Path, start_stack: StartStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """From an empty folder, on a Python with requirements.txt alone, it scores the sample that the smoke sends."""
    archive = tmp_path / "app.zip"
    files = package(archive)
    size = archive.stat().st_size
    with capsys.disabled():
        print(f"\nThe package has {len(files)} files and {size:,} bytes.")
    assert [file for file in files if not ALLOWED.fullmatch(file)] == []
    assert {
        "function_app/__init__.py",
        "everscore/flow/score_events.py",
        "host.json",
        "requirements.txt",
    } <= set(files)
    assert size < LARGEST_BYTES

    app = tmp_path / "app"
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(app)
    python = environment_of_the_app(tmp_path / "python")
    stack = start_stack(parts=SERVICES)
    values = stack.settings()
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"Values": {**values, "FUNCTIONS_WORKER_RUNTIME": "python"}}))
    host = ("--app", str(app), "--port", "0", "--settings", str(settings), "--python", str(python))
    with part("functions", tmp_path, *host) as running:
        assert set(running.ready["functions"]) == {
            "score_events",
            "retry_events",
            "housekeeping",
            "health",
            "health_details",
        }
        url = f"http://127.0.0.1:{running.ready['port']}"
        smoke = subprocess.run(
            [sys.executable, str(ROOT / "infra/hooks/smoke.py")],
            env={**os.environ, **values, "EVERSCORE_APP_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
    assert smoke.returncode == 0, smoke.stderr
    sample = ROOT / "models" / load_stream(ROOT / "stream.json").models[0].name / "sample.jsonl"
    count = len(sample.read_text(encoding="utf-8").splitlines())
    assert smoke.stderr == f"{count} events came through; the app is well.\n"
