"""Lead a partition past events that stop it, without losing them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated

import typer
from azure.storage.blob.aio import BlobServiceClient

from everscore.adapters import checkpoints
from everscore.adapters.checkpoints import Position
from everscore.adapters.hub import HubReader
from everscore.adapters.hub_answers import PartitionState
from everscore.clock import times
from everscore.config.settings import Settings
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.failures import Permanent, Stage
from everscore.flow.ending import note
from everscore.ports import HubEvent
from everscore_cli import observe, project
from everscore_cli.clients import storage
from everscore_cli.clients.destinations import Destinations, destinations, hub_reader
from everscore_cli.console import bars, counted, err, out, print_json, steps
from everscore_cli.environments import chosen
from everscore_cli.errors import CliError
from everscore_local.stack import HOST

app = typer.Typer(no_args_is_help=True, help="Move a partition past events that block it.")

# Seconds between two looks at the checkpoint.
_LOOK = 0.5


# A callback keeps "skip" a sub-command, where there is but one.
@app.callback()
def partition() -> None:
    """Move a partition past events that block it."""


@app.command()
def skip(
    partition_id: Annotated[
        str, typer.Argument(metavar="PARTITION", help="Its id, as `everscore status` shows.")
    ],
    to: Annotated[int, typer.Option("--to", min=0, help="The last sequence number to skip.")],
    *,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait until the host goes on behind these events.")
    ] = 300.0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a sentence.")] = False,
) -> None:
    """Make the events up to --to dead letters, and let the host continue after them.

    For events that fail before the app sees them: nothing in the app can lead past those. The checkpoint is
    moved and the host restarted (of one in Azure the command says how). The events keep their bytes in the
    dead letters, to be redriven once the cause is fixed.
    """
    target = project.target()

    async def prepare() -> int:
        settings = target.settings
        async with (
            hub_reader(settings) as hub,
            destinations(settings) as found,
            storage.host_blobs(settings) as blobs,
        ):
            first = await _first(hub, blobs, target, partition_id, to)
            if not await blobs.get_container_client(checkpoints.CONTAINER).exists():
                raise CliError(
                    "There is no checkpoint to move, since no Functions host has run with this storage yet: "
                    f"{'deploy the app' if chosen() else 'start it with `everscore up`'} first."
                )
            count = to - first + 1
            question = (
                f"Dead-letter {counted(count, 'event')} of partition {partition_id} ({first} to {to}), "
                f"unread, and restart the Functions host?"
            )
            if not yes and not typer.confirm(question, err=True):
                return 0
            # Letters first: an event that is a letter and comes to the app all the same is just a repeat.
            await _bury(hub, found, partition_id, first, to)
            await checkpoints.move(
                blobs,
                partition_id,
                to,
                namespace=settings.eventhub_host(),
                hub=settings.eventhub_name,
                group=settings.eventhub_consumer_group,
            )
            return count

    count = asyncio.run(prepare())
    if count:
        # A host that tries a batch again and again looks at no checkpoint until it starts anew.
        _restart_host(target, partition_id)
        asyncio.run(_moved_on(target.settings, partition_id, to, wait))
    if as_json:
        print_json({"partition": partition_id, "skipped": count})
    elif count:
        out.print(
            f"Partition {partition_id}: {counted(count, 'new dead letter')}; the host goes on behind {to}. "
            "Once the cause is fixed: everscore deadletters redrive --reason skipped",
            highlight=False,
        )


async def _first(
    hub: HubReader, blobs: BlobServiceClient, target: project.Target, partition_id: str, to: int
) -> int:
    states = await hub.partitions()
    state = states.get(partition_id)
    if state is None:
        raise CliError(f"The hub has no partition {partition_id}; it has {', '.join(sorted(states))}.")
    if state.is_empty:
        raise CliError(f"Partition {partition_id} holds no event.")
    if to > state.last:
        raise CliError(f"--to {to} is past the last event of partition {partition_id}, {state.last}.")
    if to < state.first:
        raise CliError(
            f"--to {to} is before the first event that partition {partition_id} still holds, {state.first}: "
            "those before it have expired."
        )
    position = (await observe.positions(blobs, target.settings)).get(partition_id)
    if position is not None and position.number >= to:
        # As after a skip that was interrupted before the host was restarted.
        raise CliError(
            f"The checkpoint of partition {partition_id} is at {position.number} already. If the partition "
            f"is still stuck, its host has not read that yet: {_restart_by_hand(target)}."
        )
    return max(state.first, 0 if position is None else position.number + 1)


async def _bury(hub: HubReader, found: Destinations, partition_id: str, first: int, to: int) -> None:
    last = first - 1
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
                last = page[-1].source.sequence_number or 0
                progress.advance(bar, len(page))
    if last < to:
        raise CliError(f"The hub did not give the events up to {to}; nothing was skipped: try again.")


def _skipped(event: HubEvent, stamp: str) -> Item:
    item = Item(body=event.body, properties=event.properties or None, source=event.source)
    failure = Permanent(Stage.RETRY, "skipped by an operator", "unread, by everscore partition skip")
    note(Event(item, failure=failure), stamp)
    return item


def _restart_host(target: project.Target, partition_id: str) -> None:
    """Restart the stack's own host; of another one say how."""
    if target.stack is not None and target.stack.alive(HOST):
        with steps() as progress:
            progress.add_task("restarting the host")
            target.stack.restart(HOST)
        return
    err.print(
        f"The checkpoint of partition {partition_id} is moved. Now: [bold]{_restart_by_hand(target)}[/]",
        highlight=False,
        soft_wrap=True,
    )


def _restart_by_hand(target: project.Target) -> str:
    if chosen():
        return restart_command(target.variables)
    if target.stack is not None and target.stack.alive(HOST):
        return "`everscore restart`"
    return "restart the Functions host"


def restart_command(variables: Mapping[str, str]) -> str:
    """How the function app of a deployment is restarted, by the names that azd keeps of it."""
    names = {
        "--name": variables.get("EVERSCORE_FUNCTION_APP", "FUNCTION_APP"),
        "--resource-group": variables.get("AZURE_RESOURCE_GROUP", "GROUP"),
        "--subscription": variables.get("AZURE_SUBSCRIPTION_ID", "SUBSCRIPTION"),
    }
    return "az functionapp restart " + " ".join(f"{name} {value}" for name, value in names.items())


async def _moved_on(settings: Settings, partition_id: str, to: int, seconds: float) -> None:
    """Wait until the host has passed an event behind these, or has none to pass.

    Raises:
        CliError: it has not within so many seconds.
    """
    until = times.now() + timedelta(seconds=seconds)
    async with hub_reader(settings) as hub, storage.host_blobs(settings) as blobs:
        with steps() as progress:
            progress.add_task(f"waiting until the host goes on behind {to}")
            while True:
                states, positions = await asyncio.gather(hub.partitions(), observe.positions(blobs, settings))
                if _is_past(states[partition_id], positions.get(partition_id), to):
                    return
                if times.now() >= until:
                    break
                await asyncio.sleep(_LOOK)
    position = positions.get(partition_id)
    at = "no event" if position is None else str(position.number)
    raise CliError(
        f"The events up to {to} are dead letters, but within {seconds:g} s the host has not gone on behind "
        f"them: the checkpoint of partition {partition_id} is at {at}. Was the host restarted? If its log "
        f"shows another event that stops the partition, skip up to that one."
    )


def _is_past(state: PartitionState, position: Position | None, to: int) -> bool:
    reached = -1 if position is None else position.number
    return reached > to or (reached == to and (state.is_empty or state.last <= to))
