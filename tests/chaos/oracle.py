"""What a run without faults would have stored: the pipeline's own decoder and model, in this process, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everscore.decode.decoder import Decoder
from everscore.event.item import Item, Source
from everscore.event.stream import load_stream
from everscore.score.loading import load_model
from everscore.score.used_models import LoadedModels
from everscore.store.documents import build

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Expected:
    """One record as it should be stored.

    Attributes:
        index: of the record in its event's body.
        pk, id, time: its identity and time.
        body: its bytes, as a dead letter must hold them.
        event, scores: of its document.
        reason: why it should be a dead letter instead; empty: it should be stored.
    """

    index: int
    pk: str = ""
    id: str = ""
    time: str = ""
    body: bytes = b""
    event: Any = None
    scores: Any = None
    reason: str = ""


class Oracle:
    """Knows the end of every event of an app.

    Args:
        app: its folder, for stream.json.
        model: the folder of the model that scores; by default the app's.
    """

    def __init__(self, app: Path, model: Path | None = None) -> None:
        stream = load_stream(app / "stream.json")
        self._decoder = Decoder(stream)
        self._models = (
            LoadedModels.load(stream, app / "models")
            if model is None
            else LoadedModels([(load_model(model), True)])
        )

    def of(self, bodies: Sequence[tuple[bytes, Source, dict[str, Any]]]) -> list[list[Expected]]:
        """The records of each event, in order; each body with its source and application properties."""
        decoded = [
            self._decoder.decode([Item(body=body, source=source, properties=properties or None)])
            for body, source, properties in bodies
        ]
        scored = iter(
            self._models.score(
                [event.payload for events in decoded for event in events if event.failure is None]
            )
        )
        found: list[list[Expected]] = []
        for events in decoded:
            records = []
            for event in events:
                item = event.item
                index = item.source.index
                if event.failure is not None:
                    records.append(Expected(index, body=item.body, reason=event.failure.reason))
                    continue
                outcome = next(scored)
                if outcome.failure is not None:
                    records.append(Expected(index, body=item.body, reason=outcome.failure.reason))
                    continue
                item.unscored = outcome.unscored or None
                document = build(event, outcome.scores, "")
                records.append(
                    Expected(
                        index,
                        document["pk"],
                        document["id"],
                        document["time"],
                        item.body,
                        document["event"],
                        document["scores"],
                    )
                )
            found.append(records)
        return found
