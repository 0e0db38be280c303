"""Read scored events from the store."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from everscore.event.identity import SCHEMA, encode_id
from everscore_cli import project
from everscore_cli.clients import store
from everscore_cli.console import escape, out, print_json
from everscore_cli.errors import CliError
from everscore_cli.fitting import Whole

LATEST = "SELECT TOP @count * FROM c ORDER BY c.time DESC"
BY_ID = "SELECT * FROM c WHERE c.id IN ({})"
_SYSTEM = ("_rid", "_self", "_etag", "_attachments", "_ts")


def query(
    doc_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="The id of one event, as it was sent or as it is stored: shows its whole document.",
        ),
    ] = None,
    *,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=1000, help="How many of the latest.")
    ] = 10,
    sql: Annotated[
        str | None, typer.Option(help="A query in Cosmos DB's SQL, over all partition keys.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show the latest scored events, the document of one ID, or the result of a query.

    The scores of a model named m: --sql 'SELECT c.id, c.scores["m"]["value"] AS score FROM c'. In brackets,
    since VALUE is a keyword of that SQL.
    """
    if doc_id is not None and sql is not None:
        raise CliError("Give an ID or --sql, not both.")
    target = project.target()
    if doc_id is not None:
        given: list[dict[str, object]] = [
            {"name": f"@id{number}", "value": each} for number, each in enumerate(_stored_ids(doc_id))
        ]
        sql = BY_ID.format(", ".join(str(each["name"]) for each in given))
        rows = asyncio.run(_rows(target, sql, given))
        if not rows:
            raise CliError(f"There is no document with the id {doc_id}.")
        print_json([_plain(row) for row in rows] if len(rows) > 1 else _plain(rows[0]))
        return
    if sql is None:
        rows = asyncio.run(_rows(target, LATEST, [{"name": "@count", "value": count}]))
    else:
        rows = asyncio.run(_rows(target, sql, []))
    if as_json:
        print_json([_plain(row) for row in rows])
    elif not rows:
        out.print("There are no documents yet." if sql is None else "No rows.")
    elif sql is None:
        _print_table(documents_table(rows))
    else:
        _print_rows([_plain(row) for row in rows])


def _stored_ids(given: str) -> list[str]:
    """The ids of documents that somebody may call so: stored like this, or made of this text or number."""
    found = {given, encode_id(given)}
    with contextlib.suppress(ValueError):
        number = json.loads(given)
        if type(number) in (int, float):
            found |= {encode_id(number, schema) for schema in range(1, SCHEMA + 1)}
    return sorted(found)


def documents_table(rows: Sequence[Any]) -> Table:
    """Scored events, one a row."""
    models = sorted({model for row in rows for model in row.get("scores", {})})
    table = Table()
    table.add_column("time", no_wrap=True, min_width=19)
    for name in ("id", "partition key"):
        table.add_column(name, overflow="fold")  # whole, to be copied
    for model in models:
        table.add_column(escape(model))
    table.add_column("attempts", justify="right")
    for row in rows:
        cells = [str(row.get("time") or "")[:19], str(row["id"]), str(row["pk"])]
        for model in models:
            score = row.get("scores", {}).get(model, {})
            # Of a regressor the label is null; of a model that is not required there may be an error alone.
            label = str(score.get("label", score.get("error", "")) or "")
            cells.append(f"{label} {_decimal(score.get('value'))}".strip())
        cells.append(str(row.get("pipeline", {}).get("attempts", "")))
        table.add_row(*(escape(cell) for cell in cells))
    return table


async def _rows(target: project.Target, sql: str, parameters: list[dict[str, object]]) -> list[Any]:
    async with store.documents(target.settings) as container:
        return [row async for row in container.query_items(sql, parameters=parameters)]


def _print_rows(rows: list[Any]) -> None:
    flat = all(isinstance(row, dict) for row in rows)
    if not flat or any(isinstance(value, dict | list) for row in rows for value in row.values()):
        print_json(rows)
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*columns)
    for row in rows:
        table.add_row(*(escape(str(row.get(name, ""))) for name in columns))
    _print_table(table)


def _print_table(table: Table) -> None:
    """On a terminal as wide as that; for another program whole, a line a row."""
    out.print(table if out.is_terminal else Whole(table), soft_wrap=not out.is_terminal)


def _plain(row: Any) -> Any:
    """A document without what the service adds for itself."""
    return (
        {name: value for name, value in row.items() if name not in _SYSTEM} if isinstance(row, dict) else row
    )


def _decimal(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else ""
