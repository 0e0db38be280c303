"""Dead letters for people: list, show, redrive, export and purge them, locally and on Azure alike."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import batched
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from everscore.adapters.blobs import Letter, StorageBlobs
from everscore.event.item import Item
from everscore.failures import Stage
from everscore.retry.dead_letter import decode_dead_letter
from everscore.retry.envelope import NewerEnvelopeError, UnreadableEnvelopeError
from everscore.retry.placing import Delayed
from everscore_cli import project
from everscore_cli.clients import store
from everscore_cli.clients.destinations import destinations
from everscore_cli.console import bars, counted, err, escape, json_fields, out, print_json, readable
from everscore_cli.dead_letter_filter import Wanted, find
from everscore_cli.dead_letter_reading import PARALLEL, read_pages
from everscore_cli.errors import CliError
from everscore_cli.moments import parse_range
from everscore_cli.redriving import From, redriven
from everscore_cli.settled_letters import comparer
from everscore_cli.whole_file import whole_file

app = typer.Typer(no_args_is_help=True, help="List, show, redrive, export and purge dead letters.")

Since = Annotated[str | None, typer.Option(help="Enqueued from then on: a time, or an age such as 24h.")]
Until = Annotated[str | None, typer.Option(help="Enqueued before then: a time, or an age such as 1h.")]
InStage = Annotated[Stage | None, typer.Option("--stage", help="Failed in this stage.")]
Reason = Annotated[str | None, typer.Option(help="With this text in the reason.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


def _wanted(since: str | None, until: str | None, stage: Stage | None, reason: str | None) -> Wanted:
    return Wanted(*parse_range(since, until), stage, reason)


@app.command("list")
def list_(
    since: Since = None,
    until: Until = None,
    stage: InStage = None,
    reason: Reason = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the latest dead letters and how many there are for each reason."""
    wanted = _wanted(since, until, stage, reason)

    async def work() -> list[Letter]:
        async with destinations(project.target().settings) as found:
            return await _all(found.blobs, wanted)

    letters = asyncio.run(work())
    reasons = Counter((letter.stage, letter.reason) for letter in letters)
    if as_json:
        print_json(
            {
                "total": len(letters),
                "reasons": [
                    {"stage": each[0], "reason": each[1], "count": count}
                    for each, count in reasons.most_common()
                ],
                "letters": [json_fields(letter) for letter in letters[-limit:]],
            }
        )
        return
    if not letters:
        out.print("There are no dead letters of that kind.")
        return
    table = Table()
    table.add_column("name", no_wrap=True)  # in one piece, to be copied; it begins with the hour
    table.add_column("stage")
    table.add_column("reason")
    for letter in letters[-limit:]:
        table.add_row(letter.name, letter.stage, escape(letter.reason))
    out.print(table)
    counts = Table("stage", "reason", "how many")
    for (each_stage, each_reason), count in reasons.most_common():
        counts.add_row(each_stage, escape(each_reason), f"{count:,}")
    out.print(counts)
    out.print(
        f"{counted(len(letters), 'dead letter')}. To see one: everscore deadletters show NAME",
        highlight=False,
    )


@app.command()
def show(name: Annotated[str, typer.Argument(help="The letter's name, as the list shows it.")]) -> None:
    """Show one dead letter: why it is one, its history, and its body."""

    async def work() -> bytes | None:
        async with destinations(project.target().settings) as found:
            (letter,) = await _named(found.blobs, name)
            return await found.blobs.get_dead_letter(letter.name)

    data = asyncio.run(work())
    if data is None:
        raise CliError(_none_of_that_name(name))
    try:
        body = decode_dead_letter(data).item.body
    except (NewerEnvelopeError, UnreadableEnvelopeError) as error:
        raise CliError(
            f"{name} cannot be shown ({error}): `everscore deadletters export FILE` writes it as it is."
        ) from error
    content = json.loads(data)
    content["item"]["body"] = readable(body)
    content["item"]["bodyBytes"] = len(body)
    print_json(content)


