"""Events out of CSV and Parquet: each row as the JSON that a producer would send of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from everscore.event.stream import load_stream
from everscore.score.input_form import InputType
from everscore.score.manifest import MANIFEST_FILE, load_manifest
from everscore_cli.sources import Line
from everscore_models.tables.columns import types_of
from everscore_models.tables.reading import read_batches


def types_for(app: Path) -> dict[str, InputType]:
    """As what the columns are read that stream.json and the models know, by JSON Pointer.

    A model that is not there yet says nothing.

    Raises:
        ManifestError: stream.json or a manifest is wrong.
    """
    stream = load_stream(app / "stream.json")
    folders = [app / "models" / each.name for each in stream.models]
    manifests = [load_manifest(folder) for folder in folders if (folder / MANIFEST_FILE).exists()]
    return types_of([each for manifest in manifests for each in manifest.inputs], stream.manifest)


def read_table(path: Path, types: dict[str, InputType]) -> Iterator[list[Line]]:
    """The rows of a table as bodies, some at a time; the number of a line is that of its row, from 1.

    Raises:
        TableError: the table cannot be read; the message names the row.
    """
    first = 1
    for rows in read_batches(path, types):
        yield [Line(number, msgspec.json.encode(row), row) for number, row in enumerate(rows, first)]
        first += len(rows)
