"""Send a range of the hub through the pipeline once more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated

import typer

from everscore.adapters.hub_answers import PartitionState
from everscore.ports import HubEvent
from everscore.retry.placing import Delayed
from everscore_cli import project
from everscore_cli.clients.destinations import Destinations, destinations, hub_reader
from everscore_cli.console import bars, counted, out, print_json
from everscore_cli.errors import CliError
from everscore_cli.moments import parse_range
from everscore_cli.redriving import replayed


def replay(
    partition: Annotated[str | None, typer.Option(help="Just this partition; all of them otherwise.")] = None,
    first: Annotated[int | None, typer.Option("--from-sequence", min=0, help="From this number on.")] = None,
    last: Annotated[int | None, typer.Option("--to-sequence", min=0, help="Up to this number.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Enqueued from then on: a time, or an age such as 24h.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Enqueued before then: a time, or an age.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a sentence.")] = False,
) -> None:
    """Send events that the hub still holds through the retry path; what is stored already stays as it is."""
    if (first is not None or last is not None) and partition is None:
        raise CliError("Sequence numbers are counted by partition: give --partition too.")
    if first is not None and since is not None:
        raise CliError("Give --from-sequence or --since, not both.")
    if first is not None and last is not None and first > last:
        raise CliError(f"--to-sequence {last} is before --from-sequence {first}: nothing lies between them.")
    start, end = parse_range(since, until)

    async def work() -> int:
        settings = project.target().settings
        async with hub_reader(settings) as hub, destinations(settings) as found:
            states = await hub.partitions()
            if partition is not None and partition not in states:
                raise CliError(f"The hub has no partition {partition}; it has {', '.join(sorted(states))}.")
            chosen = {each: states[each] for each in ([partition] if partition else states)}
            with bars() as progress:

                async def one(each: str, state: PartitionState) -> int:
                    bar = progress.add_task(f"partition {each}", total=_span(state, first, last), rate="")
                    begin = start or (state.first if first is None else max(first, state.first))
                    count = 0
                    async with aclosing(hub.read(each, begin, last, state=state)) as pages:
                        async for page in pages:
                            wanted = _before(page, end)
                            if wanted and not dry_run:
                                await _send(found, wanted)
                            count += len(wanted)
                            progress.advance(bar, len(page))
                            if len(wanted) < len(page):
                                break
                    progress.update(bar, total=progress.tasks[bar].completed)
                    return count

                return sum(await asyncio.gather(*(one(each, state) for each, state in chosen.items())))

    count = asyncio.run(work())
    if as_json:
        print_json({"replayed": 0 if dry_run else count, "found": count})
    elif dry_run:
        out.print(f"{counted(count, 'event')} would be replayed.", highlight=False)
    elif not count:
        out.print("The hub holds no such event: nothing is replayed.")
    else:
        out.print(
            f"Replaying {counted(count, 'event')}: `everscore status` shows the retry queue.", highlight=False
        )


async def _send(found: Destinations, events: Sequence[HubEvent]) -> None:
    if await found.placing.enqueue([Delayed(replayed(event), 0.0) for event in events]):
        source = events[-1].source
        raise CliError(
            f"The retry queue did not take all events of partition {source.partition} up to "
            f"{source.sequence_number}: run the same command again."
        )


def _span(state: PartitionState, first: int | None, last: int | None) -> int:
    if state.is_empty:
        return 0
    begin = state.first if first is None else max(first, state.first)
    end = state.last if last is None else min(last, state.last)
    return max(0, end - begin + 1)


def _before(page: Sequence[HubEvent], end: datetime | None) -> list[HubEvent]:
    if end is None:
        return list(page)
    text = end.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [event for event in page if (event.source.enqueued_at or "") < text]
