"""Send events to the hub."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

import typer
from rich.markup import escape

from everscore.settings import parts_of
from everscore_cli import project, sources
from everscore_cli.console import bars, err, out, print_json
from everscore_cli.errors import CliError
from everscore_cli.keys import KeyOf, key_rule
from everscore_cli.producer import Outgoing, Pace, sender
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
        bool, typer.Option("--dry-run", help="Print the first event as it would be sent, and send nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
) -> None:
    """Send events to Event Hubs: real flights, the lines of a file, or what comes in."""
    if file is None:
        app = project.app_folder()
        file, count = str(app / sources.FLIGHTS), count or FLIGHTS_COUNT
    if dry_run:
        _show_first(file, skip, key_rule(project.app_folder(), partition_key or []))
        return
    target = project.target()
    key_of = key_rule(target.app, partition_key or [])
    interrupts.end_like_ctrl_c()
    sent, seconds = asyncio.run(_send(target, file, key_of, count=count, skip=skip, rate=rate))
    speed = sent / seconds if seconds else 0.0
    if as_json:
        print_json({"sent": sent, "seconds": round(seconds, 3), "eventsPerSecond": round(speed, 1)})
    else:
        out.print(f"Sent {sent:,} events in {seconds:.1f} s: {speed:,.0f} events/s.")


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


def _show_first(file: str, skip: int, key_of: KeyOf) -> None:
    for chunk in sources.read_chunks(file):
        if len(chunk) <= skip:
            skip -= len(chunk)
            continue
        line = chunk[skip]
        key = key_of(line.value)
        err.print(
            f"[bold]partition key[/] {escape(key) if key else '(none: the service chooses a partition)'}"
        )
        err.print(f"[bold]body[/] ({len(line.body):,} bytes)")
        typer.echo(line.body)
        return
    raise CliError("--skip leaves nothing to send.")


def _place(target: project.Target) -> str:
    connection = target.settings.eventhub_connection()
    endpoint = parts_of(connection.connection_string).get("endpoint", "").removeprefix("sb://").strip("/")
    return f"{endpoint or connection.endpoints['namespace']}/{target.settings.eventhub_name}"
