"""What became of a batch: counts for logs, metrics and the status blob."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Summary:
    """Counts of one invocation.

    Attributes:
        received: events that came in; a body of several records counts each.
        stored, superseded, queued, dead_lettered: where they are now.
        braked: of the queued, those that the brake sent there.
        request_units: that the writes cost.
        reasons: failures by ``stage: reason``.
    """

    received: int = 0
    stored: int = 0
    superseded: int = 0
    queued: int = 0
    dead_lettered: int = 0
    braked: int = 0
    request_units: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        parts = [f"{self.received} events", f"{self.stored} stored"]
        parts += [
            f"{count} {what}"
            for count, what in (
                (self.superseded, "superseded"),
                (self.queued, "to retry"),
                (self.braked, "braked"),
                (self.dead_lettered, "dead-lettered"),
            )
            if count
        ]
        worst = ", ".join(f"{reason} ({count})" for reason, count in self.reasons.most_common(3))
        return ", ".join(parts) + (f": {worst}" if worst else "")
