"""Decodes and scores events as the app would, in this process; nothing is sent or stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from everscore.clock import times
from everscore.config.settings import Settings
from everscore.decode.bodies import BodyLimits
from everscore.decode.decoder import Decoder
from everscore.event.event import Event
from everscore.event.item import Item, Source
from everscore.score.manifest import Manifest
from everscore_cli.app_checks import check_app, check_decoder
from everscore_cli.properties import PropertiesOf
from everscore_cli.sources import Line

_LIMITS = ("decompressed_limit_mib", "body_limit_records")


class ScoringInPlace:
    """The app's decoder and models.

    Args:
        app: its folder.
        variables: the settings as texts, of which only the decoder and the limits of a body matter here.
        properties_of: gives the application properties of a payload.

    Raises:
        CliError: a model is missing or unreadable.
        ManifestError: stream.json or a model's manifest is wrong.
        SettingError: there is no such decoder.
    """

    def __init__(
        self, app: Path, variables: Mapping[str, str], properties_of: PropertiesOf | None = None
    ) -> None:
        stream, self._models = check_app(app)
        hook = check_decoder(app, variables)
        mib, records = (_number(variables, name) for name in _LIMITS)
        self._decoder = Decoder(stream, limits=BodyLimits(mib << 20, records), hook=hook)
        self._properties_of = properties_of
        self._now = times.milliseconds_text(times.now())
        self.has_id = stream.manifest.id is not None

    @property
    def manifests(self) -> list[tuple[Manifest, bool]]:
        """Of the models, each with whether it is required."""
        return self._models.manifests

    def events(self, lines: Sequence[Line]) -> list[tuple[int, Event]]:
        """The events of some lines, each with the number of its line; each has scores or a failure."""
        decoded = self._decoder.decode([self._item(line) for line in lines])
        ready = [event for event in decoded if event.failure is None]
        outcomes = self._models.score([event.payload for event in ready])
        for event, outcome in zip(ready, outcomes, strict=True):
            event.failure = outcome.failure
            event.item.scores, event.item.unscored = outcome.scores, outcome.unscored or None
        return [((event.item.source.sequence_number or 0) + 1, event) for event in decoded]

    def _item(self, line: Line) -> Item:
        source = Source(partition="0", sequence_number=line.number - 1, enqueued_at=self._now)
        properties = self._properties_of(line.value) if self._properties_of else None
        return Item(body=line.body, source=source, properties=properties)


def _number(variables: Mapping[str, str], name: str) -> int:
    given = variables.get(name.upper(), "")
    return int(given) if given.isdecimal() else int(Settings.model_fields[name].default)
