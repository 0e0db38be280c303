"""Lead a partition past events that stop it, without losing them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated

import typer

from everscore.adapters.hub import HubReader
from everscore.clock import times
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.failures import Permanent, Stage
from everscore.flow.ending import note
from everscore.ports import HubEvent
from everscore_cli import project
from everscore_cli.clients import storage
from everscore_cli.clients.destinations import Destinations, destinations, hub_reader
from everscore_cli.console import bars, out, print_json, steps
from everscore_cli.errors import CliError
from everscore_local.functions.checkpoints import CheckpointStore, Ownership
from everscore_local.functions.errors import ConfigurationError
from everscore_local.functions.host_json import load_host_json

app = typer.Typer(no_args_is_help=True, help="Lead a partition past events that stop it.")

OWNER = "everscore partition skip"
# Beyond the host's own interval: it must look at the ownership once, and let go of its batch.
_MARGIN = 10.0
# Seconds between two renewals of the claim, at most.
_RENEWAL = 5.0


# A callback keeps "skip" a sub-command, where there is but one.
@app.callback()
def partition() -> None:
    """Lead a partition past events that stop it."""


@app.command()
def skip(
    partition_id: Annotated[
        str, typer.Argument(metavar="PARTITION", help="Its id, as `everscore status` shows.")
    ],
    to: Annotated[int, typer.Option("--to", min=0, help="The last sequence number to skip.")],
    *,
    wait: Annotated[
        float | None, typer.Option(help="Seconds to hold the partition, until its host has let go.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a sentence.")] = False,
) -> None:
    """Dead-letter the events up to --to, from the hub itself, and move the checkpoint past them.

    For events that fail before the app sees them: nothing in the app can lead past those. The events keep
    their bytes in the dead letters, to be redriven once the cause is mended.
    """
    target = project.target()
    interval = _interval(target)
    hold = interval + _MARGIN if wait is None else wait

    async def work() -> int:
        settings = target.settings
        async with (
            hub_reader(settings) as hub,
            destinations(settings) as found,
            storage.host_blobs(settings) as blobs,
        ):
            checkpoints = CheckpointStore.of_service(
                blobs, settings.eventhub_host(), settings.eventhub_name, settings.eventhub_consumer_group
            )
            first = await _first(hub, checkpoints, partition_id, to)
            count = to - first + 1
            question = f"Dead-letter {count:,} events of partition {partition_id} ({first} to {to}), unread?"
            if not yes and not typer.confirm(question, err=True):
                return 0
            # In this order, since each step alone is safe: letters first (an event in both places is a
            # repeat), then the partition is taken, so that its host drops its batch without a checkpoint.
            last = await _bury(hub, found, partition_id, first, to)
            await _take_over(checkpoints, partition_id, last, hold, interval)
            return count

    count = asyncio.run(work())
    if as_json:
        print_json({"partition": partition_id, "skipped": count})
    elif count:
        out.print(
            f"{count:,} events of partition {partition_id} are dead letters; its checkpoint is at {to}. "
            "Once the cause is mended: everscore deadletters redrive --reason skipped",
            highlight=False,
        )


async def _first(hub: HubReader, checkpoints: CheckpointStore, partition_id: str, to: int) -> int:
    states = await hub.partitions()
    state = states.get(partition_id)
    if state is None:
        raise CliError(f"The hub has no partition {partition_id}; it has {', '.join(sorted(states))}.")
    if state.is_empty:
        raise CliError(f"Partition {partition_id} holds no event.")
    if to > state.last:
        raise CliError(f"--to {to} is past the last event of partition {partition_id}, {state.last}.")
    checkpoint = await checkpoints.checkpoint(partition_id)
    passed = checkpoint.sequence_number if checkpoint else None
    if passed is not None and passed >= to:
        raise CliError(f"The checkpoint of partition {partition_id} is at {passed} already.")
    return max(state.first, 0 if passed is None else passed + 1)


async def _bury(hub: HubReader, found: Destinations, partition_id: str, first: int, to: int) -> HubEvent:
    last: HubEvent | None = None
    stamp = times.milliseconds_text(times.now())
    with bars() as progress:
        bar = progress.add_task("dead-lettering", total=to - first + 1, rate="")
        async with aclosing(hub.read(partition_id, first, to)) as pages:
            async for page in pages:
                items = [_skipped(event, stamp) for event in page]
                if await found.placing.dead_letter(items):
                    raise CliError(
                        "The dead letters did not take all events; nothing was skipped: try again."
                    )
                last = page[-1]
                progress.advance(bar, len(page))
    if last is None or (last.source.sequence_number or 0) < to:
        raise CliError(f"The hub did not give the events up to {to}; nothing was skipped: try again.")
    return last


def _skipped(event: HubEvent, stamp: str) -> Item:
    item = Item(body=event.body, properties=event.properties or None, source=event.source)
    failure = Permanent(Stage.RETRY, "skipped by an operator", "unread, by everscore partition skip")
    note(Event(item, failure=failure), stamp)
    return item


async def _take_over(
    checkpoints: CheckpointStore, partition_id: str, last: HubEvent, hold: float, interval: float
) -> None:
    claim = await _claim(checkpoints, partition_id)
    try:
        with steps() as progress:
            progress.add_task(f"holding partition {partition_id} until its host has let go")
            until = times.now() + timedelta(seconds=hold)
            while times.now() < until:
                # More often than its host, so that the claim never looks expired.
                await asyncio.sleep(min(_RENEWAL, interval / 2, hold))
                renewed = await checkpoints.claim(partition_id, OWNER, claim.etag)
                if renewed is None:  # its host has taken it back, and with it the batch: from the beginning
                    renewed = await _claim(checkpoints, partition_id)
                    until = times.now() + timedelta(seconds=hold)
                claim = renewed
        await checkpoints.update_checkpoint(
            partition_id, last.source.offset or "", last.source.sequence_number or 0, OWNER
        )
    finally:
        await checkpoints.claim(partition_id, "", claim.etag)


async def _claim(checkpoints: CheckpointStore, partition_id: str) -> Ownership:
    for _ in range(20):  # its host renews the claim meanwhile, and then the ETag is another
        etags = {each.partition: each.etag for each in await checkpoints.list_ownership()}
        claim = await checkpoints.claim(partition_id, OWNER, etags.get(partition_id))
        if claim is not None:
            return claim
    raise CliError(f"The ownership of partition {partition_id} cannot be taken: it changes all the time.")


def _interval(target: project.Target) -> float:
    """Seconds between two looks of the host at the ownership, as host.json has it."""
    try:
        return load_host_json(target.app).event_hubs.load_balancing_update_interval
    except ConfigurationError as error:
        raise CliError(str(error)) from error
