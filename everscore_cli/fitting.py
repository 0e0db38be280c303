"""Tables that stay readable in a narrow terminal: where the columns do not fit, their rows are lists."""

from __future__ import annotations

from itertools import pairwise

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table

_UNBOUNDED = 10_000


class Fitting:
    """A table where its words fit into the terminal; else a line for each cell, with its heading.

    Neither form cuts a heading or a value: what is longer than its column goes on in the next line.

    Args:
        table: its cells are texts. A row without a first cell belongs to the one above.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        for column in table.columns:
            column.overflow = "fold"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich's console protocol."""
        # Asked for the width at hand, a table answers that it needs no more than that.
        wanted = Measurement.get(console, options.update(max_width=_UNBOUNDED), self._table)
        if wanted.minimum <= options.max_width:
            yield self._table
            return
        if self._table.title:
            yield f"[bold]{self._table.title}[/]"
        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(style="dim", no_wrap=True)
        lines.add_column(overflow="fold")
        headings = [str(column.header) for column in self._table.columns]
        rows = list(zip(*(column.cells for column in self._table.columns), strict=True))
        for row, following in pairwise([*rows, None]):
            for heading, cell in zip(headings, row or (), strict=True):
                if cell:
                    lines.add_row(heading, cell)
            if following is not None and following[0]:
                lines.add_row("", "")
        yield lines
        yield ""


class Whole:
    """A table as wide as its cells ask for, however narrow the console: for a pipe, which has no width.

    Args:
        table: is printed with ``soft_wrap``, else the console cuts its lines.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich's console protocol."""
        wide = options.update(max_width=_UNBOUNDED)
        wanted = Measurement.get(console, wide, self._table).maximum
        for line in console.render_lines(self._table, options.update(width=wanted, max_width=wanted)):
            yield from line
            yield Segment.line()