@app.command()
def redrive(
    since: Since = None,
    until: Until = None,
    stage: InStage = None,
    reason: Reason = None,
    *,
    name: Annotated[str | None, typer.Option(help="Just this letter.")] = None,
    start: Annotated[
        From,
        typer.Option(
            "--from",
            help="failed: the failed stage and all after it. decode: everything, by today's rules.",
        ),
    ] = From.FAILED,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Send dead letters through the retry path once more; each is removed once its event has a new end."""
    wanted = _wanted(since, until, stage, reason)
    if name is not None and wanted != Wanted():
        raise CliError("--name chooses one letter: leave --since, --until, --stage and --reason out.")

    async def work() -> dict[str, int]:
        async with destinations(project.target().settings) as found:
            letters = await (_all(found.blobs, wanted) if name is None else _named(found.blobs, name))
            if not letters or not _confirm(f"Redrive {counted(len(letters), 'dead letter')}?", yes):
                return {"found": len(letters), "redriven": 0, "skipped": 0}
            sent, skipped = 0, 0
            async with (
                _with_bar("redriving", len(letters)) as (progress, bar),
                aclosing(read_pages(found.blobs, letters)) as pages,
            ):
                async for page in pages:
                    read = [_redriven(letter, data, start) for letter, data in page]
                    items = [item for item in read if item is not None]
                    skipped += len(page) - len(items)
                    left = await found.placing.enqueue([Delayed(item, 0.0) for item in items])
                    if left:
                        raise CliError(
                            f"The retry queue did not take {counted(len(left), 'event')}, whose letters "
                            "stay: run the same command again."
                        )
                    sent += len(items)
                    progress.advance(bar, len(page))
            return {"found": len(letters), "redriven": sent, "skipped": skipped}

    _report(asyncio.run(work()), as_json=as_json)


def _redriven(letter: Letter, data: bytes | None, start: From) -> Item | None:
    """The item to send; None of a letter that is gone, or that this release cannot read."""
    if data is None:
        return None
    try:
        return redriven(decode_dead_letter(data), letter.name, start)
    except (NewerEnvelopeError, UnreadableEnvelopeError) as error:
        err.print(f"[yellow]skipped[/] {escape(letter.name)}: {escape(str(error))}", highlight=False)
        return None


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write, one letter a line; - for standard output.")],
    since: Since = None,
    until: Until = None,
    stage: InStage = None,
    reason: Reason = None,
) -> None:
    """Write dead letters as JSON lines, bodies in base64, each with the name of its blob.

    A file of that name is replaced once all of them are written. A blob that is no dead letter is written
    with its bytes in base64.
    """
    wanted = _wanted(since, until, stage, reason)

    async def work() -> int:
        async with destinations(project.target().settings) as found:
            letters, count = await _all(found.blobs, wanted), 0
            with whole_file(file) as target:
                async with (
                    _with_bar("exporting", len(letters)) as (progress, bar),
                    aclosing(read_pages(found.blobs, letters)) as pages,
                ):
                    async for page in pages:
                        lines = [_line(letter.name, data) for letter, data in page if data is not None]
                        target.writelines(lines)
                        count += len(lines)
                        progress.advance(bar, len(page))
            return count

    count = asyncio.run(work())
    err.print(f"Exported {counted(count, 'dead letter')}.", highlight=False)


def _line(name: str, data: bytes) -> bytes:
    try:
        content = msgspec.json.decode(msgspec.json.format(data, indent=-1), type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.json.encode({"name": name, "bytes": base64.b64encode(data).decode()}) + b"\n"
    return msgspec.json.encode({"name": name, **content}) + b"\n"


@app.command()
def purge(
    since: Since = None,
    until: Until = None,
    stage: InStage = None,
    reason: Reason = None,
    *,
    settled: Annotated[
        bool, typer.Option(help="Only those whose event is stored, or superseded by a later version.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete dead letters for good."""
    wanted = _wanted(since, until, stage, reason)

    async def work() -> dict[str, int]:
        target = project.target()
        async with destinations(target.settings) as found:
            letters = await _all(found.blobs, wanted)
            if settled:
                async with (
                    store.documents(target.settings) as container,
                    _with_bar("comparing", len(letters)) as (progress, bar),
                ):
                    compared = comparer(target, container)
                    letters = await compared.choose(
                        found.blobs, letters, lambda count: progress.advance(bar, count)
                    )
            question = f"Delete {counted(len(letters), 'dead letter')} for good?"
            if not letters or not _confirm(question, yes):
                return {"found": len(letters), "deleted": 0}
            async with _with_bar("deleting", len(letters)) as (progress, bar):
                for some in batched(letters, PARALLEL, strict=False):
                    await asyncio.gather(*(found.blobs.delete_dead_letter(each.name) for each in some))
                    progress.advance(bar, len(some))
            return {"found": len(letters), "deleted": len(letters)}

    _report(asyncio.run(work()), as_json=as_json)


async def _all(blobs: StorageBlobs, wanted: Wanted) -> list[Letter]:
    return [letter async for letter in find(blobs, wanted)]


async def _named(blobs: StorageBlobs, name: str) -> list[Letter]:
    async with aclosing(blobs.list_dead_letters(name)) as listed:
        async for letter in listed:
            if letter.name == name:
                return [letter]
    raise CliError(_none_of_that_name(name))


def _none_of_that_name(name: str) -> str:
    return f"There is no dead letter {name}: `everscore deadletters list` shows what there is."


def _confirm(question: str, yes: bool) -> bool:
    return yes or typer.confirm(question, err=True)


@asynccontextmanager
async def _with_bar(what: str, total: int) -> AsyncIterator[tuple[Progress, TaskID]]:
    with bars() as progress:
        yield progress, progress.add_task(what, total=total, rate="")


def _report(counts: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        print_json(counts)
    else:
        out.print(", ".join(f"{count:,} {what}" for what, count in counts.items()) + ".", highlight=False)
