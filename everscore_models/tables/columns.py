"""Where a table's column stands in an event, and as what type its cells are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from everscore.event.pointer import parse_pointer
from everscore.event.stream_manifest import EpochTime, StreamManifest
from everscore.score.input_form import Input, InputType
from everscore_models.errors import TableError

type Types = Mapping[str, InputType]
"""By JSON Pointer, the type of a column of CSV."""


def pointer_of(column: str) -> str:
    """The JSON Pointer of a column: its name is a field of the event; one that begins with / is a pointer."""
    return column if column.startswith("/") else "/" + column.replace("~", "~0").replace("/", "~1")


def types_of(inputs: Iterable[Input], stream: StreamManifest | None = None) -> dict[str, InputType]:
    """The types that models ask for; of the others the id is a text, so that 00501 stays one.

    Args:
        inputs: of all models that read the table.
        stream: what stream.json says.
    """
    found: dict[str, InputType] = {}
    if stream is not None:
        if isinstance(stream.id, str):
            found[stream.id] = InputType.TEXT
        if isinstance(stream.time, EpochTime):
            found[stream.time.pointer] = InputType.NUMBER
    for each in inputs:
        found[each.pointer] = each.type
    return found


def assembler(path: Path, columns: Sequence[str]) -> Callable[[Sequence[object], object], dict[str, object]]:
    """A function from the cells of a row, and what stands for an empty one, to the event.

    Args:
        path: of the table, for errors.
        columns: their names.

    Raises:
        TableError: two columns have one name, or one is a field of another that is no object.
    """
    places = [_parts(path, column) for column in columns]
    _check(path, columns, places)
    if all(len(parts) == 1 for parts in places):
        names = [parts[0] for parts in places]
        return lambda cells, empty: {
            name: cell for name, cell in zip(names, cells, strict=True) if cell is not empty
        }

    def nested(cells: Sequence[object], empty: object) -> dict[str, object]:
        event: dict[str, object] = {}
        for parts, cell in zip(places, cells, strict=True):
            if cell is empty:
                continue
            inner = event
            for part in parts[:-1]:
                inner = inner.setdefault(part, {})  # type: ignore[assignment] # no part of a path is a value
            inner[parts[-1]] = cell
        return event

    return nested


def _check(path: Path, columns: Sequence[str], places: Sequence[tuple[str, ...]]) -> None:
    """No two columns are one field, and none is part of another's value."""
    taken: dict[tuple[str, ...], str] = {}
    inner: dict[tuple[str, ...], str] = {}
    for column, parts in zip(columns, places, strict=True):
        shorter = [parts[:length] for length in range(1, len(parts) + 1)]
        other = next((taken[each] for each in shorter if each in taken), inner.get(parts))
        if other is not None:
            what = f"two columns {column!r}" if other == column else f"the columns {other!r} and {column!r}"
            raise TableError(f"{path} has {what}, which would be one field: rename one of them.")
        taken[parts] = column
        inner.update(dict.fromkeys(shorter, column))


def _parts(path: Path, column: str) -> tuple[str, ...]:
    try:
        parts = tuple(parse_pointer(pointer_of(column)))
    except ValueError as error:
        raise TableError(
            f"{path}: the column {column!r} begins with / and is no JSON Pointer: {error}."
        ) from error
    return parts
