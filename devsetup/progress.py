"""One step of the set-up: a quiet child process, a line of progress, its output only where it fails."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from typing import Callable, Sequence

from devsetup import ROOT
from devsetup.stop import Stop

# A step that was interrupted is made anew whatever it leaves behind, so it need not end in order.
STOP_SECONDS = 3.0


class Progress:
    """One line for a step that takes a while: a bar on a terminal, elsewhere a line when it is done."""

    def __init__(self, title: str, share: Callable[[], float]) -> None:
        self.title, self.share = title, share
        self.began = time.monotonic()
        self.live = sys.stderr.isatty()
        fancy = "utf" in (sys.stderr.encoding or "").lower()
        self.full, self.empty = ("█", "░") if fancy else ("#", "-")

    def draw(self) -> None:
        """Draws the bar anew where it stands."""
        if self.live:
            done = min(max(self.share(), 0.0), 0.99)
            bar = (self.full * round(done * 30)).ljust(30, self.empty)
            print(
                f"\r\033[K  {self.title:<28} {bar} {done:4.0%} {self.seconds():>5}",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def seconds(self) -> str:
        """The time that the step has taken so far."""
        return f"{time.monotonic() - self.began:.0f} s"

    def end(self, what: str) -> None:
        """Replaces the bar by how the step ended."""
        print(
            f"{chr(13) + chr(27) + '[K' if self.live else ''}  {self.title:<28} {what} {self.seconds():>5}",
            file=sys.stderr,
        )


def step(title: str, command: Sequence[str], share: Callable[[str], float], lock: int) -> None:
    """Runs one step of the set-up quietly; its output is shown only where it fails.

    `share` estimates from the output so far how much is done. The child inherits the lock: should this
    program be killed, no other set-up starts before that child has ended too.
    """
    env = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")

        def output() -> str:
            with open(log, errors="replace") as file:
                return file.read()

        progress = Progress(title, lambda: share(output()))
        with open(log, "wb") as out:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT, env=env, pass_fds=(lock,)
            )
        try:
            code = None
            while code is None:
                progress.draw()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = child.wait(timeout=0.3 if progress.live else None)
        except BaseException:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:  # npm goes on until it is done
                child.kill()
                child.wait()
            progress.end("interrupted")
            raise
        progress.end("failed" if code else "done")
        if code:
            sys.stderr.write("\n" + output()[-8000:].rstrip() + "\n\n")
            raise Stop(
                f"The set-up stopped at: {title} (exit code {code}; its output stands above)."
                " Typing the same command again takes it up anew.",
                1,
            )
