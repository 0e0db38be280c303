"""Score a file of events without a stack."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from everscore_cli import project
from everscore_cli.console import bars, counted, err, escape, out, print_json
from everscore_cli.errors import CliError
from everscore_cli.event_tables import read_table, types_for
from everscore_cli.file_scores import AppScorer, ModelScorer, Scorer, scored
from everscore_cli.scoring_in_place import ScoringInPlace
from everscore_cli.sources import Line, read_chunks
from everscore_cli.whole_file import whole_file
from everscore_models.tables.columns import types_of
from everscore_models.tables.reading import is_table
from everscore_models.tables.writing import FORMATS, ScoredRow, failed, writer

# Errors that are shown; the file has them all.
_SHOWN = 5


def score(
    file: Annotated[
        str,
        typer.Argument(help="Events: .jsonl or .ndjson, .csv, .tsv, .parquet; - for JSON lines on stdin."),
    ],
    *,
    to: Annotated[
        Path, typer.Option("--out", help="The file of scores: .csv, .jsonl or .parquet. It is replaced.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="This model alone, which reads each line as it is. Default: all, as stream.json says."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
) -> None:
    """Score all events of a file in place, as the app would, without a stack; nothing is sent or stored.

    The scores have a row for each event, in the order of the file; one that the app would not store has an
    error in its row. Exits 1 if there is one.
    """
    if to.suffix.lower() not in FORMATS:
        raise CliError(f"{to} has an unknown format: expected a name that ends in {', '.join(FORMATS)}.")
    if file != "-" and to.resolve() == Path(file).resolve():
        raise CliError(f"{to} holds the events: name another file for the scores.")
    app = project.app_folder()
    scorer, chunks = _scorer(app, file, model)
    began = time.monotonic()
    total = 0
    count = refused = 0
    shown: list[ScoredRow] = []
    with (
        whole_file(to) as target,
        writer(target, to.suffix.lower(), scorer.columns, has_id=scorer.has_id) as table,
        bars() as progress,
    ):
        task = progress.add_task(f"to {escape(to.name)}", total=None, rate="")

        def advance(lines: int) -> None:
            nonlocal total
            total += lines
            speed = total / (time.monotonic() - began)
            progress.update(task, advance=lines, rate=f"{speed:,.0f} events/s")

        for rows in scored(scorer, chunks, advance):
            table.write(rows)
            count += len(rows)
            bad = failed(rows)
            refused += len(bad)
            shown += bad[: _SHOWN - len(shown)]
        progress.update(task, total=total)
    seconds = time.monotonic() - began
    if as_json:
        print_json({"events": count, "scored": count - refused, "seconds": round(seconds, 3)})
    else:
        speed = f"{count / seconds:,.0f} events/s"
        said = f"Scored {count - refused:,} of {counted(count, 'event')} in {seconds:.1f} s ({speed}): {to}"
        out.print(escape(said), soft_wrap=True, highlight=False)
        _tell(shown, refused)
    if refused:
        raise typer.Exit(1)


def _scorer(app: Path, file: str, model: str | None) -> tuple[Scorer, Iterator[list[Line]]]:
    if model is not None:
        one = ModelScorer(app / "models" / model)
        if is_table(Path(file)):
            return one, read_table(Path(file), types_of(one.inputs))
        return one, read_chunks(file, strict=False)
    scorer = AppScorer(ScoringInPlace(app, project.local_variables(app)))
    if is_table(Path(file)):
        return scorer, read_table(Path(file), types_for(app))
    return scorer, read_chunks(file, strict=False)


def _tell(shown: list[ScoredRow], refused: int) -> None:
    for row in shown:
        err.print(f"[red]row {row.row:,}[/]: {escape(row.error or '')}", soft_wrap=True, highlight=False)
    if refused > len(shown):
        err.print(f"and {refused - len(shown):,} more: see `error` in the file.", highlight=False)
