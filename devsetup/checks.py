"""Several programs that check the project, run at once; what a failing one said is printed in one piece."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import Dict, List, NamedTuple, Sequence

from devsetup import ROOT


class Check(NamedTuple):
    """One program, and whether its output is shown as it comes; else it is shown only where it fails."""

    name: str
    command: List[str]
    live: bool = False


class _Running:
    """A check under way, waited for by a thread of its own."""

    printing = threading.Lock()

    def __init__(self, check: Check, environment: Dict[str, str]) -> None:
        self.check = check
        self.began = time.monotonic()
        self.seconds = 0.0
        self.interrupted = False
        out = None if check.live else subprocess.PIPE
        err = None if check.live else subprocess.STDOUT
        self.child = subprocess.Popen(check.command, cwd=ROOT, env=environment, stdout=out, stderr=err)
        self.thread = threading.Thread(target=self._wait)
        self.thread.start()

    def interrupt(self, number: int) -> None:
        """Ctrl-C on a terminal reached the program too, which ends by itself; SIGTERM is passed on to it."""
        self.interrupted = True
        if number == signal.SIGTERM:
            self.child.terminate()

    def _wait(self) -> None:
        said = self.child.communicate()[0] or b""
        self.seconds = time.monotonic() - self.began
        if said and self.child.returncode and not self.interrupted:
            with self.printing:
                # What pytest writes may stand in the middle of a line.
                sys.stdout.write(f"\n{self.check.name} failed:\n{said.decode(errors='replace')}\n")
                sys.stdout.flush()

    def row(self) -> str:
        """What came of it, once its thread has ended."""
        code = self.child.returncode
        outcome = "passed" if code == 0 else f"FAILED ({code})"
        return f"  {self.check.name:<14} {self.seconds:6.1f} s   {outcome}"


def run_checks(checks: Sequence[Check], environment: Dict[str, str]) -> int:
    """Runs all of them, whatever the outcome of one, then prints a line for each; 1 if any failed, else 0.

    They share the machine's cores: most of the time that the tests take goes by with waiting, and the type
    checker uses one core.
    """
    running: List[_Running] = []
    signals: List[int] = []

    def interrupt(number: int, _: object) -> None:
        signals.append(number)
        for each in running:
            each.interrupt(number)

    for expected in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(expected) != signal.SIG_IGN:
            signal.signal(expected, interrupt)
    for check in checks:
        running.append(_Running(check, environment))
        for came in signals:  # while this one was being started
            running[-1].interrupt(came)
    for each in running:
        each.thread.join()
    print()
    for each in running:
        print(each.row())
    return 1 if any(each.child.returncode for each in running) else 0
