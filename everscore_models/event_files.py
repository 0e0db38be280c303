"""Events and predictions out of files: CSV, JSON lines, Parquet."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from everscore.score.input_form import InputType
from everscore_models.errors import ExportError

_KNOWN = ".csv, .tsv, .jsonl, .ndjson, .parquet"
# A number of JSON: 00501 is none, and stays the text that an id or a postal code is.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_BOOLEANS = {"true": True, "false": False}


def read_rows(path: Path, types: Mapping[str, InputType] | None = None) -> list[Any]:
    """The rows of a file, each as it would be in JSON. A cell of CSV that is empty is left out.

    Args:
        path: of the file, whose format its suffix tells.
        types: of columns of a CSV file; of the others all cells of the column decide.

    Raises:
        ExportError: it cannot be read, has no rows, or is of another format; one sentence.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in (".jsonl", ".ndjson"):
            found = _json_lines(path)
        elif suffix in (".csv", ".tsv"):
            found = _delimited(path, "\t" if suffix == ".tsv" else ",", types or {})
        elif suffix in (".parquet", ".pq"):
            found = _parquet(path)
        else:
            raise ExportError(f"{path} has an unknown format: expected a name that ends in {_KNOWN}.")
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except UnicodeDecodeError as error:
        raise ExportError(f"{path} is not UTF-8: save the file as UTF-8.") from error
    if not found:
        raise ExportError(f"{path} has no rows.")
    return found


def _json_lines(path: Path) -> list[Any]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise ExportError(f"{path}, line {number} is not JSON: {error}.") from error
    return found


def _delimited(path: Path, delimiter: str, types: Mapping[str, InputType]) -> list[Any]:
    try:
        table = pd.read_csv(path, sep=delimiter, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ExportError(f"{path} is no table: {str(error).strip().rstrip('.')}.") from error
    rows: list[dict[str, Any]] = [{} for _ in range(len(table))]
    for name in table:
        cells = table[name].tolist()
        read = _reader(types.get(str(name)) or _type_of(cells))
        for row, cell in zip(rows, cells, strict=True):
            if cell != "":
                row[str(name)] = read(cell)
    return rows


def _type_of(cells: list[str]) -> InputType:
    given = [each for each in cells if each]
    if given and all(each.lower() in _BOOLEANS for each in given):
        return InputType.BOOLEAN
    return InputType.NUMBER if given and all(map(_NUMBER.fullmatch, given)) else InputType.TEXT


def _reader(kind: InputType) -> Callable[[str], Any]:
    """Reads a cell as the type; one that is of another stays a text, which the model refuses by name."""
    if kind is InputType.TEXT:
        return str
    if kind is InputType.BOOLEAN:
        return lambda cell: _BOOLEANS.get({"1": "true", "0": "false"}.get(cell, cell.lower()), cell)
    return _number


def _number(cell: str) -> Any:
    if not _NUMBER.fullmatch(cell.strip()):
        return cell
    value = json.loads(cell)
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _parquet(path: Path) -> list[Any]:
    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise ExportError("Parquet files need the package pyarrow: pip install pyarrow.") from error
    except ValueError as error:  # of which pyarrow's errors are
        raise ExportError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}.") from error
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    """A value of pandas or numpy as JSON has it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if isinstance(value, str | bool | int | float) else str(value)
