"""What would become of events: decoded and scored by the app's own code; nothing is sent or stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everscore.event.event import Event
from everscore.failures import Failure
from everscore_cli.properties import PropertiesOf
from everscore_cli.scoring_in_place import ScoringInPlace
from everscore_cli.sources import Line


@dataclass(slots=True)
class Refusal:
    """Events that would fail alike.

    Attributes:
        failure: of the first of them.
        line: where the first of them stands.
        count: how many they are.
    """

    failure: Failure
    line: int
    count: int = 0


class DryRun:
    """Takes events as far as their scores, and counts what would become of them."""

    def __init__(
        self, app: Path, variables: Mapping[str, str], properties_of: PropertiesOf | None = None
    ) -> None:
        """Load what the app would load.

        Args:
            app: its folder.
            variables: the settings as texts, of which only the decoder and the limits of a body matter here.
            properties_of: gives the application properties of a payload.

        Raises:
            CliError: the model is missing or unreadable.
            ManifestError: stream.json or the model's manifest is wrong.
            SettingError: there is no such decoder.
        """
        self._app = ScoringInPlace(app, variables, properties_of)
        self.has_id = self._app.has_id
        self.events = 0
        self.scored = 0
        self.first: Event | None = None
        self._refused: dict[tuple[str, str, str | None], Refusal] = {}

    @property
    def refused(self) -> list[Refusal]:
        """What would not be stored, the most frequent first."""
        return sorted(self._refused.values(), key=lambda each: -each.count)

    def take(self, lines: Sequence[Line]) -> None:
        """Try some events."""
        for line, event in self._app.events(lines):
            self.events += 1
            self.first = self.first or event
            if event.failure is None:
                self.scored += 1
                continue
            failure = event.failure
            key = (str(failure.stage), failure.reason, failure.field)
            self._refused.setdefault(key, Refusal(failure, line)).count += 1

    def as_json(self) -> dict[str, Any]:
        """What was found, for ``--json``."""
        item = self.first.item if self.first else None
        return {
            "events": self.events,
            "scored": self.scored,
            "first": None
            if item is None
            else {
                "id": item.id if self.has_id else None,
                "pk": item.pk,
                "time": item.time,
                "scores": {
                    name: {"label": score.label, "value": score.value, "values": score.values}
                    for name, score in (item.scores or {}).items()
                }
                | {name: {"error": reason} for name, reason in (item.unscored or {}).items()},
            },
            "refused": [
                {
                    "stage": str(each.failure.stage),
                    "reason": each.failure.reason,
                    "field": each.failure.field,
                    "detail": each.failure.detail,
                    "line": each.line,
                    "count": each.count,
                }
                for each in self.refused
            ],
        }
