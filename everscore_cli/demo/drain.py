"""Waiting until nothing is on its way any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from everscore.config.settings import Settings
from everscore_cli.errors import CliError
from everscore_cli.observe import HubEnd, checkpoints, queue_depth, with_lag
from everscore_local.stack import PARTS, Stack

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Waiting:
    """What has not come to an end yet.

    Attributes:
        lag: events of the hub that the host has not passed.
        retry: messages in the retry queue, those that wait for their time included.
        poison: messages in its poison queue.
    """

    lag: int
    retry: int
    poison: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.lag + self.retry + self.poison


@dataclass(frozen=True, slots=True)
class Services:
    """What is asked again and again."""

    settings: Settings
    blobs: BlobServiceClient
    queues: QueueServiceClient

    async def waiting(self, ends: Mapping[str, HubEnd]) -> Waiting:
        """What waits at this moment, asked in the order in which events move on."""
        passed = await checkpoints(self.blobs, self.settings)
        lag = sum(partition.lag for partition in with_lag(ends, passed))
        retry = await queue_depth(self.queues, self.settings.retry_queue)
        poison = await queue_depth(self.queues, f"{self.settings.retry_queue}-poison")
        return Waiting(lag, retry, poison)


async def drain(
    stack: Stack,
    services: Services,
    ends: Mapping[str, HubEnd],
    seconds: float,
    on_poll: Callable[[Waiting], None],
) -> Waiting:
    """Wait until everything has come to an end, or the time is up.

    Args:
        stack: its parts must live on.
        services: where to look.
        ends: up to where the hub is to be processed.
        seconds: how long at most.
        on_poll: called with what still waits.

    Returns:
        what waits at last.

    Raises:
        CliError: a part of the stack died.
    """
    deadline = time.monotonic() + seconds
    zeros = 0
    while True:
        check_alive(stack)
        waiting = await services.waiting(ends)
        on_poll(waiting)
        # Twice: housekeeping may have moved a message between two of the questions.
        zeros = zeros + 1 if waiting.total == 0 else 0
        if zeros == 2 or time.monotonic() > deadline:
            return waiting
        await asyncio.sleep(_POLL_SECONDS)


def check_alive(stack: Stack) -> None:
    """Make sure that every part runs.

    Raises:
        CliError: one does not.
    """
    for part in PARTS:
        if not stack.alive(part):
            raise CliError(f"{part} has died in mid-run: see {stack.log(part)}.")
