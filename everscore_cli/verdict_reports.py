"""The verdicts on configurations: which the app runs under, and what waits because of which."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from rich.table import Table

from everscore.clock import times
from everscore.config.settings import Settings
from everscore.watch.judging import Verdict, alarms, sentence_of
from everscore.watch.verdicts import decode_verdict
from everscore_cli.clients.destinations import destinations
from everscore_cli.console import escape


async def read_verdicts(settings: Settings) -> list[Verdict]:
    """All verdicts that there are, the latest first; one that a newer release wrote otherwise is left out.

    Raises:
        Failure: they cannot be read.
    """
    async with destinations(settings) as found:
        texts = await found.blobs.list_verdicts()
    verdicts = []
    for text in texts:
        try:
            verdicts.append(decode_verdict(text))
        except msgspec.DecodeError:
            continue
    return sorted(verdicts, key=lambda verdict: verdict.at, reverse=True)


def of_interest(verdicts: Sequence[Verdict], current: str | None, brake: timedelta) -> list[Verdict]:
    """The one that the app runs under, and those because of which something may still wait."""
    since = times.milliseconds_text(times.now() - brake)
    return [
        verdict
        for verdict in verdicts
        if verdict.configuration == current or (verdict.failing_since and verdict.at > since)
    ]


def verdict_sentences(verdicts: Sequence[Verdict], current: str | None, now: datetime) -> list[str]:
    """What is wrong with the configuration that the app runs under."""
    return [
        f"score_events: brake: {sentence_of(verdict)}."
        for verdict in verdicts
        if verdict.configuration == current and alarms(verdict, now)
    ]


def verdicts_json(verdicts: Sequence[Verdict], current: str | None) -> list[dict[str, Any]]:
    """The same for a program."""
    rows = []
    for verdict in verdicts:
        kind, alike = verdict.total.commonest
        rows.append(
            {
                "configuration": verdict.configuration,
                "current": verdict.configuration == current,
                "state": verdict.state,
                "since": verdict.since,
                "bodies": verdict.total.bodies,
                "failedAlike": alike,
                "reason": kind,
                "failingSince": verdict.failing_since,
                "sentToWait": verdict.waiting,
            }
        )
    return rows


def verdicts_table(verdicts: Sequence[Verdict], current: str | None) -> Table:
    """The same for a person."""
    table = Table(title="Configurations", title_justify="left")
    table.add_column("configuration", no_wrap=True)
    table.add_column("verdict")
    table.add_column("failed alike", justify="right", min_width=7)
    table.add_column("sent to wait", justify="right", min_width=7)
    table.add_column("most frequent reason")
    for verdict in verdicts:
        kind, alike = verdict.total.commonest
        mark = "\n(current)" if verdict.configuration == current else ""
        since = f" since {verdict.since[:19].replace('T', ' ')}Z" if verdict.since else ""
        table.add_row(
            f"{verdict.configuration[:12]}{mark}",
            f"{verdict.state}{since}",
            f"{alike:,} of {verdict.total.bodies:,}",
            f"{verdict.waiting:,}",
            escape(kind or ""),
        )
    return table
