"""What the app's functions say of themselves: last failure, and batches held for lack of a place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.table import Table

from everscore.clock import times
from everscore.config.settings import Settings
from everscore.watch.status import StatusReport, problems_of, read_status
from everscore_cli.clients.destinations import destinations
from everscore_cli.console import escape

FUNCTIONS = ("score_events", "retry_events")


@dataclass(frozen=True, slots=True)
class Reported:
    """One function's report, and a sentence for each thing in it that is wrong."""

    report: StatusReport
    problems: list[str]


type Reports = Mapping[str, Reported | None]


async def read_reports(settings: Settings) -> Reports:
    """The last report of each function; None for one that has said nothing yet.

    Raises:
        Failure: they cannot be read.
    """
    async with destinations(settings) as found:
        reports = await asyncio.gather(*(read_status(found.blobs, function) for function in FUNCTIONS))
    return {function: _judged(report) for function, report in zip(FUNCTIONS, reports, strict=True)}


def _judged(report: StatusReport | None) -> Reported | None:
    if report is None:
        return None
    problems = problems_of(report, times.now())
    return Reported(report, [f"{report.function}: {each.reason}: {each.detail}." for each in problems])


def sentences(reports: Reports) -> list[str]:
    """All that is wrong."""
    return [sentence for each in reports.values() if each for sentence in each.problems]


def reports_json(reports: Reports) -> dict[str, Any]:
    """By function all fields of its report, those without a value too; null where there is none."""
    return {function: each and _fields(each.report) for function, each in reports.items()}


def _fields(report: StatusReport) -> dict[str, Any]:
    names = {field.name: field.encode_name for field in msgspec.structs.fields(report)}
    return {names[name]: value for name, value in msgspec.structs.asdict(report).items()}


def reports_table(reports: Reports) -> Table:
    """The same for a person: a row for each thing that was ever said."""
    table = Table("function", "what", title="What the app says", title_justify="left")
    table.add_column("at", min_width=20)
    table.add_column("which")
    for function, each in reports.items():
        if each is None:
            table.add_row(function, "nothing yet")
            continue
        report = each.report
        table.add_row(function, "last report", _moment(report.at))
        for what, at, which in (
            ("last failure", report.last_failure_at, report.last_failure),
            ("batch last held", report.no_place_at, report.no_place),
        ):
            if at:
                table.add_row("", what, _moment(at), escape(which or ""))
    return table


def _moment(text: str) -> str:
    """To the second: ``2026-11-25 10:11:12Z``."""
    return f"{text[:19].replace('T', ' ')}Z"
