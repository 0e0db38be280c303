"""Show how the pipeline fares, from the hub to the store, and the parts of the local stack."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.table import Table

from everscore.clock import times
from everscore.config.connections import LOOPBACK, parts_of
from everscore.config.settings import Settings
from everscore.watch.furthest import Mark, read_marks
from everscore.watch.judging import Verdict
from everscore_cli import observe, project
from everscore_cli.clients import hub, storage, store
from everscore_cli.clients.destinations import destinations
from everscore_cli.console import escape, json_fields, out, print_json
from everscore_cli.errors import CliError
from everscore_cli.fitting import Fitting
from everscore_cli.function_reports import Reports, read_reports, reports_json, reports_table, sentences
from everscore_cli.sentences import sentence
from everscore_cli.stack_health import PartHealth, check
from everscore_cli.stuck_partitions import StuckPartition, stuck_partitions
from everscore_cli.verdict_reports import (
    of_interest,
    read_verdicts,
    verdict_sentences,
    verdicts_json,
    verdicts_table,
)
from everscore_local.endpoints import connection_settings


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Why a number is not known."""

    why: str


@dataclass(frozen=True, slots=True)
class _Hub:
    """The partitions of the hub, and those among them that stand still."""

    partitions: list[observe.Partition]
    still: dict[str, StuckPartition]


@dataclass(frozen=True, slots=True)
class _Seen:
    """All that is shown."""

    parts: list[PartHealth]
    connections: Mapping[str, str]
    hub: _Hub | _Unknown
    numbers: dict[str, int | _Unknown]
    reports: Reports | _Unknown
    verdicts: list[Verdict] | _Unknown
    brake: timedelta

    @property
    def configuration(self) -> str | None:
        """Hash of the one that score_events says it runs under."""
        said = None if isinstance(self.reports, _Unknown) else self.reports.get("score_events")
        return said.report.configuration or None if said else None

    @property
    def judged(self) -> list[Verdict]:
        """The verdicts to show."""
        known = [] if isinstance(self.verdicts, _Unknown) else self.verdicts
        return of_interest(known, self.configuration, self.brake)

    @property
    def problems(self) -> list[str]:
        """A sentence for each thing that is wrong or unknown, but for the health of parts."""
        values = (self.hub, *self.numbers.values(), self.reports, self.verdicts)
        why = [value.why for value in values if isinstance(value, _Unknown)]
        stuck = [] if isinstance(self.hub, _Unknown) else _stuck(self.hub)
        brakes = verdict_sentences(self.judged, self.configuration, times.now())
        return why + stuck + brakes + ([] if isinstance(self.reports, _Unknown) else sentences(self.reports))


def status(
    *,
    stuck_after: Annotated[
        float,
        typer.Option(min=0, help="Seconds after which a checkpoint that does not move is one that is stuck."),
    ] = 120.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of tables.")
    ] = False,
) -> None:
    """Show lag, queues, dead letters, documents, what the app says and the health of each part.

    On a stack with ports of its own (up --free-ports) also the connection strings that lead to it.

    Exits 1 if a part is not well (the app, say, since its model does not load), if a checkpoint does not move
    while events wait, while the brake is on, or if within an hour no destination took a batch.
    """
    target = project.target()
    if target.stack is None and target.settings.eventhub_host() in LOOPBACK and not _answers(target):
        raise CliError("The local stack is not running: start it with `everscore up`.")
    seen = asyncio.run(_gather(target, stuck_after))
    if as_json:
        print_json(_json(seen))
    else:
        _print(seen)
    if seen.problems or not all(part.healthy for part in seen.parts):
        raise typer.Exit(1)


async def _gather(target: project.Target, stuck_after: float) -> _Seen:
    settings = target.settings

    async def partitions() -> _Hub:
        async with (
            hub.consumer(settings) as consumer,
            storage.host_blobs(settings) as host_blobs,
        ):
            # Before the hub, so that they know of nothing later. Where they are out of reach, so are the
            # reports, and those say why.
            known = await _or_why(_marks(settings))
            marks = {} if isinstance(known, _Unknown) else known
            positions, ends = await asyncio.gather(
                observe.positions(host_blobs, settings), observe.hub_ends(consumer)
            )
            passed = {id_: position.number for id_, position in positions.items()}
            found = observe.with_lag(ends, passed, marks)
            furthest = observe.furthest(ends, passed, marks)
            still = await stuck_partitions(
                settings, found, ends, positions, furthest=furthest, threshold=stuck_after
            )
            return _Hub(found, still)

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

    # In the order in which an event goes: one that moves on meanwhile is seen twice at worst, never nowhere.
    healths, found, reports, verdicts = await asyncio.gather(
        parts(),
        _or_why(partitions()),
        _or_why(read_reports(settings)),
        _or_why(read_verdicts(settings)),
    )
    waiting = await asyncio.gather(
        _or_why(depth(settings.retry_queue)), _or_why(depth(f"{settings.retry_queue}-poison"))
    )
    ended = await asyncio.gather(_or_why(dead_letters()), _or_why(documents()))
    names = ("retryQueueMessages", "poisonQueueMessages", "deadLetters", "documents")
    counted = dict(zip(names, (*waiting, *ended), strict=True))
    brake = timedelta(hours=settings.brake_hours)
    return _Seen(healths, _own_connections(target), found, counted, reports, verdicts, brake)


