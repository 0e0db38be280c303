"""Events out of a table, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from everscore.score.input_form import InputType
from everscore_models.errors import TableError
from everscore_models.tables import delimited, json_lines, parquet

ROWS = 1_000
"""Rows that are read at a time."""

KNOWN = ".csv, .tsv, .jsonl, .ndjson, .parquet"
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = frozenset({".jsonl", ".ndjson"})
_PARQUET = frozenset({".parquet", ".pq"})


def format_of(path: Path) -> str:
    """The suffix that tells the format of a file, in small letters; of ``a.csv.gz`` it is ``.csv``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def is_table(path: Path) -> bool:
    """Whether a file has columns, so that an event is made of each row: CSV, TSV or Parquet."""
    suffix = format_of(path)
    return suffix in _DELIMITERS or suffix in _PARQUET


def read_batches(
    path: Path, types: Mapping[str, InputType] | None = None, size: int = ROWS
) -> Iterator[list[object]]:
    """The rows of a file, some at a time, each as it would be in JSON.

    A cell of CSV that is empty is a field that is not there. A column is a field of that name; one whose name
    is a JSON Pointer, such as /device/id, stands there.

    Args:
        path: of the file, whose format its suffix tells.
        types: by JSON Pointer, of columns of a CSV file; of the others all cells of the column decide.
        size: rows at a time, at most.

    Raises:
        TableError: it cannot be read, has no rows, or is of another format; one sentence.
    """
    suffix = format_of(path)
    if suffix in _DELIMITERS:
        batches = delimited.read(path, _DELIMITERS[suffix], types or {}, size)
    elif suffix in _PARQUET:
        batches = parquet.read(path, size)
    elif suffix in _JSON_LINES:
        batches = json_lines.read(path, size)
    else:
        raise TableError(f"{path} has an unknown format: expected a name that ends in {KNOWN}.")
    empty = True
    for batch in batches:
        empty = empty and not batch
        yield batch
    if empty:
        raise TableError(f"{path} has no rows.")


def read_rows(path: Path, types: Mapping[str, InputType] | None = None) -> list[object]:
    """All rows of a file; see `read_batches`.

    Raises:
        TableError: as `read_batches` says.
    """
    return [row for batch in read_batches(path, types) for row in batch]
