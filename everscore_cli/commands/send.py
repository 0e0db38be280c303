"""Send events to the hub."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from everscore.config.connections import parts_of
from everscore.event.stream import load_stream
from everscore_cli import project, sources
from everscore_cli.console import bars, counted, err, escape, out, print_json, readable, visible
from everscore_cli.demo import example
from everscore_cli.dry_run import DryRun
from everscore_cli.errors import CliError
from everscore_cli.event_tables import read_table, types_for
from everscore_cli.keys import KeyOf, key_rule
from everscore_cli.producer import Outgoing, Pace, sender
from everscore_cli.properties import PropertiesOf, property_rule
from everscore_cli.sentences import sentence
from everscore_cli.sources import Line, Raw
from everscore_local import interrupts
from everscore_models.tables.reading import is_table

EXAMPLE_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class _Rules:
    """What goes with a body."""

    key_of: KeyOf
    properties_of: PropertiesOf | None


def send(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="JSON lines: a .jsonl or .ndjson file, also .gz, or - for stdin. A table: .csv, .tsv or "
            ".parquet. Default: the example's.",
        ),
    ] = None,
    *,
    count: Annotated[
        int | None,
        typer.Option(min=1, help=f"How many. Default: all of a file, {EXAMPLE_COUNT:,} of the example."),
    ] = None,
    skip: Annotated[int, typer.Option(min=0, help="Skip this many events at the beginning.")] = 0,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Events a second. Default: as fast as possible.")
    ] = None,
    partition_key: Annotated[
        list[str] | None,
        typer.Option(help="JSON Pointer, may be given more than once. Default: the fields of stream.json."),
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            metavar="NAME=VALUE",
            help="Application property of each event: a text, or with NAME=/pointer a field of the event, "
            "left out if it is not a string, number or boolean. May be given more than once.",
        ),
    ] = None,
    raw: Annotated[
        Raw | None,
        typer.Option(
            help="Send bodies that are not JSON unchanged, for a decoder: each line of FILE is a body, "
            "or each FILE, of which there may be several. Without a partition key."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Send nothing: show the first event, score all locally, report which would not be stored.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
) -> None:
    """Send events to Event Hubs: those of the example, the lines or rows of a file, or standard input.

    With --dry-run exits 1 if some of them would not be stored.
    """
    target = None if dry_run else project.target()
    app = project.app_folder()
    if not files and raw is None:
        used = [each.name for each in load_stream(app / "stream.json").models]
        if example.MODEL not in used:
            raise CliError(
                f"stream.json is about events for the model {' and '.join(used)}: name a file of such events."
            )
        files, count = [str(app / example.EVENTS)], count or EXAMPLE_COUNT
    reading = _reading(app, files or [], raw, strict=not dry_run)
    rules = _rules(app, partition_key or [], properties or [], raw)
    if target is None:
        _try_out(app, _cut(reading, skip, count), rules, _unit(files or [], raw), as_json=as_json)
        return
    interrupts.end_like_ctrl_c()
    sent, seconds = asyncio.run(_send(target, reading, rules, count=count, skip=skip, rate=rate))
    speed = sent / seconds if seconds else 0.0
    if as_json:
        print_json({"sent": sent, "seconds": round(seconds, 3), "eventsPerSecond": round(speed, 1)})
    else:
        out.print(f"Sent {counted(sent, 'event')} in {seconds:.1f} s: {speed:,.0f} events/s.")


def _reading(app: Path, files: list[str], raw: Raw | None, *, strict: bool) -> Iterator[list[Line]]:
    if raw is Raw.FILES:
        if not files:
            raise CliError("--raw files needs the names of files, each the body of an event, or - for stdin.")
        return sources.read_raw_files(files)
    if len(files) != 1:
        raise CliError(
            "Lines are sent of one file at a time, or of stdin by -: several files are taken by --raw files "
            "alone, each as one body."
        )
    if raw:
        return sources.read_raw_lines(files[0])
    if is_table(Path(files[0])):
        return read_table(Path(files[0]), types_for(app))
    return sources.read_chunks(files[0], strict=strict)


def _rules(app: Path, partition_key: list[str], properties: list[str], raw: Raw | None) -> _Rules:
    if raw and partition_key:
        raise CliError("--partition-key reads fields, and --raw does not look into bodies: leave one out.")
    key_of: KeyOf = (lambda _: None) if raw else key_rule(app, partition_key)
    return _Rules(key_of, property_rule(properties, has_fields=raw is None))


async def _send(
    target: project.Target,
    reading: Iterator[list[Line]],
    rules: _Rules,
    *,
    count: int | None,
    skip: int,
    rate: float | None,
) -> tuple[int, float]:
    sent = 0
    pending = _outgoing(reading, count, skip, rules)
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
            except (Exception, asyncio.CancelledError) as error:
                # Of the events that were under way at that moment some may be in the hub too.
                text, done = (
                    sentence(error),
                    f"Sent before that: {counted(sent, 'event')}. Continue with --skip {skip + sent}.",
                )
                if sent and text is not None:
                    raise CliError(f"{text} {done}") from error
                if sent:  # Ctrl-C
                    err.print(done, highlight=False)
                raise
            progress.update(task, total=sent)
        return sent, time.monotonic() - began


async def _outgoing(
    reading: Iterator[list[Line]], count: int | None, skip: int, rules: _Rules
) -> AsyncIterator[list[Outgoing]]:
    key_of, properties_of = rules.key_of, rules.properties_of
    empty = True
    async for chunk in sources.chunks(_cut(reading, skip, count)):
        empty = False
        if properties_of is None:
            yield [Outgoing(line.body, key_of(line.value), number=line.number) for line in chunk]
        else:
            yield [
                Outgoing(line.body, key_of(line.value), properties_of(line.value), line.number)
                for line in chunk
            ]
    if empty:
        err.print("[yellow]note[/] --skip left nothing to send.")


def _unit(files: list[str], raw: Raw | None) -> str:
    """What an event is in its source."""
    if raw is Raw.FILES:
        return "file"
    return "row" if not raw and files and is_table(Path(files[0])) else "line"


def _try_out(app: Path, chunks: Iterator[list[Line]], rules: _Rules, of: str, *, as_json: bool) -> None:
    dry_run: DryRun | None = None
    shown: dict[str, object] = {}
    for chunk in chunks:
        if dry_run is None:
            shown = _first(chunk[0], rules)
            if not as_json:
                _show_first(chunk[0].body, shown)
            # After that: whoever has no model yet has seen the key by then.
            dry_run = DryRun(app, project.local_variables(app), rules.properties_of)
        dry_run.take(chunk)
    if dry_run is None:
        raise CliError("--skip leaves nothing to send.")
    if as_json:
        print_json({**shown, **dry_run.as_json()})
    else:
        _show_dry_run(dry_run, of)
    if dry_run.refused:
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


def _first(line: Line, rules: _Rules) -> dict[str, object]:
    found: dict[str, object] = {"partitionKey": rules.key_of(line.value), "body": readable(line.body)}
    if rules.properties_of is not None:
        found["properties"] = rules.properties_of(line.value)
    return found


def _show_first(body: bytes, shown: dict[str, object]) -> None:
    key = str(shown["partitionKey"] or "(none: the service chooses a partition)")
    out.print("The first event, which is not sent:")
    out.print(f"[bold]partition key[/] {escape(key)}")
    if "properties" in shown:
        given = json.dumps(shown["properties"], ensure_ascii=False)
        out.print(f"[bold]properties[/] {escape(given)}", soft_wrap=True)
    out.print(f"[bold]body[/] ({len(body):,} bytes)")
    typer.echo(visible(readable(body)))


def _show_dry_run(dry_run: DryRun, of: str) -> None:
    first = dry_run.first
    if first is not None and first.failure is None:
        item = first.item
        doc_id = item.id if dry_run.has_id else "(its place in the hub)"
        out.print(f"[bold]id[/] {escape(str(doc_id))}, [bold]time[/] {item.time}", soft_wrap=True)
        for name, score in (item.scores or {}).items():
            label = "" if score.label is None else f"{score.label}, "
            out.print(f"[bold]{escape(name)}[/] {escape(label)}{score.value:.6g}", soft_wrap=True)
        for name, reason in (item.unscored or {}).items():
            out.print(f"[bold]{escape(name)}[/] not scored: {escape(reason)}", soft_wrap=True)
    out.print(f"{dry_run.scored:,} of {dry_run.events:,} events would be scored and stored.", highlight=False)
    for each in dry_run.refused:
        many = "1 event would not be" if each.count == 1 else f"{each.count:,} events would not be"
        where = f"{of} {each.line:,}" if each.count == 1 else f"first in {of} {each.line:,}"
        out.print(f"[red]{many}[/], {where}: {escape(str(each.failure))}", soft_wrap=True, highlight=False)


def _place(target: project.Target) -> str:
    connection = target.settings.eventhub_connection()
    endpoint = parts_of(connection.connection_string).get("endpoint", "").removeprefix("sb://").strip("/")
    return f"{endpoint or connection.endpoints['namespace']}/{target.settings.eventhub_name}"
