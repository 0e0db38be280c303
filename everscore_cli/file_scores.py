"""Scores of the events of a file: by the app's own code, in batches, without a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import batched
from pathlib import Path
from typing import Protocol

from everscore.failures import Failure
from everscore.score.loading import load_named
from everscore_cli.errors import CliError
from everscore_cli.scoring_in_place import ScoringInPlace
from everscore_cli.sources import Line
from everscore_models.tables.writing import ScoreColumns, ScoredRow, columns_of

BATCH = 256
"""Events of one call of a model: as many as a batch of the hub usually has."""


class Scorer(Protocol):
    """Scores the lines of a file.

    Attributes:
        columns: of the models' scores.
        has_id: whether the rows have ids.
    """

    columns: list[ScoreColumns]
    has_id: bool

    def score(self, lines: Sequence[Line]) -> list[ScoredRow]:
        """What becomes of each event, one row or more a line."""


class AppScorer:
    """As the app would: stream.json, the decoder and all models.

    Args:
        app: what decodes and scores.
    """

    def __init__(self, app: ScoringInPlace) -> None:
        self._app = app
        self.has_id = app.has_id
        self.columns = [columns_of(manifest, required=required) for manifest, required in app.manifests]

    def score(self, lines: Sequence[Line]) -> list[ScoredRow]:
        """What becomes of each event; a body of several records gives several rows."""
        rows = []
        for number, event in self._app.events(lines):
            item = event.item
            row = ScoredRow(number, id=item.id if self.has_id else None)
            if event.failure is None:
                row.scores, row.unscored = item.scores or {}, item.unscored or {}
            else:
                row.error = str(event.failure)
            rows.append(row)
        return rows


class ModelScorer:
    """By one model alone, whatever stream.json says: each line or row is the event that the model reads.

    Args:
        folder: of the model.

    Raises:
        CliError: it cannot be used.
        ManifestError: its manifest is wrong.
    """

    has_id = False

    def __init__(self, folder: Path) -> None:
        try:
            self._model = load_named(folder)
        except Failure as failure:
            raise CliError(f"The model {folder.name!r} cannot be used: {failure.detail}") from failure
        self.columns = [columns_of(self._model.manifest)]
        self.inputs = self._model.manifest.inputs

    def score(self, lines: Sequence[Line]) -> list[ScoredRow]:
        """What the model says of each line."""
        rows = [ScoredRow(line.number) for line in lines]
        results = self._model.score([line.value for line in lines])
        for row, line, result in zip(rows, lines, results, strict=True):
            if line.value is None and line.body != b"null":
                row.error = "not JSON"
            elif isinstance(result, Failure):
                row.error = str(result)
            else:
                row.scores = {self._model.name: result}
        return rows


def scored(
    scorer: Scorer, chunks: Iterator[list[Line]], advance: Callable[[int], None]
) -> Iterator[list[ScoredRow]]:
    """The rows of all lines, some at a time.

    Args:
        scorer: of the lines.
        chunks: of lines.
        advance: told of how many lines are done.
    """
    for chunk in chunks:
        rows: list[ScoredRow] = []
        for lines in batched(chunk, BATCH, strict=False):
            rows += scorer.score(lines)
        yield rows
        advance(len(chunk))
