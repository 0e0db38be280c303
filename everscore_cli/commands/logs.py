"""Show the logs of the local stack."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import IO, Annotated

import typer

from everscore_cli import project
from everscore_cli.errors import CliError
from everscore_local.stack import PARTS

_POLL_SECONDS = 0.2


def logs(
    part: Annotated[str | None, typer.Argument(help=f"One part alone: {', '.join(PARTS)}.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is written.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many lines of each part.")] = 40,
) -> None:
    """Show the last lines that the parts of the local stack logged; -f goes on with what they write."""
    if part is not None and part not in PARTS:
        raise CliError(f"There is no part {part!r}; the parts are {', '.join(PARTS)}.")
    folder = project.state_folder() / "logs"
    chosen = [part] if part else list(PARTS)
    files = {name: folder / f"{name}.log" for name in chosen}
    if not any(file.exists() for file in files.values()):
        raise CliError(f"There are no logs in {folder}: start the local stack with `everscore up`.")
    tails = [_Tail(name if part is None else "", file) for name, file in files.items()]
    for tail in tails:
        tail.last(lines)
    while follow:
        wrote = [tail.more() for tail in tails]
        if not any(wrote):
            time.sleep(_POLL_SECONDS)


class _Tail:
    """One log file, read to its end again and again."""

    def __init__(self, label: str, path: Path) -> None:
        self._label = f"{label:<9} | " if label else ""
        self._path = path
        self._position = 0

    def last(self, lines: int) -> None:
        """Print the last lines there are."""
        file = self._open()
        if file is None:
            return
        with file:
            content = file.read().splitlines()
            self._position = file.tell()
        for line in content[-lines:] if lines else []:
            self._print(line)

    def more(self) -> bool:
        """Print whole lines written since. Returns whether there were any."""
        file = self._open()
        if file is None:
            return False
        with file:
            size = self._path.stat().st_size
            # Smaller than before: the part began a new file.
            file.seek(self._position if self._position <= size else 0)
            content = file.read()
            whole = content.rfind(b"\n") + 1
            self._position = file.tell() - len(content) + whole
        for line in content[:whole].splitlines():
            self._print(line)
        return whole > 0

    def _open(self) -> IO[bytes] | None:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return None

    def _print(self, line: bytes) -> None:
        sys.stdout.write(f"{self._label}{line.decode(errors='replace')}\n")
        sys.stdout.flush()
