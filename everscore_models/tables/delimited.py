"""CSV and TSV (RFC 4180): read twice where the type of a column is decided by its cells."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import IO

from everscore.score.input_form import InputType
from everscore_models.errors import TableError
from everscore_models.tables import cells
from everscore_models.tables.columns import Types, assembler, pointer_of
from everscore_models.tables.opening import open_text

# A cell may hold a text of an event, such as a document; the module's own limit is 128 KiB.
_LARGEST_CELL = 1 << 26
_EMPTY = object()


def read(path: Path, delimiter: str, types: Types, size: int) -> Iterator[list[object]]:
    """The events of a table with a heading, some at a time. An empty cell is a field that is not there.

    Args:
        path: of the file.
        delimiter: between two cells.
        types: of the columns that are known; of the others all cells decide.
        size: rows at a time.

    Raises:
        TableError: it is no table; the message names the row.
    """
    heading = _heading(path, delimiter)
    assemble = assembler(path, heading)
    readers = [cells.reader(kind) for kind in _types(path, delimiter, heading, types, size)]
    with closing(_rows(path, delimiter, len(heading), size)) as batches:
        for rows in batches:
            columns = [
                [read_cell(cell) if cell else _EMPTY for cell in column]
                for read_cell, column in zip(readers, zip(*rows, strict=True), strict=True)
            ]
            yield [assemble(row, _EMPTY) for row in zip(*columns, strict=True)]


def _types(path: Path, delimiter: str, heading: Sequence[str], types: Types, size: int) -> list[InputType]:
    known = [types.get(pointer_of(name)) for name in heading]
    guesses = {number: cells.Guess() for number, kind in enumerate(known) if kind is None}
    if guesses:
        with closing(_rows(path, delimiter, len(heading), size)) as batches:
            for rows in batches:
                columns = list(zip(*rows, strict=True))
                for number, guess in guesses.items():
                    guess.add(columns[number])
    return [kind or guesses[number].type for number, kind in enumerate(known)]


def _heading(path: Path, delimiter: str) -> list[str]:
    with open_text(path) as file:
        heading = next(_reader(path, file, delimiter), [])
    if not heading:
        raise TableError(f"{path} is no table: its first line must name the columns.")
    if unnamed := [number for number, name in enumerate(heading, 1) if not name]:
        raise TableError(f"{path}: column {unnamed[0]} has no name in the first line.")
    return heading


def _rows(path: Path, delimiter: str, width: int, size: int) -> Generator[list[list[str]]]:
    with open_text(path) as file:
        rows = _reader(path, file, delimiter)
        next(rows, None)
        first = 1
        while batch := list(islice(rows, size)):
            for number, row in enumerate(batch, first):
                if len(row) != width:
                    raise TableError(
                        f"{path}, row {number} has {len(row)} cells, and the first line names {width} "
                        "columns: put cells that hold the delimiter or a line break in quotes."
                    )
            yield batch
            first += len(batch)


def _reader(path: Path, file: IO[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(_LARGEST_CELL)
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        for row in rows:
            if row:  # an empty line is none
                yield row
    except csv.Error as error:
        raise TableError(f"{path}, line {rows.line_num} is no row of a table: {error}.") from error
