"""One group at work: its app, its hosts, its events, the faults around them, and the account at the end."""

from __future__ import annotations

import asyncio
import base64
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from azure.eventhub.aio import EventHubConsumerClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from everscore.clock import times
from everscore.config.settings import load_settings
from everscore.event.item import Source
from everscore_cli.observe import HubEnd, checkpoints, hub_ends, queue_depth, with_lag
from tests.chaos.bench import Bench, HostProcess, group_names, make_app
from tests.chaos.oracle import Oracle
from tests.chaos.reckoning import (
    Found,
    HubEvent,
    Place,
    Row,
    SameScores,
    read_documents,
    read_hub,
    read_letters,
    reckon,
    scores_of_oracle,
)
from tests.chaos.traffic import Flights, Sender, Sent
from tests.support.app import plain_environment
from tests.support.services import ROOT

POLL_SECONDS = 0.25
# Waits end after these seconds without a step forward: how long the whole takes depends on the machine.
STANDSTILL_SECONDS = 60.0
DRAIN_SECONDS = 150.0
# For one thing that must happen. It ends a wait that would have no end, far above what a busy machine needs.
PATIENCE_SECONDS = 180.0
HOST_MODULE = "everscore_local.functions"

type Mutate = Callable[[Path, dict[str, str]], str]
"""Takes a mechanism out of an app's copy and its settings; returns the module that runs the host."""


class NotInTimeError(Exception):
    """A condition that a group waited for was not met; the message says which."""


class CommandFailedError(Exception):
    """An operator's command did not do what was asked; the message is what it printed."""


def no_mutation(_app: Path, _settings: dict[str, str]) -> str:
    """The app as it is."""
    return HOST_MODULE


