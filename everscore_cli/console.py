"""The two consoles: results go to stdout, everything else to stderr, so that `--json` can be piped."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rich import markup
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Control characters but for tab and the end of a line; and halves of surrogate pairs, which JSON may hold and
# no terminal's encoding has.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
out = Console()
err = Console(stderr=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write(visible(text) + "\n")
    sys.stdout.flush()


def json_fields(record: DataclassInstance) -> dict[str, Any]:
    """The fields of a flat dataclass for ``--json``: in camelCase, as in documents and dead letters."""
    return {_camel(field.name): getattr(record, field.name) for field in fields(record)}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def readable(body: bytes) -> str:
    """A body as text; of one that is no UTF-8 the bytes, as ``hex:…``."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"hex:{body.hex()}"


def visible(text: str) -> str:
    """A text of somebody else's for a terminal: the control characters that would steer it are spelt out."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def escape(text: str) -> str:
    """The same for `Console.print`, which takes words in square brackets for its own."""
    return markup.escape(visible(text))


def counted(count: int, what: str) -> str:
    """How many there are of a thing, such as ``1 event`` and ``2,000 events``."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


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
        MofNCompleteColumn(table_column=Column(no_wrap=True)),  # on a narrow terminal the bar gives way
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=err,
    )
