"""Parquet, by pyarrow: rows as they would be in JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from everscore_models.errors import TableError
from everscore_models.tables.columns import assembler
from everscore_models.tables.opening import unreadable

_NONE_IS_EMPTY = object()


def read(path: Path, size: int) -> Iterator[list[object]]:
    """The events of a Parquet file, some at a time; null and NaN are null.

    Raises:
        TableError: it is no Parquet, pyarrow is missing, or a column holds what JSON cannot.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - only these files need it
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise TableError("Parquet files need the package pyarrow: pip install pyarrow.") from error
    try:
        with pq.ParquetFile(path) as file:
            names = [str(name) for name in file.schema_arrow.names]
            assemble = assembler(path, names)
            for batch in file.iter_batches(batch_size=size):
                columns = [
                    [_plain(path, name, value) for value in column.to_pylist()]
                    for name, column in zip(names, batch.columns, strict=True)
                ]
                yield [assemble(row, _NONE_IS_EMPTY) for row in zip(*columns, strict=True)]
    except pa.ArrowException as error:
        raise TableError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}.") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _plain(path: Path, column: str, value: Any) -> Any:
    """A value as JSON has it: times by RFC 3339, decimals as numbers."""
    if isinstance(value, float):
        if math.isinf(value):
            raise TableError(f"{path}: the column {column!r} holds an infinity, which JSON has not.")
        return None if math.isnan(value) else value
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): _plain(path, column, each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_plain(path, column, each) for each in value]
    raise TableError(
        f"{path}: the column {column!r} holds {type(value).__name__}, which JSON has not: save it as text."
    )
