"""The Event Hubs listener of one function: ownership, and one pump for each partition owned.

An unreachable hub or storage is waited for. A partition that another host takes is read no further; what runs
of it runs on. Where the partition comes back meanwhile it is read again only once that has ended.
"""

import asyncio
import logging
import uuid
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.eventhub import parse_connection_string
from azure.eventhub.aio import EventHubConsumerClient
from azure.storage.blob.aio import BlobServiceClient

from .checkpoints import CheckpointStore
from .errors import ConfigurationError
from .event_hub_data import BindingFailedError, PartitionIdentity, ReceivedEvent, build_many, build_one
from .executor import Executor, Trigger
from .functions import Function
from .host_json import EventHubsOptions
from .load_balancing import LoadBalancer
from .outage import OutageLog
from .partition_pump import PartitionPump

_log = logging.getLogger("Host.EventHubs")


class EventHubListener:
    """Feeds one function from one hub and consumer group."""

    def __init__(
        self,
        function: Function,
        connection: str,
        storage: BlobServiceClient,
        options: EventHubsOptions,
        executor: Executor,
    ) -> None:
        trigger = function.trigger
        self._function = function
        self._options = options
        self._executor = executor
        hub, namespace = _parse(connection, trigger.text("eventHubName"), function.name)
        self._connection = connection
        self._hub = hub
        self._namespace = namespace
        self._group = trigger.text("consumerGroup") or "$Default"
        self._name = trigger.name
        self._many = trigger.text("cardinality", "MANY").upper() == "MANY"
        if not self._many:
            # The real host receives single events then: one invocation at a time, a checkpoint after each.
            self._options = replace(options, max_event_batch_size=1, min_event_batch_size=1)
        self._data_type = trigger.text("dataType").upper()
        self._owner = str(uuid.uuid4())
        self._store = CheckpointStore.of_service(storage, namespace, hub, self._group)
        self._balancer = LoadBalancer(
            self._store, self._owner, options.partition_ownership_expiration_interval
        )
        self._client: EventHubConsumerClient | None = None
        self._pumps: dict[str, PartitionPump] = {}
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def status(self) -> dict[str, Any]:
        """Return what this listener reads, for the status page."""
        return {
            "function": self._function.name,
            "type": "eventHubTrigger",
            "owner": self._owner,
            "hub": self._hub,
            "consumerGroup": self._group,
            "partitions": sorted(self._balancer.owned),
            # Taken by another host while a batch was under way here, a pause between two tries included.
            "lost": sorted(name for name, pump in self._pumps.items() if pump.lost and not pump.done),
        }

    def start(self) -> None:
        """Begin; an unreachable hub or storage is tried again for ever."""
        self._client = EventHubConsumerClient.from_connection_string(
            self._connection,
            self._group,
            eventhub_name=self._hub,
            # The loops around it have their own back-off; the SDK would say nothing for 12 s.
            retry_total=0,
            retry_backoff_factor=0.1,
        )
        self._task = asyncio.create_task(self._balance())

    async def stop(self) -> None:
        """Stop receiving, end retry loops, wait for running invocations, release the partitions."""
        await self._end(cancel=True)

    async def drain(self) -> None:
        """Do the same, but for the retry loops: an endless one is waited for."""
        await self._end(cancel=False)

    async def _end(self, *, cancel: bool) -> None:
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            await self._task
        await asyncio.gather(*(pump.stop(cancel=cancel) for pump in self._pumps.values()))
        for partition in self._balancer.owned:
            try:
                await self._balancer.release(partition)
            except AzureError as error:
                _log.warning("partition %s could not be released: %s", partition, error)
        if self._client is not None:
            await self._client.close()

    async def _balance(self) -> None:
        """Keep ownership and pumps in step until stopped."""
        partitions: list[str] = []
        delay = 0.5
        outage = OutageLog(_log, f"{self._function.name}, hub {self._hub} and storage")
        while not self._stopping.is_set():
            try:
                if not partitions:
                    await self._store.create_container()
                    partitions = await self._partition_ids()
                self._wake.clear()
                await self._balancer.cycle(partitions)
                delay = 0.5
                self._match_pumps()
                outage.succeeded()
                pause = self._options.load_balancing_update_interval
            except Exception as error:  # noqa: BLE001 - whatever the SDKs raise, the listener must go on trying
                pause = delay
                delay = min(delay * 2, 10.0)
                outage.failed(error)
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _partition_ids(self) -> list[str]:
        if self._client is None:
            raise ConfigurationError("The listener has not been started.")
        return list(await self._client.get_partition_ids())

    def _match_pumps(self) -> None:
        owned = self._balancer.owned
        for partition, pump in list(self._pumps.items()):
            if partition not in owned and not pump.lost:
                _log.info("%s: partition %s was taken by another host", self._function.name, partition)
                pump.lose()
            if pump.done:
                del self._pumps[partition]
        for partition in owned:
            if partition not in self._pumps:
                self._pumps[partition] = self._new_pump(partition)

    def _new_pump(self, partition: str) -> PartitionPump:
        if self._client is None:
            raise ConfigurationError("The listener has not been started.")
        pump = PartitionPump(
            self._client,
            self._store,
            PartitionIdentity(self._namespace, self._hub, self._group, partition),
            owner=self._owner,
            options=self._options,
            invoke=self._invoke,
        )
        pump.start()
        return pump

    async def _invoke(
        self, events: list[ReceivedEvent], source: PartitionIdentity, cancelled: asyncio.Event
    ) -> None:
        """Run the function on a batch; with cardinality one that is a single event."""
        checkpoints = self._options.enable_checkpointing
        try:
            if self._many:
                trigger = build_many(events, self._name, self._data_type, source, checkpoints=checkpoints)
            else:
                (event,) = events
                trigger = build_one(event, self._name, self._data_type, source, checkpoints=checkpoints)
        except BindingFailedError as error:
            trigger = Trigger([], [], str(error))
        numbers = f"{events[0].sequence_number}-{events[-1].sequence_number}"
        trigger.details = f"PartitionId: {source.partition}, SequenceNumber: {numbers}, Count: {len(events)}"
        await self._executor.run(self._function, trigger, cancelled)


def _parse(connection: str, hub: str, function: str) -> tuple[str, str]:
    """Return the names of hub and namespace; the port is no part of the namespace, as in .NET.

    A hub that the connection string names (EntityPath) wins over the binding's, as on the real host.
    """
    try:
        properties = parse_connection_string(connection)
    except ValueError as error:
        raise ConfigurationError(
            f"The connection string of the event hub of function {function} is wrong: {error}."
        ) from None
    name = properties.eventhub_name or hub
    if hub and name != hub:
        _log.warning(
            "function %s reads the hub %s that its connection string names (EntityPath), not %s",
            *(function, name, hub),
        )
    if not name:
        raise ConfigurationError(f"Function {function} names no event hub.")
    host = urlsplit(properties.endpoint).hostname
    if not host:
        raise ConfigurationError(
            f"The connection string of the event hub of function {function} names no host."
        )
    return name, host