class _Moving:
    """Tells whether what is left becomes less: the least that was seen, and when.

    Args:
        seconds: without a step forward, after which nothing moves any more.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._least: tuple[int, ...] | None = None
        self._since = time.monotonic()

    def is_with(self, *left: int) -> bool:
        """Whether things move, with so much left of each kind; less of an earlier kind outweighs the later."""
        if self._least is None or left < self._least:
            self._least = left
            self._since = time.monotonic()
        return time.monotonic() - self._since <= self._seconds


class Run:
    """What a group works with.

    Attributes:
        names: of its hub, container and queue.
        rng: the draws of this group.
        flights: well-formed events.
        app: the folder of its app's copy.
        settings: of its host; a group may change them before it starts the host.
        host: the first host.
        events: how many events the group sends, over all its rows.
    """

    def __init__(
        self,
        bench: Bench,
        group: str,
        folder: Path,
        *,
        flights: Sequence[dict[str, Any]],
        seed: int,
        events: int,
        say: Callable[[str], None],
        mutate: Mutate = no_mutation,
    ) -> None:
        self.bench = bench
        self.group = group
        self.names = group_names(group)
        self.rng = random.Random(f"{seed}-{group}")
        self.flights = Flights(flights, self.rng)
        self.folder = folder
        self.app = folder / "app"
        self.settings = bench.settings(self.names)
        self.events = events
        self.hosts: list[HostProcess] = []
        self.drain_seconds = DRAIN_SECONDS
        self.rows: dict[str, Row] = {}
        self.same_scores: SameScores = scores_of_oracle
        self.earlier: list[HubEvent] = []
        self.foreigners: list[Sent] = []
        self.notes: list[str] = []
        self._say = say
        self._mutate = mutate
        self._acted: dict[str, int] = {}
        self._oracles: list[tuple[Callable[[HubEvent], bool], Oracle]] = []
        self._clients = AsyncExitStack()
        self.sender: Sender
        self._consumer: EventHubConsumerClient
        self.blobs: BlobServiceClient
        self.queues: QueueServiceClient

    # -- the app and its hosts

    def make_app(self, **options: Any) -> None:
        """Make the group's copy of the app; see ``tests.chaos.bench.make_app``."""
        make_app(self.app, **options)
        self._module = self._mutate(self.app, self.settings)

    def copy_app(self, folder: Path, **options: Any) -> Path:
        """Another copy of the app, the mutation included."""
        make_app(folder, **options)
        self._mutate(folder, {})
        return folder

    async def open(self) -> None:
        """Create what the deployment creates, and connect."""
        await self.bench.provision(self.names)
        await self._connect()

    async def _connect(self) -> None:
        enter = self._clients.enter_async_context
        self.sender = Sender(self.bench.hub, self.names.hub)
        self._clients.push_async_callback(self.sender.close)
        self._consumer = await enter(
            EventHubConsumerClient.from_connection_string(
                self.bench.hub, "$Default", eventhub_name=self.names.hub
            )
        )
        self.blobs = await enter(BlobServiceClient.from_connection_string(self.bench.storage))
        self.queues = await enter(QueueServiceClient.from_connection_string(self.bench.storage))

    async def reconnect(self) -> None:
        """Connect anew after the hub was made anew; what was sent stays known."""
        sent = self.sender.sent
        await self._clients.aclose()
        self._clients = AsyncExitStack()
        await self._connect()
        self.sender.sent = sent

    async def close(self) -> None:
        """End hosts and connections."""
        for host in self.hosts:
            await host.kill()
        await self._clients.aclose()

    @property
    def host(self) -> HostProcess:
        """The host that was started last."""
        return self.hosts[-1]

    async def start_host(self, app: Path | None = None, **changed: str) -> HostProcess:
        """Start a host, besides those that run."""
        settings = {**self.settings, **changed}
        host = await self.bench.start_host(app or self.app, settings, self._module)
        self.hosts.append(host)
        return host

    async def restart_host(self, app: Path | None = None, **changed: str) -> HostProcess:
        """Stop the last host in order, and start another."""
        await self.host.stop()
        return await self.start_host(app, **changed)

    async def operator(self, *arguments: str) -> str:
        """Run an ``everscore`` command on this group's app, as its operator would; what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "everscore_cli.main", *arguments),
            cwd=self.app,
            env={
                **plain_environment(),
                **self.settings,
                "PYTHONPATH": str(ROOT),
                "EVERSCORE_STATE": str(self.folder / "state"),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        if process.returncode:
            raise CommandFailedError(f"{self.group}: everscore {' '.join(arguments)}: {printed.decode()}")
        return printed.decode()

    # -- sending

    async def send(self, events: Sequence[Sent]) -> None:
        """Send events; they are on the hub's disk at the end."""
        await self.sender.send(events)
        self.progress()

    async def send_slowly(self, events: Sequence[Sent], seconds: float) -> None:
        """Send events spread over some seconds, so that a fault meets many batches."""
        steps = max(1, min(len(events), int(seconds / 0.25)))
        size = -(-len(events) // steps)
        for start in range(0, len(events), size):
            began = time.monotonic()
            await self.send(events[start : start + size])
            await asyncio.sleep(max(0.0, seconds / steps - (time.monotonic() - began)))

    def progress(self) -> None:
        """Say how far the group has come."""
        self._say(f"{len(self.sender.sent):,} sent")

    def elsewhere(self, sent: Sent, partition: str, **more: Any) -> dict[str, Any]:
        """An item for a retry message that a group writes itself, of an event in no hub; it is accounted for too."""
        sequence = len(self.earlier)
        enqueued = times.milliseconds_text(times.now())
        self._register(sent, (partition, sequence, enqueued))
        source = {
            "namespace": "127.0.0.1",
            "hub": self.names.hub,
            "partition": partition,
            "sequenceNumber": sequence,
            "enqueuedAt": enqueued,
        }
        return {"body": base64.b64encode(sent.body).decode(), "source": source, "attempts": 1, **more}

    def ghost(self, row: str, source: dict[str, Any], reason: str) -> None:
        """An event whose body is nowhere, which must become a dead letter without one."""
        place = (source["partition"], source["sequenceNumber"], source["enqueuedAt"])
        self._register(Sent(row, b"", reasons=frozenset({reason})), place)

    def _register(self, sent: Sent, place: Place) -> None:
        sent.number = len(self.sender.sent)
        self.sender.sent.append(sent)
        partition, sequence, enqueued = place
        source = Source(
            namespace="127.0.0.1",
            hub=self.names.hub,
            partition=partition,
            sequence_number=sequence,
            enqueued_at=enqueued,
        )
        self.earlier.append(HubEvent(place, sent.number, sent.body, {}, source))

    def foreign(self, row: str, body: bytes, reason: str) -> None:
        """A message that is none of ours, which must become a dead letter byte for byte."""
        self.foreigners.append(Sent(row, body, reasons=frozenset({reason})))

    # -- faults

    @asynccontextmanager
    async def acting(self, row: str) -> AsyncIterator[None]:
        """Count what the gateways do in the block as the fault of a row."""
        store, proxy = self.bench.store, self.bench.proxy
        before = store.acted + proxy.acted
        self._say(row)
        try:
            yield
        finally:
            self.acted(row, store.acted + proxy.acted - before)

    def acted(self, row: str, count: int = 1) -> None:
        """Note that a row's fault has acted."""
        self._acted[row] = self._acted.get(row, 0) + count

    def problem(self, row: str, what: str) -> None:
        """Note what else is wrong with a row."""
        self.rows.setdefault(row, Row()).problems.append(what)

    # -- waiting

    async def until(self, met: Callable[[], Awaitable[bool]], seconds: float, what: str) -> None:
        """Wait for a condition.

        Raises:
            NotInTimeError: it is not met in time.
        """
        deadline = time.monotonic() + seconds
        while not await met():
            if time.monotonic() > deadline:
                raise NotInTimeError(f"{self.group}: not within {seconds:g} s: {what}")
            self._say(f"waits: {what}")
            await asyncio.sleep(POLL_SECONDS)

    async def ends(self) -> dict[str, HubEnd]:
        """The range of every partition of the hub."""
        return await hub_ends(self._consumer)

    async def passed_numbers(self) -> dict[str, int]:
        """The checkpoints, by partition."""
        return await checkpoints(self.blobs, load_settings(self.settings))

    async def lag(self) -> int:
        """Events of the hub that the host has not passed."""
        passed = await self.passed_numbers()
        return sum(partition.lag for partition in with_lag(await self.ends(), passed))

    async def queued(self) -> int:
        """Messages in the retry queue and its poison queue, those that wait or are held included."""
        names = (self.names.queue, f"{self.names.queue}-poison")
        return sum([await queue_depth(self.queues, name) for name in names])

    async def passed(self, seconds: float = STANDSTILL_SECONDS) -> None:
        """Wait until the host has passed all that was sent.

        Raises:
            NotInTimeError: for so many seconds it has passed nothing.
        """
        moving = _Moving(seconds)
        while lag := await self.lag():
            if not moving.is_with(lag):
                raise NotInTimeError(
                    f"{self.group}: for {seconds:g} s the host has not passed {lag:,} events"
                )
            self._say(f"{len(self.sender.sent):,} sent, {lag:,} before the host")
            await asyncio.sleep(POLL_SECONDS)

    async def waiting(self) -> bool:
        """Whether something is in the retry queue."""
        return await self.queued() > 0

    async def drained(self, left: int = 0) -> None:
        """Wait until nothing is on its way but so many messages; sweep the poison queue as its timer would.

        Raises:
            NotInTimeError: for ``drain_seconds`` neither has become fewer.
        """
        zeros = 0
        moving = _Moving(self.drain_seconds)
        swept = time.monotonic()
        while zeros < 2:
            lag, queued = await self.lag(), await self.queued()
            self._say(f"{len(self.sender.sent):,} sent, {lag:,} before the host, {queued:,} messages wait")
            zeros = zeros + 1 if lag == 0 and queued <= left else 0
            if not moving.is_with(lag, queued):
                raise NotInTimeError(
                    f"{self.group}: for {self.drain_seconds:g} s {lag} events and {queued} messages wait"
                )
            if time.monotonic() - swept > 5 and await queue_depth(self.queues, f"{self.names.queue}-poison"):
                await self.host.run_timer("housekeeping")
                swept = time.monotonic()
            await asyncio.sleep(POLL_SECONDS)

    # -- the account

    def know(self, oracle: Oracle, applies: Callable[[HubEvent], bool] = lambda _event: True) -> None:
        """Let an oracle judge the events to which it applies; the last one that does counts."""
        self._oracles.append((applies, oracle))

    def _oracle_of(self, event: HubEvent) -> Oracle:
        return next(oracle for applies, oracle in reversed(self._oracles) if applies(event))

    async def read_hub(self) -> list[HubEvent]:
        """All that the hub holds now."""
        return await read_hub(self.bench.hub, self.names, await self.ends())

    async def reckon(self) -> dict[str, Row]:
        """The account of everything sent."""
        hub, documents, letters = await asyncio.gather(
            self.read_hub(),
            read_documents(self.bench.cosmos, self.names),
            read_letters(self.bench.storage, self.names),
        )
        if not self._oracles:
            self.know(Oracle(self.app))
        found = Found([*self.earlier, *hub], documents, letters)
        rows = await asyncio.to_thread(
            reckon, self.sender.sent, found, self._oracle_of, self.same_scores, self.foreigners
        )
        for name, row in self.rows.items():
            rows[name] = rows.get(name, Row()) + row
        for name, count in self._acted.items():
            row = rows.setdefault(name, Row())
            row.acted += count
            if not row.acted:
                row.problems.append("the fault never acted: the row proves nothing")
        for host in self.hosts:
            self._look_into(host, rows)
        return rows

    def _look_into(self, host: HostProcess, rows: Mapping[str, Row]) -> None:
        """A time-out that no fault of the group calls for is a broken deadline."""
        overran = host.log().count("ran longer than functionTimeout")
        if overran and not any("time-out of the function" in name for name in rows):
            next(iter(rows.values())).problems.append(f"{overran} invocations overran the function time-out")
