"""Tables of scores: CSV, JSON lines and Parquet, written some rows at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import msgspec

from everscore.event.scores import Scores
from everscore.score.manifest import Manifest
from everscore.score.output_form import Kind
from everscore_models.errors import TableError

FORMATS = (".csv", ".jsonl", ".parquet")


@dataclass(slots=True)
class ScoredRow:
    """What became of one event.

    Attributes:
        row: of the file, from 1; of JSON lines its line.
        id: as stream.json says, where it is read and names one.
        scores: by model.
        unscored: by model that is not required, why it gave no scores.
        error: why the event would not be stored; there are no scores then.
    """

    row: int
    id: str | None = None
    scores: dict[str, Scores] = field(default_factory=dict)
    unscored: dict[str, str] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """The columns of one model.

    Attributes:
        model: its name, which begins theirs.
        has_label: it predicts a class, a cluster, or what is unusual.
        values: the names of its several numbers.
        required: without scores of it an event is not stored.
    """

    model: str
    has_label: bool
    values: tuple[str, ...]
    required: bool = True


def columns_of(manifest: Manifest, *, required: bool = True) -> ScoreColumns:
    """The columns of a model's scores, by its manifest."""
    outputs = manifest.outputs
    by_name = () if manifest.kind is Kind.ANOMALY else tuple(outputs.label_of().values()) or outputs.columns
    return ScoreColumns(manifest.name, manifest.kind is not Kind.REGRESSOR, by_name, required)


class Writer(Protocol):
    """Writes rows in one format."""

    def write(self, rows: Sequence[ScoredRow]) -> None:
        """Add rows."""


@contextmanager
def writer(file: BinaryIO, suffix: str, models: Sequence[ScoreColumns], *, has_id: bool) -> Iterator[Writer]:
    """Write a table to a file.

    JSON lines hold the scores as documents do. In CSV and Parquet they are columns: ``MODEL.label``,
    ``MODEL.value``, ``MODEL.values.NAME``, and ``MODEL.error`` of a model that is not required.

    Args:
        file: where to.
        suffix: one of `FORMATS`.
        models: in the order of their columns.
        has_id: whether there is a column for ids.

    Raises:
        TableError: another format, or pyarrow is missing.
    """
    if suffix == ".jsonl":
        yield _JsonLines(file)
        return
    names, cells = _flat(models, has_id=has_id)
    if suffix == ".csv":
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
        yield _Csv(text, list(names), cells)
        text.flush()
        text.detach()
        return
    if suffix != ".parquet":
        raise TableError(f"Scores are written as {', '.join(FORMATS)}, not as '{suffix}'.")
    try:
        import pyarrow as pa  # noqa: PLC0415 - only these files need it
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise TableError("Parquet files need the package pyarrow: pip install pyarrow.") from error
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in names.items()])
    with pq.ParquetWriter(file, schema) as parquet:
        yield _Parquet(parquet, schema, cells)


type _Cells = Any  # a function from rows to columns, lists of equal length


def _flat(models: Sequence[ScoreColumns], *, has_id: bool) -> tuple[dict[str, type], _Cells]:
    """The names and types of the columns, and what makes them of rows."""
    names: dict[str, type] = {"row": int} | ({"id": str} if has_id else {})
    for each in models:
        if each.has_label:
            names[f"{each.model}.label"] = str
        names[f"{each.model}.value"] = float
        names |= {f"{each.model}.values.{value}": float for value in each.values}
        if not each.required:
            names[f"{each.model}.error"] = str
    names["error"] = str

    def cells(rows: Sequence[ScoredRow]) -> list[list[object]]:
        columns: list[list[object]] = [[row.row for row in rows]]
        if has_id:
            columns.append([row.id for row in rows])
        for each in models:
            scores = [row.scores.get(each.model) for row in rows]
            if each.has_label:
                columns.append([None if one is None else one.label for one in scores])
            columns.append([None if one is None else one.value for one in scores])
            columns += [
                [None if one is None else one.values.get(name) for one in scores] for name in each.values
            ]
            if not each.required:
                columns.append([row.unscored.get(each.model) for row in rows])
        columns.append([row.error for row in rows])
        return columns

    return names, cells


class _Csv:
    def __init__(self, text: io.TextIOWrapper, names: list[str], cells: _Cells) -> None:
        self._rows = csv.writer(text, lineterminator="\n")
        self._cells = cells
        self._rows.writerow(names)

    def write(self, rows: Sequence[ScoredRow]) -> None:
        self._rows.writerows(zip(*self._cells(rows), strict=True))


class _Parquet:
    def __init__(self, parquet: Any, schema: Any, cells: _Cells) -> None:
        self._parquet = parquet
        self._schema = schema
        self._cells = cells

    def write(self, rows: Sequence[ScoredRow]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - only these files need it

        columns = zip(self._cells(rows), self._schema, strict=True)
        arrays = [pa.array(column, field.type) for column, field in columns]
        self._parquet.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


class _JsonLines:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._encoder = msgspec.json.Encoder()

    def write(self, rows: Sequence[ScoredRow]) -> None:
        self._file.write(self._encoder.encode_lines(map(_as_json, rows)))


def _as_json(row: ScoredRow) -> dict[str, Any]:
    found: dict[str, Any] = {"row": row.row}
    if row.id is not None:
        found["id"] = row.id
    if row.error is not None:
        found["error"] = row.error
    else:
        found["scores"] = {**row.scores, **{name: {"error": why} for name, why in row.unscored.items()}}
    return found


def failed(rows: Iterable[ScoredRow]) -> list[ScoredRow]:
    """The rows that would not be stored."""
    return [row for row in rows if row.error is not None]
