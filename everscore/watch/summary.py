"""What became of a batch: counts for logs, metrics and the status blob."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from everscore.event.item import Item


@dataclass(slots=True)
class Summary:
    """Counts of one invocation.

    Attributes:
        received: events that came in; a body of several records counts each.
        stored, superseded, queued, dead_lettered: where they are now.
        braked: of the queued, those that the brake sent there.
        clock_ahead: of the stored and the superseded, those whose time is not believed.
        request_units: that the writes cost.
        reasons: failures by ``stage: reason``.
        retried, letters: the queued and the dead-lettered by stage and reason.
        oldest_queued_at: of the queued, when the one that waits longest entered the queue.
    """

    received: int = 0
    stored: int = 0
    superseded: int = 0
    queued: int = 0
    dead_lettered: int = 0
    braked: int = 0
    clock_ahead: int = 0
    request_units: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    retried: Counter[tuple[str, str]] = field(default_factory=Counter)
    letters: Counter[tuple[str, str]] = field(default_factory=Counter)
    oldest_queued_at: str | None = None

    def queue(self, item: Item) -> None:
        """Count an event that is in the retry queue."""
        self.queued += 1
        self.retried[item.stage or "", item.reason or ""] += 1
        if item.queued_at and (self.oldest_queued_at is None or item.queued_at < self.oldest_queued_at):
            self.oldest_queued_at = item.queued_at

    def bury(self, item: Item) -> None:
        """Count an event that is a dead letter."""
        self.dead_lettered += 1
        self.letters[item.stage or "", item.reason or ""] += 1

    def __str__(self) -> str:
        parts = [f"{self.received} events", f"{self.stored} stored"]
        parts += [
            f"{count} {what}"
            for count, what in (
                (self.superseded, "superseded"),
                (self.queued, "to retry"),
                (self.braked, "braked"),
                (self.dead_lettered, "dead-lettered"),
                (self.clock_ahead, "dated ahead of their enqueuing"),
            )
            if count
        ]
        worst = ", ".join(f"{reason} ({count})" for reason, count in self.reasons.most_common(3))
        return ", ".join(parts) + (f": {worst}" if worst else "")
