"""The coverage-guided fuzzer: its corpus, and a short run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.target import KINDS, Target
from tests.support.services import ROOT

# Starts a program while it holds so many MB.
LARGE_CALLER = """
import subprocess, sys
held = b"1" * (int(sys.argv[1]) << 20)
sys.exit(subprocess.call(sys.argv[2:]))
"""
CORPUS = sorted((ROOT / "tests" / "fuzz" / "corpus").iterdir())


def test_the_corpus_breaks_no_promise() -> None:
    """Each input that a run began from or found ends as promised, on any machine."""
    target = Target()
    try:
        for file in CORPUS:
            target(file.read_bytes())
    finally:
        target.close()
    assert {file.read_bytes()[0] for file in CORPUS} >= set(KINDS)


def test_some_fuzzing_breaks_no_promise(tmp_path: Path) -> None:
    """`python -m tests.fuzz` begins with the corpus, reaches branches that it does not, and finds nothing.

    Its caller holds more than it may take, as pytest does after other tests: that is none of its own.
    """
    pytest.importorskip("atheris", reason="atheris has releases for Linux on x86-64 alone")
    command = [
        sys.executable,
        "-c",
        LARGE_CALLER,
        "300",
        sys.executable,
        "-m",
        "tests.fuzz",
        "--memory",
        "256",
    ]
    command += ["--seconds", "600", "--runs", str(20 * len(CORPUS)), "--seed", "1", "--found", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CORPUS)} files found in" in done.stderr
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert runs is not None
    assert int(runs[1]) >= 20 * len(CORPUS)
    assert any(tmp_path.iterdir())


def test_a_finding_can_be_judged_again(tmp_path: Path) -> None:
    """`--input` judges one file, and says that it breaks nothing."""
    pytest.importorskip("atheris", reason="atheris has releases for Linux on x86-64 alone")
    (tmp_path / "input").write_bytes(b"o?{")
    command = [sys.executable, "-m", "tests.fuzz", "--input", str(tmp_path / "input")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "No promise is broken.\n", done.stderr
