"""Dead letters for people: list, show, redrive, export and purge them, locally and on Azure alike."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta
from itertools import batched
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from everscore.adapters.blobs import Letter, StorageBlobs
from everscore.decode.bodies import BodyLimits
from everscore.decode.decoder import Decoder
from everscore.event.item import Item
from everscore.event.order import Version
from everscore.event.stream import load_stream
from everscore.retry.dead_letter import DeadLetter, decode_dead_letter
from everscore.retry.envelope import NewerEnvelopeError, UnreadableEnvelopeError
from everscore.retry.placing import Delayed
from everscore.store.documents import ForeignDocumentError, gives_way
from everscore_cli import project
from everscore_cli.clients import store
from everscore_cli.clients.destinations import Destinations, destinations
from everscore_cli.console import bars, err, escape, out, print_json, readable
from everscore_cli.dead_letter_filter import Wanted, find
from everscore_cli.errors import CliError
from everscore_cli.moments import parse_moment
from everscore_cli.redriving import From, redriven

app = typer.Typer(no_args_is_help=True, help="List, show, redrive, export and purge dead letters.")

Since = Annotated[str | None, typer.Option(help="Enqueued from then on: a time, or an age such as 24h.")]
Until = Annotated[str | None, typer.Option(help="Enqueued before then: a time, or an age such as 1h.")]
Stage = Annotated[
    str | None, typer.Option(help="Failed in this stage: decode, validate, score, store, retry.")
]
Reason = Annotated[str | None, typer.Option(help="With this text in the reason.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]

_PARALLEL = 16
_PAGE = 256


def _wanted(since: str | None, until: str | None, stage: str | None, reason: str | None) -> Wanted:
    return Wanted(parse_moment(since, "--since"), parse_moment(until, "--until"), stage, reason)


@app.command("list")
def list_(
    since: Since = None,
    until: Until = None,
    stage: Stage = None,
    reason: Reason = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the latest dead letters and how many there are for each reason."""
    wanted = _wanted(since, until, stage, reason)

    async def work() -> list[Letter]:
        async with destinations(project.target().settings) as found:
            return [letter async for letter in find(found.blobs, wanted)]

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
                "letters": [asdict(letter) for letter in letters[-limit:]],
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
    out.print(f"{len(letters):,} dead letters. One: everscore deadletters show NAME", highlight=False)


@app.command()
def show(name: Annotated[str, typer.Argument(help="The letter's name, as the list shows it.")]) -> None:
    """Show one dead letter: why it is one, its history, and its body."""

    async def work() -> bytes | None:
        async with destinations(project.target().settings) as found:
            return await found.blobs.get_dead_letter(name)

    data = asyncio.run(work())
    if data is None:
        raise CliError(f"There is no dead letter {name}: `everscore deadletters list` shows what there is.")
    letter = decode_dead_letter(data)
    content = json.loads(data)
    body = letter.item.body
    content["item"]["body"] = readable(body)
    content["item"]["bodyBytes"] = len(body)
    print_json(content)


@app.command()
def redrive(
    since: Since = None,
    until: Until = None,
    stage: Stage = None,
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

    async def work() -> dict[str, int]:
        async with destinations(project.target().settings) as found:
            letters = await _choose(found.blobs, _wanted(since, until, stage, reason), name)
            if not letters or not _confirm(f"Redrive {len(letters):,} dead letters?", yes):
                return {"found": len(letters), "redriven": 0, "skipped": 0}
            sent, skipped = 0, 0
            with bars() as progress:
                bar = progress.add_task("redriving", total=len(letters), rate="")
                for page in batched(letters, _PAGE, strict=False):
                    items = await _read(found.blobs, page, start)
                    skipped += len(page) - len(items)
                    left = await found.placing.enqueue([Delayed(item, 0.0) for item in items])
                    if left:
                        raise CliError(
                            f"The retry queue did not take {len(left):,} events; their letters stay: "
                            "run the same command again."
                        )
                    sent += len(items)
                    progress.advance(bar, len(page))
            return {"found": len(letters), "redriven": sent, "skipped": skipped}

    _report(asyncio.run(work()), as_json=as_json)


async def _read(blobs: StorageBlobs, page: tuple[Letter, ...], start: From) -> list[Item]:
    slots = asyncio.Semaphore(_PARALLEL)

    async def one(letter: Letter) -> Item | None:
        async with slots:
            data = await blobs.get_dead_letter(letter.name)
        if data is None:
            return None
        try:
            return redriven(decode_dead_letter(data), letter.name, start)
        except (NewerEnvelopeError, UnreadableEnvelopeError) as error:
            err.print(f"[yellow]skipped[/] {letter.name}: {escape(str(error))}", highlight=False)
            return None

    return [item for item in await asyncio.gather(*map(one, page)) if item is not None]


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write, one letter a line; - for standard output.")],
    since: Since = None,
    until: Until = None,
    stage: Stage = None,
    reason: Reason = None,
) -> None:
    """Write dead letters as JSON lines, bodies in base64, each with the name of its blob."""

    async def work() -> int:
        async with destinations(project.target().settings) as found:
            letters = await _choose(found.blobs, _wanted(since, until, stage, reason), None)
            to_stdout = str(file) == "-"
            with contextlib.nullcontext(sys.stdout.buffer) if to_stdout else file.open("wb") as target:
                async with _with_bar("exporting", len(letters)) as (progress, bar):
                    for letter in letters:
                        data = await found.blobs.get_dead_letter(letter.name)
                        if data is not None:
                            content = {"name": letter.name, **msgspec.json.decode(data)}
                            target.write(msgspec.json.encode(content) + b"\n")
                        progress.advance(bar)
                target.flush()
            return len(letters)

    count = asyncio.run(work())
    err.print(f"Exported {count:,} dead letters.", highlight=False)


