"""The findings can be run by whoever reads of them: listed, pinned, of no one machine. What they find is not run here."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

FINDINGS = Path(__file__).resolve().parents[2] / "findings"
SCRIPTS = sorted(FINDINGS.glob("*.sh"))
PAGE = (FINDINGS / "README.md").read_text(encoding="utf-8")
LISTED = re.compile(r"^\| \[([\w.-]+)\]\(\1\) \|", re.MULTILINE)
PIN = {"pip": re.compile(r"[a-z0-9-]+==[0-9][\w.]*"), "npm": re.compile(r"@?[a-z0-9/-]+@[0-9][\w.]*")}
OPTIONS_WITH_VALUES = {"--prefix"}

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def installed(text: str) -> list[tuple[str, str]]:
    """What a script installs: the installer and, word for word, each package."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        called = re.match(r'"\$scratch/venv/bin/(pip|npm)" install (.*?)\s*>', line)
        if called:
            words = iter(shlex.split(called[2]))
            for word in words:
                if word in OPTIONS_WITH_VALUES:
                    next(words)
                elif not word.startswith("-"):
                    found.append((called[1], word))
    return found


def test_every_finding_is_listed():
    """The page lists the scripts, each once, and no other."""
    assert len(SCRIPTS) >= 3
    assert LISTED.findall(PAGE) == [script.name for script in SCRIPTS]
    assert {path.name for path in FINDINGS.iterdir()} == {"README.md", *(script.name for script in SCRIPTS)}


@each_script
def test_a_finding_can_be_run(script: Path):
    """It is executable and bash can read it."""
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@each_script
def test_a_finding_pins_what_it_installs(script: Path):
    """Every package has one exact version, and the lines at the top name that version."""
    text = script.read_text(encoding="utf-8")
    packages = installed(text)
    assert packages
    assert len(re.findall(r"\b(?:pip|npm)\"? install\b", text)) == len({name for name, _ in packages})
    head = text.partition("\nset -euo pipefail\n")[0]
    assert [word for name, word in packages if not PIN[name].fullmatch(word)] == []
    versions = [re.split("==|(?<=.)@", word)[1] for _, word in packages]
    assert [version for version in versions if version not in head] == []


@each_script
def test_a_finding_is_of_no_one_machine(script: Path):
    """It names no host but loopback, no registry, no folder of a machine, and nothing of this project."""
    text = script.read_text(encoding="utf-8")
    assert set(re.findall(r"://([^/:\s\"'`]+)", text)) <= {"127.0.0.1"}
    assert re.findall(r"index-url|--registry|find-links|pypi|npmjs|git\+", text) == []
    assert re.findall(r"(?<![\w.}])/(?:home|root|work|tmp|Users|opt)\b", text) == []
    assert "everscore" not in text.lower()
