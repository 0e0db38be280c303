"""The checks of `make lint` and `make test`: run at once, each heard in one piece, none overlooked."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def start(checks: str) -> subprocess.Popen[str]:
    """These checks, in a process group of their own as on a terminal."""
    code = f"""
        import os, sys
        from devsetup.checks import Check, run_checks
        sys.exit(run_checks([{checks}], dict(os.environ)))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def check(name: str, script: str, live: bool = False) -> str:
    """A check as `start` takes it, a script of sh."""
    return f"Check({name!r}, ['/bin/sh', '-c', {script!r}], live={live})"


def outcome(running: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and all output."""
    said = running.communicate()[0]
    return running.returncode, said


@pytest.mark.parametrize("failing", ["types", "pytest"])
def test_one_that_fails_fails_all_and_the_others_run_on(failing: str):
    """Whichever fails, the exit code is 1, every one has its line, and only the failing one's output is shown."""
    codes = {"style": 0, "types": 0, "pytest": 0} | {failing: 3}
    checks = ", ".join(
        check(name, f"echo of {name} 1; echo of {name} 2; exit {code}", live=name == "pytest")
        for name, code in codes.items()
    )
    code, said = outcome(start(checks))
    assert code == 1
    assert set(re.findall(r"of (\w+) [12]", said)) == {failing, "pytest"}
    if failing == "types":  # what is shown as it comes may lie around it
        assert "types failed:\nof types 1\nof types 2\n" in said
    rows = dict(re.findall(r"^  (\w+) +[\d.]+ s   (.*)$", said, re.MULTILINE))
    assert rows == {name: "FAILED (3)" if name == failing else "passed" for name in codes}


def test_all_that_pass_are_a_line_each():
    """Where all pass the exit code is 0, and what they said is not repeated."""
    code, said = outcome(start(", ".join(check(name, "echo all well") for name in ("style", "types"))))
    assert code == 0
    assert [line.split()[0] for line in said.split("\n") if line] == ["style", "types"]


def test_they_run_at_the_same_time(tmp_path: Path):
    """Each waits for the other's word: one after the other, the first would never end."""
    for name in ("one", "other"):
        os.mkfifo(tmp_path / name)
    one = check("one", f"echo > {tmp_path}/one; read -r _ < {tmp_path}/other")
    other = check("other", f"read -r _ < {tmp_path}/one; echo > {tmp_path}/other")
    code, said = outcome(start(f"{one}, {other}"))
    assert code == 0, said


def test_the_output_of_one_is_in_one_piece():
    """Two that fail, each writing line after line: their lines are not mixed."""
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo {0} $i; sleep 0.01; done; exit 1"
    checks = ", ".join(check(name, script.format(name)) for name in ("one", "two"))
    _, said = outcome(start(checks))
    for name in ("one", "two"):
        assert f"{name} failed:\n" + "".join(f"{name} {i}\n" for i in range(1, 10)) in said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_them(tmp_path: Path, how: signal.Signals):
    """Ctrl-C, which a terminal sends to all, and SIGTERM, which comes to one alone, leave nothing running."""
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    running = start(", ".join(check(name, f"echo {name} > {fifo}; exec sleep 1000") for name in ("a", "b")))
    started = ""
    while not {"a", "b"} <= set(started):
        started += fifo.read_text()
    if how == signal.SIGINT:
        os.killpg(running.pid, how)
    else:
        running.send_signal(how)
    code, said = outcome(running)
    assert code == 1
    assert said.count(f"FAILED (-{how.value})") == 2, said