def _own_connections(target: project.Target) -> Mapping[str, str]:
    """The connections of a stack on ports of its own, which local.settings.json does not have; else none."""
    stack = target.stack
    return connection_settings(stack.ports) if stack is not None and stack.state.own_ports else {}


async def _marks(settings: Settings) -> dict[str, Mark]:
    async with destinations(settings) as found:
        return await read_marks(found.blobs)


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


def _json(seen: _Seen) -> dict[str, object]:
    known = None if isinstance(seen.hub, _Unknown) else seen.hub
    return {
        "parts": [json_fields(part) for part in seen.parts],
        "connections": dict(seen.connections),
        "partitions": None if known is None else [_partition_json(one, known) for one in known.partitions],
        "lag": None if known is None else sum(partition.lag for partition in known.partitions),
        **{name: None if isinstance(value, _Unknown) else value for name, value in seen.numbers.items()},
        "reported": None if isinstance(seen.reports, _Unknown) else reports_json(seen.reports),
        "configurations": None
        if isinstance(seen.verdicts, _Unknown)
        else verdicts_json(seen.judged, seen.configuration),
        "problems": seen.problems,
    }


def _partition_json(one: observe.Partition, found: _Hub) -> dict[str, object]:
    still = found.still.get(one.id)
    return {**json_fields(one), "stuckSeconds": None if still is None else round(still.seconds, 1)}


def _stuck(found: _Hub) -> list[str]:
    """A sentence for each partition that stands still."""
    return [
        f"Partition {one.id} is stuck: for {_duration(still.seconds)} its checkpoint has not moved while "
        f"{one.lag:,} {'event waits' if one.lag == 1 else 'events wait'}, from sequence number {still.first} "
        "on. Look into the host's log: where an error stops each batch before the app sees it, "
        f"`everscore partition skip {one.id} --to {still.first}` leads past that event."
        for one in found.partitions
        if (still := found.still.get(one.id))
    ]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


def _print(seen: _Seen) -> None:
    if seen.parts:
        table = Table("part", "health", "up", "memory", "pid", title="Local stack", title_justify="left")
        for part in seen.parts:
            colour = "green" if part.healthy else "red"
            up = "" if part.uptime_seconds is None else f"{part.uptime_seconds:,.0f} s"
            memory = "" if part.memory_mb is None else f"{part.memory_mb:,.0f} MB"
            table.add_row(part.part, f"[{colour}]{escape(part.detail)}[/]", up, memory, str(part.pid or ""))
        out.print(Fitting(table))
    if seen.connections:
        out.print("Connections of this stack, in place of those in local.settings.json:")
        for name, text in seen.connections.items():
            out.print(f"  {name}={escape(text)}", soft_wrap=True, highlight=False)
    found = seen.hub
    if isinstance(found, _Unknown):
        out.print(f"[red]partitions unknown[/] {escape(found.why)}", soft_wrap=True)
    else:
        table = Table("partition", title="Hub", title_justify="left")
        for column in ("last sequence number", "checkpoint", "lag", "stuck for"):
            table.add_column(column, justify="right")
        for one in found.partitions:
            still = found.still.get(one.id)
            stuck = f"[red]{_duration(still.seconds)}[/]" if still else ""
            table.add_row(one.id, _number(one.last), _number(one.checkpoint), f"{one.lag:,}", stuck)
        out.print(Fitting(table))
        for sentence_ in _stuck(found):
            out.print(f"[red]{escape(sentence_)}[/]", soft_wrap=True)
    table = Table("what", title="Elsewhere", title_justify="left")
    table.add_column("how many", justify="right")
    labels = ("messages in the retry queue", "messages in its poison queue", "dead letters", "documents")
    for label, value in zip(labels, seen.numbers.values(), strict=True):
        table.add_row(label, f"[red]{escape(value.why)}[/]" if isinstance(value, _Unknown) else f"{value:,}")
    out.print(Fitting(table))
    if isinstance(seen.verdicts, _Unknown):
        out.print(f"[red]verdicts unknown[/] {escape(seen.verdicts.why)}", soft_wrap=True)
    elif seen.judged:
        out.print(Fitting(verdicts_table(seen.judged, seen.configuration)))
        for sentence_ in verdict_sentences(seen.judged, seen.configuration, times.now()):
            out.print(f"[red]{escape(sentence_)}[/]", soft_wrap=True)
    if isinstance(seen.reports, _Unknown):
        out.print(f"[red]what the app says is unknown[/] {escape(seen.reports.why)}", soft_wrap=True)
        return
    out.print(Fitting(reports_table(seen.reports)))
    for sentence_ in sentences(seen.reports):
        out.print(f"[red]{escape(sentence_)}[/]", soft_wrap=True)


def _number(value: int | None) -> str:
    return "none yet" if value is None else f"{value:,}"
