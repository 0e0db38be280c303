"""What a run found, as tables and as JSON."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from everscore_cli.console import escape, json_fields
from everscore_cli.demo.course import Outcome
from everscore_cli.demo.reconcile import Row

_BODY_CHARACTERS = 60


def as_json(outcome: Outcome, rate: float) -> dict[str, Any]:
    """All that the tables show."""
    account = outcome.account
    return {
        "addsUp": account.adds_up,
        "events": {
            "flights": _row(account.flights),
            "malformed": _row(account.malformed),
            "all": _row(account.total),
        },
        "waiting": json_fields(outcome.waiting),
        "strangers": account.strangers,
        "sentAgain": account.sent_again,
        "storedByRetry": account.retried,
        "throttledRequests": outcome.throttled_requests,
        "firstEventSeconds": outcome.first,
        "steadyRate": rate,
        "latencySeconds": json_fields(outcome.steady) if outcome.steady else None,
        "sendingEventsPerSecond": outcome.sending,
        "fullSpeed": {**json_fields(outcome.full), "eventsPerSecond": outcome.full.per_second},
        "seconds": outcome.seconds,
        "documents": outcome.documents,
        "deadLetter": outcome.letter,
    }


def show(console: Console, outcome: Outcome, rate: float) -> None:
    """Print the tables."""
    parts: list[RenderableType] = [_account(outcome), _figures(outcome, rate), _flights(outcome.documents)]
    if outcome.letter is not None:
        parts.append(_letter(outcome.letter))
    console.print(Group(*parts))


def _account(outcome: Outcome) -> Table:
    account = outcome.account
    table = Table("events", title="Every event, by id", title_justify="left")
    for column in ("sent", "stored", "superseded", "dead letters", "lost", "doubled"):
        table.add_column(column, justify="right")
    for label, row in (("flights", account.flights), ("malformed on purpose", account.malformed)):
        table.add_row(label, *_cells(row))
    table.add_section()
    table.add_row("all", *_cells(account.total), style="bold")
    waiting = outcome.waiting
    rest = [
        f"Waiting: {waiting.lag} in the hub, {waiting.retry} retry messages, {waiting.poison} poison messages"
    ]
    if account.strangers:
        rest.append(f"documents or dead letters of nobody's: {account.strangers}")
    if account.sent_again:
        rest.append(f"sent twice by the SDK: {account.sent_again}")
    verdict = "[green]It adds up.[/]" if account.adds_up else "[red]It does not add up.[/]"
    table.caption = f"{verdict} {'; '.join(rest)}."
    table.caption_justify = "left"
    return table


def _figures(outcome: Outcome, rate: float) -> Table:
    table = Table("figure", "value", title="How fast", title_justify="left")
    full = outcome.full
    if outcome.first is not None:
        table.add_row("the very first event, from enqueued to stored (cold start)", _ms(outcome.first))
    if outcome.steady is not None:
        steady = outcome.steady
        table.add_row(
            f"from enqueued to stored, {steady.events:,} events at {rate:,.0f}/s",
            f"p50 {_ms(steady.p50)}, p95 {_ms(steady.p95)}, p99 {_ms(steady.p99)}",
        )
    table.add_row("sending at full speed", f"{outcome.sending:,.0f} events/s")
    table.add_row(
        "end to end at full speed, from its first event until the throttling",
        f"[bold]{full.per_second:,.0f} events/s[/] ({full.stored:,} stored in {full.seconds:.1f} s)",
    )
    table.add_row(
        "refused by the throttled store",
        f"{outcome.throttled_requests:,} requests; {outcome.account.retried:,} events stored by a retry",
    )
    table.add_row("from the first event until nothing waited", f"{outcome.seconds:.0f} s")
    return table


def _flights(documents: list[dict[str, Any]]) -> Table:
    table = Table(title="Five of the flights, as scored and stored", title_justify="left")
    for column in ("flight", "route", "scheduled"):
        table.add_column(column)
    table.add_column("delay", justify="right")
    models = sorted({model for document in documents for model in document["scores"]})
    for model in models:
        table.add_column(escape(model))
    for document in documents:
        flight = document["event"]
        delay = flight.get("dep_delay")
        table.add_row(
            escape(f"{flight.get('carrier')} {flight.get('flight')}"),
            escape(f"{flight.get('origin')}-{flight.get('dest')}"),
            escape(str(flight.get("scheduled"))[:16].replace("T", " ")),
            "cancelled" if flight.get("cancelled") else f"{delay:+.0f} min" if delay is not None else "",
            *(_score(document["scores"].get(model, {})) for model in models),
        )
    return table


def _score(score: dict[str, Any]) -> str:
    """Label and value of one model, or why there are none."""
    value = score.get("value")
    label = str(score.get("label") or score.get("error", ""))
    return escape(label) + (f" {value:.3f}" if isinstance(value, float) else "")


def _letter(letter: dict[str, Any]) -> Table:
    item = letter["item"]
    table = Table("field", "value", title="One dead letter", title_justify="left", show_header=False)
    table.add_row("reason", Text(f"{item.get('stage')}: {item.get('reason')}", style="bold"))
    for name in ("field", "exception"):
        if item.get(name):
            table.add_row(name, Text(str(item[name])))
    table.add_row("body", Text(_body(item)))
    table.add_row("blob", Text(letter["blob"]))
    return table


def _body(item: dict[str, Any]) -> str:
    try:
        body = base64.b64decode(item.get("body") or "")
    except binascii.Error:
        return "(not readable)"
    text = body.decode(errors="backslashreplace")
    rest = f" … ({len(body):,} bytes)" if len(text) > _BODY_CHARACTERS else ""
    return f"{text[:_BODY_CHARACTERS]}{rest}" if text else "(empty)"


def _row(row: Row) -> dict[str, int]:
    return {
        "sent": row.sent,
        "stored": row.stored,
        "superseded": row.superseded,
        "deadLettered": row.dead_lettered,
        "lost": row.lost,
        "doubled": row.doubled,
    }


def _cells(row: Row) -> list[str]:
    bad = [f"[red]{count:,}[/]" if count else "0" for count in (row.lost, row.doubled)]
    return [f"{row.sent:,}", f"{row.stored:,}", f"{row.superseded:,}", f"{row.dead_lettered:,}", *bad]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"
