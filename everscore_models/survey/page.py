"""docs/frameworks.md, written from what the survey found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def page(results: Mapping[str, Any]) -> str:
    """The page.

    Args:
        results: ``seconds`` of the whole, ``versions`` by library, and ``rows``, each with ``library``,
            ``name``, ``instead`` and what `everscore_models.survey.running.run` says.
    """
    rows: Sequence[Mapping[str, Any]] = results["rows"]
    good = sum(row["verdict"] == "agrees" for row in rows)
    parts = [_text("head.md").format(tried=len(rows), good=good, refused=len(rows) - good)]
    libraries = dict.fromkeys(row["library"] for row in rows)
    parts += [_section(library, results["versions"].get(library, ""), rows) for library in libraries]
    minutes = max(1, round(results["seconds"] / 60))
    parts.append(_text("tail.md").format(minutes="a minute" if minutes == 1 else f"{minutes} minutes"))
    return "".join(parts)


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _section(library: str, versions: str, rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"\n## {library}\n\n{versions}\n\n| | agrees to | µs |\n|---|---|---|\n"]
    refused = []
    for row in rows:
        if row["library"] != library:
            continue
        if row["verdict"] == "agrees":
            share = row.get("roundedShare") or 0
            near = f", {share:.1%} of the rows near a split" if share else ""
            lines.append(
                f"| {_cell(row['name'])} | {row['difference']:.0e}{near} | {row['microseconds']:g} |\n"
            )
        else:
            refused.append(row)
    if refused:
        lines.append("\n| refused | the sentence | instead |\n|---|---|---|\n")
        lines += [
            f"| {_cell(row['name'])} | {_cell(row['reason'])} | {_cell(row['instead'])} |\n"
            for row in refused
        ]
    return "".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