@app.command()
def purge(
    since: Since = None,
    until: Until = None,
    stage: Stage = None,
    reason: Reason = None,
    *,
    settled: Annotated[
        bool, typer.Option(help="Only those whose event is stored, or superseded by a later version.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete dead letters for good."""

    async def work() -> dict[str, int]:
        target = project.target()
        async with destinations(target.settings) as found:
            letters = await _choose(found.blobs, _wanted(since, until, stage, reason), None)
            if settled:
                letters = await _settled(target, found, letters)
            question = f"Delete {len(letters):,} dead letters for good?"
            if not letters or not _confirm(question, yes):
                return {"found": len(letters), "deleted": 0}
            slots = asyncio.Semaphore(_PARALLEL)
            async with _with_bar("deleting", len(letters)) as (progress, bar):

                async def delete(letter: Letter) -> None:
                    async with slots:
                        await found.blobs.delete_dead_letter(letter.name)
                    progress.advance(bar)

                await asyncio.gather(*map(delete, letters))
            return {"found": len(letters), "deleted": len(letters)}

    _report(asyncio.run(work()), as_json=as_json)


async def _settled(target: project.Target, found: Destinations, letters: list[Letter]) -> list[Letter]:
    """Those whose event the store holds, as this version or a later one, by today's stream.json."""
    settings = target.settings
    clock_ahead = timedelta(hours=settings.clock_ahead_hours)
    decoder = Decoder(
        load_stream(target.app / "stream.json", clock_ahead),
        limits=BodyLimits.of(settings),
    )
    chosen: list[Letter] = []
    async with (
        store.documents(settings) as container,
        _with_bar("comparing", len(letters)) as (progress, bar),
    ):
        for letter in letters:
            data = await found.blobs.get_dead_letter(letter.name)
            progress.advance(bar)
            try:
                dead: DeadLetter | None = decode_dead_letter(data) if data is not None else None
            except (NewerEnvelopeError, UnreadableEnvelopeError):
                continue
            events = decoder.decode([dead.item]) if dead else []
            if events and all([await is_settled(container, event.item, clock_ahead) for event in events]):
                chosen.append(letter)
    return chosen


async def is_settled(container: Any, item: Item, clock_ahead: timedelta) -> bool:
    """Whether storing the item would find it superseded; by the very rule of storing."""
    if item.id is None or item.pk is None:
        return False
    query = "SELECT c.time, c.source, c.fingerprint FROM c WHERE c.id = @id"
    rows = container.query_items(query, parameters=[{"name": "@id", "value": item.id}], partition_key=item.pk)
    version = Version(item.time, item.source)
    try:
        return any([not gives_way(row, version, clock_ahead) async for row in rows])
    except ForeignDocumentError:  # the item waits for it to go: nothing of it is stored
        return False


async def _choose(blobs: StorageBlobs, wanted: Wanted, name: str | None) -> list[Letter]:
    if name is None:
        return [letter async for letter in find(blobs, wanted)]
    found = [letter async for letter in blobs.list_dead_letters(name) if letter.name == name]
    if not found:
        raise CliError(f"There is no dead letter {name}: `everscore deadletters list` shows what there is.")
    return found


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
