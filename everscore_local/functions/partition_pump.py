"""One partition: take a batch, run the function, checkpoint, again.

Source: EventHubListener.PartitionProcessor.cs and EventProcessor.cs, and what was measured with them. One
batch of a partition is in flight at a time. The checkpoint follows *every* invocation, failed or not, unless
the host has begun to stop. The loss of the partition is no such reason: what runs is not told of it, and its
end is checkpointed, even where the new owner's checkpoint was further on.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Protocol

from azure.core.exceptions import AzureError
from azure.eventhub.aio import EventHubConsumerClient

from .checkpoints import CheckpointStore
from .event_hub_data import PartitionIdentity, ReceivedEvent
from .host_json import EventHubsOptions
from .outage import reason
from .receiver import PartitionReceiver, PartitionStolenError, Position, UnreceivableEventError

_log = logging.getLogger("Host.EventHubs")


class Invoke(Protocol):
    """Runs the function on a batch."""

    async def __call__(
        self, events: list[ReceivedEvent], source: PartitionIdentity, cancelled: asyncio.Event
    ) -> None:
        """Run it, retries included, until ``cancelled`` is set between two tries; a failure is not raised."""


class PartitionPump:
    """Feeds one function from one partition until it is lost, faulty or stopped; then ``done``."""

    def __init__(
        self,
        client: EventHubConsumerClient,
        store: CheckpointStore,
        source: PartitionIdentity,
        *,
        owner: str,
        options: EventHubsOptions,
        invoke: Invoke,
    ) -> None:
        self._client = client
        self._store = store
        self._source = source
        self._owner = owner
        self._options = options
        self._invoke = invoke
        self._receiver: PartitionReceiver | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        # Set when the retry loop of the batch in flight must end.
        self._cancelled = asyncio.Event()
        # Seconds for which the first batch waits for min_event_batch_size.
        self._first_wait = 0.0
        self.lost = False

    @property
    def done(self) -> bool:
        """Tell whether nothing of this pump runs any more."""
        return self._task is not None and self._task.done()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    def lose(self) -> None:
        """Take nothing more, since another host has the partition; the batch in flight runs on and counts."""
        self.lost = True
        self._end()

    async def stop(self, *, cancel: bool) -> None:
        """Take nothing more and wait for the batch in flight, which is not checkpointed.

        Args:
            cancel: end its retry loop; without it, as in drain mode, an endless one is waited for.
        """
        self._stopping.set()
        if cancel:
            self._cancelled.set()
        self._end()
        if self._task is not None:
            await self._task

    def _end(self) -> None:
        if self._receiver is not None:
            self._receiver.interrupt()

    async def _run(self) -> None:
        partition, hub = self._source.partition, self._source.hub
        try:
            position, inclusive = await self._position()
            if self._stopping.is_set() or self.lost:
                return
            options = self._options
            self._receiver = PartitionReceiver(
                self._client,
                self._source,
                position,
                inclusive=inclusive,
                # Twice the real client's: decoding takes longer here, and would else make the next receive
                # smaller than the real one.
                prefetch=max(
                    2 * options.prefetch_count or options.max_event_batch_size, options.min_event_batch_size
                ),
                credit=options.prefetch_count or None,
                prefetch_bytes=options.prefetch_size_in_bytes,
            )
            try:
                await self._pump(self._receiver)
            finally:
                await self._receiver.close()
        except PartitionStolenError:
            # The next balancing cycle shows whether the partition is still ours; until then leave it alone.
            _log.info("partition %s of %s was taken by another reader", partition, hub)
        except UnreceivableEventError as error:
            _log.error(
                "partition %s of %s stands: an event cannot be received (%s), nor can those that were "
                "received with it; the next balancing cycle begins again at the checkpoint",
                *(partition, hub, error),
            )
        except AzureError as error:
            _log.error(
                "partition %s of %s: the storage failed (%s); the next balancing cycle begins again at the "
                "checkpoint, with the last batch once more",
                *(partition, hub, reason(error)),
            )
        except Exception:  # noqa: BLE001 - the next cycle starts anew, whatever storage or SDK raise
            _log.exception("partition %s of %s has stopped until the next balancing cycle", partition, hub)

    async def _pump(self, receiver: PartitionReceiver) -> None:
        options = self._options
        patience = self._first_wait
        while not self._stopping.is_set() and not self.lost:
            events = await receiver.take(options.min_event_batch_size, options.max_event_batch_size, patience)
            if not events:
                continue
            patience = options.max_wait_time
            await self._invoke(events, self._source, self._cancelled)
            if self._stopping.is_set():
                return
            if options.enable_checkpointing:
                last = events[-1]
                await self._store.update_checkpoint(
                    self._source.partition, last.offset, last.sequence_number, self._owner
                )

    async def _position(self) -> tuple[Position, bool]:
        """Return where to begin and whether that event is included."""
        checkpoint = await self._store.checkpoint(self._source.partition)
        # As on the real host the wait for the first batch is counted from the last checkpoint, and there is
        # none where nobody has read the partition yet: small first batches are to be expected.
        if checkpoint is not None:
            age = (datetime.now(UTC) - checkpoint.modified).total_seconds()
            self._first_wait = max(0.0, self._options.max_wait_time - age)
        if checkpoint is not None and checkpoint.offset is not None:
            return checkpoint.offset, False
        if checkpoint is not None and checkpoint.sequence_number is not None:
            return checkpoint.sequence_number, False
        options = self._options
        if options.initial_offset == "fromEnqueuedTime" and options.initial_enqueued_time is not None:
            return options.initial_enqueued_time, True
        return ("@latest", False) if options.initial_offset == "fromEnd" else ("-1", False)
