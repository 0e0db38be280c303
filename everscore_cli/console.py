"""The two consoles: results go to stdout, everything else to stderr, so that `--json` can be piped."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

out = Console()
err = Console(stderr=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def readable(body: bytes) -> str:
    """A body as text; of one that is no UTF-8 the bytes, as ``hex:…``."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"hex:{body.hex()}"


def steps() -> Progress:
    """A line with a spinner, for work of unknown length; nothing where there is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def bars() -> Progress:
    """Bars with counts and events per second (the field ``rate`` of each task)."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=err,
    )
