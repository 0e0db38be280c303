"""How far a group has come: a bar on a terminal, and elsewhere a line now and then, as in the log of a build."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import Progress, TaskID

LINE_SECONDS = 30.0


class Teller:
    """Tells of one group.

    Args:
        console: where the lines go if it is no terminal.
        bars: a bar is added to them.
        group: the group's name.
    """

    def __init__(self, console: Console, bars: Progress, group: str) -> None:
        self._console = console
        self._bars = bars
        self._group = group
        self._task: TaskID = bars.add_task(group, total=None, what="")
        self._told_at = time.monotonic()
        self._line("begins")

    def say(self, what: str) -> None:
        """Tell what the group does."""
        self._bars.update(self._task, what=what)
        if time.monotonic() - self._told_at >= LINE_SECONDS:
            self._line(what)

    def end(self, seconds: float, *, good: bool) -> None:
        """Tell that the group has ended, after how long, and whether all of it was good."""
        self._bars.update(self._task, total=1, completed=1, what=f"{seconds:.0f} s")
        self._line(f"{'good' if good else 'NOT GOOD'} after {seconds:.0f} s")

    def _line(self, what: str) -> None:
        self._told_at = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(f"{self._group}: {what}", highlight=False, soft_wrap=True)
