"""Show how the pipeline fares, from the hub to the store, and the parts of the local stack."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.markup import escape
from rich.table import Table

from everscore.settings import LOOPBACK, parts_of
from everscore_cli import observe, project
from everscore_cli.clients import hub, storage, store
from everscore_cli.console import out, print_json
from everscore_cli.errors import CliError, sentence
from everscore_cli.health import PartHealth, check


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Why a number is not known."""

    why: str


def status(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of tables.")
    ] = False,
) -> None:
    """Show lag, queues, dead letters, documents and the health of each part; exits 1 if one is not well."""
    target = project.target()
    if target.stack is None and observe.hub_host(target.settings) in LOOPBACK and not _answers(target):
        raise CliError("The local stack is not running: start it with `everscore up`.")
    parts, partitions, numbers = asyncio.run(_gather(target))
    if as_json:
        print_json(_json(parts, partitions, numbers))
    else:
        _print(parts, partitions, numbers)
    unwell = [part for part in parts if not part.healthy]
    unknown = [value for value in (partitions, *numbers.values()) if isinstance(value, _Unknown)]
    if unwell or unknown:
        raise typer.Exit(1)


async def _gather(
    target: project.Target,
) -> tuple[list[PartHealth], list[observe.Partition] | _Unknown, dict[str, int | _Unknown]]:
    settings = target.settings

    async def partitions() -> list[observe.Partition]:
        storage_string = target.variables.get("AzureWebJobsStorage")
        async with (
            hub.consumer(settings) as consumer,
            storage.host_blobs(settings, storage_string) as host_blobs,
        ):
            passed, ends = await asyncio.gather(
                observe.checkpoints(host_blobs, settings), observe.hub_ends(consumer)
            )
            return observe.with_lag(ends, passed)

    async def depth(name: str) -> int:
        async with storage.queues(settings) as queues:
            return await observe.queue_depth(queues, name)

    async def dead_letters() -> int:
        async with storage.blobs(settings) as blobs:
            return await observe.blob_count(blobs, settings.deadletter_container)

    async def documents() -> int:
        async with store.documents(settings) as container:
            return await observe.document_count(container)

    async def parts() -> list[PartHealth]:
        return await check(target.stack) if target.stack else []

    healths, found, *rest = await asyncio.gather(
        parts(),
        _or_why(partitions()),
        _or_why(depth(settings.retry_queue)),
        _or_why(depth(f"{settings.retry_queue}-poison")),
        _or_why(dead_letters()),
        _or_why(documents()),
    )
    names = ("retryQueueMessages", "poisonQueueMessages", "deadLetters", "documents")
    return healths, found, dict(zip(names, rest, strict=True))


async def _or_why[T](work: Awaitable[T]) -> T | _Unknown:
    """The result, or what keeps it from being known: one service that is down leaves the rest readable."""
    try:
        return await work
    except Exception as error:
        why = sentence(error)
        if why is None:
            raise
        return _Unknown(why)


def _answers(target: project.Target) -> bool:
    """Whether something (an emulator, say) listens where the settings lead."""
    url = urlsplit(parts_of(target.settings.eventhub_connection().connection_string)["endpoint"])
    try:
        with socket.create_connection((url.hostname or "127.0.0.1", url.port or 5672), timeout=1):
            return True
    except OSError:
        return False


def _json(
    parts: list[PartHealth],
    partitions: list[observe.Partition] | _Unknown,
    numbers: dict[str, int | _Unknown],
) -> dict[str, object]:
    problems = [value.why for value in (partitions, *numbers.values()) if isinstance(value, _Unknown)]
    known = None if isinstance(partitions, _Unknown) else partitions
    return {
        "parts": [asdict(part) for part in parts],
        "partitions": None if known is None else [asdict(partition) for partition in known],
        "lag": None if known is None else sum(partition.lag for partition in known),
        **{name: None if isinstance(value, _Unknown) else value for name, value in numbers.items()},
        "problems": problems,
    }


def _print(
    parts: list[PartHealth],
    partitions: list[observe.Partition] | _Unknown,
    numbers: dict[str, int | _Unknown],
) -> None:
    if parts:
        table = Table("part", "health", "up", "memory", "pid", title="Local stack", title_justify="left")
        for part in parts:
            colour = "green" if part.healthy else "red"
            up = "" if part.uptime_seconds is None else f"{part.uptime_seconds:,.0f} s"
            memory = "" if part.memory_mb is None else f"{part.memory_mb:,.0f} MB"
            table.add_row(part.part, f"[{colour}]{escape(part.detail)}[/]", up, memory, str(part.pid or ""))
        out.print(table)
    if isinstance(partitions, _Unknown):
        out.print(f"[red]partitions unknown[/] {escape(partitions.why)}", soft_wrap=True)
    else:
        table = Table("partition", title="Hub", title_justify="left")
        for column in ("last sequence number", "checkpoint", "lag"):
            table.add_column(column, justify="right")
        for one in partitions:
            table.add_row(one.id, _number(one.last), _number(one.checkpoint), f"{one.lag:,}")
        out.print(table)
    table = Table("what", title="Elsewhere", title_justify="left")
    table.add_column("how many", justify="right")
    labels = ("messages in the retry queue", "messages in its poison queue", "dead letters", "documents")
    for label, value in zip(labels, numbers.values(), strict=True):
        table.add_row(label, f"[red]{escape(value.why)}[/]" if isinstance(value, _Unknown) else f"{value:,}")
    out.print(table)


def _number(value: int | None) -> str:
    return "none yet" if value is None else f"{value:,}"
