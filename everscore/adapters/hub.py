"""Reads ranges of a hub beside the trigger: for bodies whose claim check is gone, replays and skips."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.exceptions import EventHubError

from everscore.adapters.amqp_values import install
from everscore.adapters.bounds import bounded
from everscore.adapters.credentials import Credentials
from everscore.adapters.hub_answers import PartitionState, event_of, failure_of, state_of
from everscore.clock.deadline import Deadline
from everscore.config.connections import Connection, parts_of
from everscore.event.item import Source
from everscore.failures import Failure, Stage
from everscore.ports import HubEvent

logger = logging.getLogger(__name__)

# Readers of the trigger's own group are turned away by its owner level, and the default group always exists.
GROUP = "$Default"
_PAGE = 300
_WAIT = 2.0
# Seconds for one question, which opens a connection of its own. The SDK waits for an answer without end.
_ANSWER = 20.0
# Seconds within which a reading says something, be it that nothing came: it says so every 2 seconds.
_SILENCE = 20.0
# Seconds without an event, while the partition holds more, after which a reading is given up.
_PATIENCE = 30.0
# Seconds that a reading has for its cleaning up, the end of its connection included.
_ENDING = 10.0
# Seconds for reading one event: its turn, its connection and its end included.
_FETCH = 45.0
# Each question to the hub opens a connection of its own, and a hub seldom gets more partitions.
_IDS_SECONDS = 3600.0


class HubReader:
    """Reads a hub without owning its partitions and without moving a checkpoint.

    Args:
        connection: of the namespace.
        hub: its name.
        credentials: for a connection without a key.
    """

    def __init__(self, connection: Connection, hub: str, *, credentials: Credentials) -> None:
        install()
        self.hub = hub
        self._ids: list[str] = []
        self._ids_until = 0.0
        # The client reads a partition once at a time.
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._connection = connection
        self._credentials = credentials
        self._client = self._make_client()
        self._given_up: list[EventHubConsumerClient] = []
        if connection.connection_string:
            # As the host names it in a trigger's metadata: without a port.
            endpoint = parts_of(connection.connection_string)["endpoint"]
            self.namespace = urlsplit(endpoint).hostname or ""
        else:
            self.namespace = connection.endpoints["namespace"]

    def _make_client(self) -> EventHubConsumerClient:
        connection = self._connection
        if connection.connection_string:
            return EventHubConsumerClient.from_connection_string(
                connection.connection_string, GROUP, eventhub_name=self.hub, retry_total=1
            )
        return EventHubConsumerClient(
            connection.endpoints["namespace"],
            self.hub,
            GROUP,
            self._credentials.get(connection.client_id),
            retry_total=1,
        )

    async def partitions(self) -> dict[str, PartitionState]:
        """Every partition by its id.

        Raises:
            Failure: the hub cannot be reached.
        """
        ids = await self._partition_ids()
        states = await asyncio.gather(*(self._state(each) for each in ids))
        return dict(zip(ids, states, strict=True))

    async def _partition_ids(self) -> list[str]:
        if time.monotonic() >= self._ids_until:
            async with self._bounded(_ANSWER):
                self._ids = await self._client.get_partition_ids()
            self._ids_until = time.monotonic() + _IDS_SECONDS
        return self._ids

    async def _state(self, partition: str) -> PartitionState:
        try:
            async with self._bounded(_ANSWER):
                return state_of(await self._client.get_partition_properties(partition))
        except Failure:
            self._ids_until = 0.0  # a hub made anew may have others
            raise

    @asynccontextmanager
    async def _bounded(self, seconds: float) -> AsyncIterator[None]:
        async with bounded(Stage.RETRY, "hub", f"hub {self.hub}", seconds):
            try:
                yield
            except (EventHubError, AzureError, OSError) as error:
                raise failure_of(self.hub, error) from error

    async def fetch(self, source: Source) -> HubEvent | None:
        """The event with that place; None where the hub no longer holds it, or the place is not known whole.

        Raises:
            Failure: the hub cannot be read.
        """
        place = source.place
        if place is None or place.hub != self.hub.lower():
            return None
        if place.partition not in await self._partition_ids():
            self._ids_until = 0.0  # it may be new: what is said to be gone here is given up
            if place.partition not in await self._partition_ids():
                return None
        state = await self._state(place.partition)
        number = place.sequence_number
        if state.is_empty or not state.first <= number <= state.last:
            return None
        async with (
            self._bounded(_FETCH),
            self._turns[place.partition],
            aclosing(self.read(place.partition, number, number, state=state)) as found,
        ):
            async for page in found:
                for event in page:
                    # A hub made anew counts from 0 again: the time tells its events from the old ones.
                    if event.source.place == place:
                        return event
        return None

    async def read(
        self,
        partition: str,
        start: int | datetime,
        last: int | None = None,
        *,
        state: PartitionState | None = None,
    ) -> AsyncGenerator[list[HubEvent]]:
        """Pages of a partition, in order.

        Args:
            partition: its id.
            start: the first sequence number, or the time from which on.
            last: the last sequence number; what is the last when the read begins, where None.
            state: the partition's, where it is known already; asking takes about a second.

        Raises:
            Failure: the hub cannot be read, or not to the end of the range.
        """
        state = state or await self._state(partition)
        last = state.last if last is None else min(last, state.last)
        if state.is_empty or (start > last if isinstance(start, int) else start > state.last_enqueued_at):
            return
        pages: asyncio.Queue[list[EventData] | BaseException] = asyncio.Queue(maxsize=4)

        async def take(_: PartitionContext, events: list[EventData]) -> None:
            await pages.put(events)

        async def fail(_: PartitionContext | None, error: Exception) -> None:
            await pages.put(error)

        client = self._client
        task = asyncio.create_task(
            client.receive_batch(
                take,
                partition_id=partition,
                starting_position=start,
                starting_position_inclusive=True,
                max_batch_size=_PAGE,
                max_wait_time=_WAIT,
                on_error=fail,
                prefetch=_PAGE,
            )
        )
        patience = Deadline.after(_PATIENCE)
        try:
            while True:
                page = await _next(pages, task)
                if isinstance(page, BaseException):
                    raise failure_of(self.hub, page) from page
                if not page:
                    # The hub is late, for its newest event is beyond the range or in it; or all has expired.
                    state = await self._state(partition)
                    if state.is_empty or state.first > last:
                        return
                    if patience.passed:
                        late = TimeoutError(f"no event came for {_PATIENCE:g} seconds, and {last} is there")
                        raise failure_of(self.hub, late)
                    continue
                patience = Deadline.after(_PATIENCE)
                events = [event_of(self.namespace, self.hub, partition, each) for each in page]
                inside = [each for each in events if (each.source.sequence_number or 0) <= last]
                if inside:
                    yield inside
                if (events[-1].source.sequence_number or 0) >= last:
                    return
        finally:
            task.cancel()
            try:
                await _ended(task)
            finally:
                if not task.done():
                    self._give_up(client)

    def _give_up(self, client: EventHubConsumerClient) -> None:
        """Go on with another client, since this one holds for ever that a partition is being read."""
        if client is self._client:
            logger.warning("A reading of hub %s does not end: its client is given up.", self.hub)
            self._client = self._make_client()
            self._given_up.append(client)

    async def close(self) -> None:
        """Close the client; one that was given up may never close, and is left to the end of the process."""
        for client in self._given_up:
            with suppress(TimeoutError, EventHubError, AzureError, OSError):
                async with asyncio.timeout(_ENDING):
                    await client.close()
        await self._client.close()


async def _next[T](pages: asyncio.Queue[T | BaseException], reading: asyncio.Task[None]) -> T | BaseException:
    """The next page, or why there will be none: the SDK's reading may end, or never begin, without a word."""
    getting = asyncio.create_task(pages.get())
    try:
        await asyncio.wait({getting, reading}, timeout=_SILENCE, return_when=asyncio.FIRST_COMPLETED)
        if getting.done():
            return getting.result()
    finally:
        getting.cancel()
    if not reading.done():
        return TimeoutError(f"no answer for {_SILENCE:g} seconds")
    return reading.exception() or ConnectionError("the reading ended before the range did")


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait until a cancelled reading has ended, whoever cancels the one that waits meanwhile.

    A second cancellation would cut its cleaning up off, and the client would hold for ever that the partition
    is being read. A reading that does not end at all is not waited for: whoever cancels must get through.
    """
    cancelled: asyncio.CancelledError | None = None
    until = Deadline.after(_ENDING)
    while not task.done() and not until.passed:
        try:
            await asyncio.wait({task}, timeout=until.remaining)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
