"""The progress of a run as bars on the terminal."""

from __future__ import annotations

import time

from rich.progress import Progress as RichProgress
from rich.progress import TaskID

from everscore_cli.demo.course import Progress
from everscore_cli.demo.drain import Waiting

_LABELS = {"steady": "sent at a steady rate", "full": "sent at full speed"}


def tell(bars: RichProgress, step: str) -> None:
    """Print a step as a line where there is no terminal: bars are not drawn there until the end."""
    if not bars.console.is_terminal:
        bars.console.print(step)


class Bars(Progress):
    """One bar for each phase of sending, one for the store, one for the drain."""

    def __init__(self, bars: RichProgress, documents: int) -> None:
        self._bars = bars
        self._documents = documents
        self._phases: dict[str, tuple[TaskID, float, int]] = {}
        self._stored: TaskID | None = None
        self._waiting: TaskID | None = None
        self._most = 0
        self._last: tuple[float, int] | None = None

    def begin(self, phase: str, total: int) -> None:
        """A bar for a phase of sending."""
        tell(self._bars, f"sending{_LABELS[phase].removeprefix('sent')}: {total:,} events")
        self._phases[phase] = (self._bars.add_task(_LABELS[phase], total=total, rate=""), time.monotonic(), 0)

    def sent(self, phase: str, count: int) -> None:
        """The bar goes on."""
        task, began, before = self._phases[phase]
        total = before + count
        self._phases[phase] = (task, began, total)
        speed = total / max(time.monotonic() - began, 1e-9)
        self._bars.update(task, completed=total, rate=f"{speed:,.0f} events/s")

    def stored(self, documents: int) -> None:
        """The bar of the store, with the speed since the last look."""
        if self._stored is None:
            self._stored = self._bars.add_task("scored and stored", total=self._documents, rate="")
        now = time.monotonic()
        speed = ""
        if self._last is not None and now > self._last[0] and documents > self._last[1]:
            speed = f"{(documents - self._last[1]) / (now - self._last[0]):,.0f} events/s"
        self._last = (now, documents)
        self._bars.update(self._stored, completed=documents, rate=speed)

    def throttled(self, seconds: float) -> None:
        """A line above the bars."""
        self._bars.print(
            f"Cosmos DB is throttled for {seconds:.0f} s: what it refuses goes to the retry queue."
        )

    def waiting(self, waiting: Waiting) -> None:
        """The bar of what drains."""
        self._most = max(self._most, waiting.total)
        if self._waiting is None:
            self._waiting = self._bars.add_task("drained", total=self._most, rate="")
            tell(self._bars, "waiting until nothing is on its way any more")
        rate = f"{waiting.lag:,} in the hub, {waiting.retry + waiting.poison:,} messages queued"
        done = self._most - waiting.total
        self._bars.update(
            self._waiting, total=max(self._most, 1), completed=done if self._most else 1, rate=rate
        )
