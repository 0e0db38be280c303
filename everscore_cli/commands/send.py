"""Send events to the hub."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from everscore.settings import parts_of
from everscore.stream import load_stream
from everscore_cli import flights, project, sources
from everscore_cli.console import bars, err, out, print_json
from everscore_cli.errors import CliError
from everscore_cli.keys import KeyOf, key_rule
from everscore_cli.producer import Outgoing, Pace, sender
from everscore_cli.sources import Line
from everscore_cli.trial import Trial
from everscore_local import interrupts

FLIGHTS_COUNT = 1_000


def send(
    file: Annotated[
        str | None,
        typer.Argument(
            help="JSON lines: a .jsonl or .ndjson file, also .gz, or - for stdin. Default: flights."
        ),
    ] = None,
    *,
    count: Annotated[
        int | None,
        typer.Option(min=1, help=f"How many. Default: all of a file, {FLIGHTS_COUNT:,} of the flights."),
    ] = None,
    skip: Annotated[int, typer.Option(min=0, help="Leave out this many at the beginning.")] = 0,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Events a second. Default: as fast as it goes.")
    ] = None,
    partition_key: Annotated[
        list[str] | None,
        typer.Option(help="JSON Pointer, may be given more than once. Default: the fields of stream.json."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Send nothing: show the first event, score all here, and say which would not be stored.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
) -> None:
    """Send events to Event Hubs: real flights, the lines of a file, or what comes in.

    With --dry-run exits 1 if some of them would not be stored.
    """
    target = None if dry_run else project.target()
    app = project.app_folder()
    if file is None:
        if (model := load_stream(app / "stream.json").model) != flights.MODEL:
            raise CliError(f"stream.json is about events for the model {model}: name a file of such events.")
        file, count = str(app / flights.EVENTS), count or FLIGHTS_COUNT
    if target is None:
        _try_out(app, file, partition_key or [], skip=skip, count=count, as_json=as_json)
        return
    key_of = key_rule(app, partition_key or [])
    interrupts.end_like_ctrl_c()
    sent, seconds = asyncio.run(_send(target, file, key_of, count=count, skip=skip, rate=rate))
    speed = sent / seconds if seconds else 0.0
    if as_json:
        print_json({"sent": sent, "seconds": round(seconds, 3), "eventsPerSecond": round(speed, 1)})
    else:
        what = "event" if sent == 1 else "events"
        out.print(f"Sent {sent:,} {what} in {seconds:.1f} s: {speed:,.0f} events/s.")


async def _send(
    target: project.Target,
    file: str,
    key_of: KeyOf,
    *,
    count: int | None,
    skip: int,
    rate: float | None,
) -> tuple[int, float]:
    sent = 0
    pending = _outgoing(file, count, skip, key_of)
    # A mistake in the file is told before anything is connected.
    first: list[Outgoing] = await anext(pending, [])
    async with sender(target.settings) as hub:
        began = time.monotonic()
        pace = Pace(rate)
        with bars() as progress:
            task = progress.add_task(f"to {_place(target)}", total=count, rate="")
            try:
                chunk = first
                while chunk:
                    position = 0
                    while position < len(chunk):
                        allowed = await pace.allow(len(chunk) - position)
                        await hub.send(chunk[position : position + allowed])
                        position += allowed
                        sent += allowed
                        speed = sent / (time.monotonic() - began)
                        progress.update(task, advance=allowed, rate=f"{speed:,.0f} events/s")
                    chunk = await anext(pending, [])
            except CliError as error:
                raise CliError(f"{error} {sent:,} events before it were sent.") from error
            progress.update(task, total=sent)
        return sent, time.monotonic() - began


async def _outgoing(file: str, count: int | None, skip: int, key_of: KeyOf) -> AsyncIterator[list[Outgoing]]:
    left = count
    async for chunk in sources.chunks(file):
        wanted = chunk[skip:]
        skip = max(0, skip - len(chunk))
        if left is not None:
            wanted = wanted[:left]
            left -= len(wanted)
        if wanted:
            yield [Outgoing(line.body, key_of(line.value)) for line in wanted]
        if left == 0:
            return
    if skip:
        err.print("[yellow]note[/] --skip left nothing to send.")


def _try_out(
    app: Path, file: str, partition_key: list[str], *, skip: int, count: int | None, as_json: bool
) -> None:
    key_of = key_rule(app, partition_key)
    trial: Trial | None = None
    shown: dict[str, object] = {}
    for chunk in _cut(sources.read_chunks(file), skip, count):
        if trial is None:
            key = key_of(chunk[0].value)
            shown = {"partitionKey": key, "body": chunk[0].body.decode()}
            if not as_json:
                _show_first(chunk[0], key)
            # After that: whoever has no model yet has seen the key by then.
            trial = Trial(app, project.local_variables(app))
        trial.take(chunk)
    if trial is None:
        raise CliError("--skip leaves nothing to send.")
    if as_json:
        print_json({**shown, **trial.as_json()})
    else:
        _show_trial(trial)
    if trial.refused:
        raise typer.Exit(1)


def _cut(chunks: Iterator[list[Line]], skip: int, count: int | None) -> Iterator[list[Line]]:
    """Without the first ``skip`` events, and at most ``count``."""
    for chunk in chunks:
        wanted = chunk[skip:] if count is None else chunk[skip : skip + count]
        skip = max(0, skip - len(chunk))
        if wanted:
            yield wanted
        if count is not None:
            count -= len(wanted)
            if count == 0:
                return


def _show_first(line: Line, key: str | None) -> None:
    err.print(f"[bold]partition key[/] {escape(key) if key else '(none: the service chooses a partition)'}")
    err.print(f"[bold]body[/] ({len(line.body):,} bytes)")
    typer.echo(line.body)


def _show_trial(trial: Trial) -> None:
    first = trial.first
    if first is not None and first.failure is None:
        item = first.item
        doc_id = item.id if trial.has_id else "(its place in the hub)"
        err.print(f"[bold]id[/] {escape(str(doc_id))}, [bold]time[/] {item.time}", soft_wrap=True)
        for name, score in (item.scores or {}).items():
            label = "" if score.label is None else f"{score.label}, "
            err.print(f"[bold]{escape(name)}[/] {escape(label)}{score.value:.6g}", soft_wrap=True)
    err.print(f"{trial.scored:,} of {trial.events:,} events would be scored and stored.", highlight=False)
    for each in trial.refused:
        many = "1 event would not be" if each.count == 1 else f"{each.count:,} events would not be"
        where = f"line {each.line:,}" if each.count == 1 else f"first in line {each.line:,}"
        err.print(f"[red]{many}[/], {where}: {escape(str(each.failure))}", soft_wrap=True, highlight=False)


def _place(target: project.Target) -> str:
    connection = target.settings.eventhub_connection()
    endpoint = parts_of(connection.connection_string).get("endpoint", "").removeprefix("sb://").strip("/")
    return f"{endpoint or connection.endpoints['namespace']}/{target.settings.eventhub_name}"
