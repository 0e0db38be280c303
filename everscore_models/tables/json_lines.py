"""JSON lines: any JSON value a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from everscore_models.errors import TableError
from everscore_models.tables.opening import open_text


def read(path: Path, size: int) -> Iterator[list[object]]:
    """The values of a file, some at a time; empty lines are left out.

    Raises:
        TableError: a line is not JSON.
    """
    some: list[object] = []
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                some.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise TableError(f"{path}, line {number} is not JSON: {error}.") from error
            if len(some) == size:
                yield some
                some = []
    if some:
        yield some
