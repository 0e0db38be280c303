"""One partition: take a batch, run the function, checkpoint, again.

Source: EventHubListener.PartitionProcessor.cs. One batch of a partition is in flight at a time. The
checkpoint follows *every* invocation, failed or not, unless its retry loop was cut off, the partition was
lost meanwhile, or it failed while the host stops.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from azure.core.exceptions import AzureError
from azure.eventhub.aio import EventHubConsumerClient

from .checkpoints import CheckpointStore
from .event_hub_data import PartitionIdentity, ReceivedEvent
from .executor import Verdict
from .host_json import EventHubsOptions
from .receiver import PartitionReceiver, PartitionStolenError, Position

_log = logging.getLogger("Host.EventHubs")
# With a checkpoint every N batches: a partition that falls idle is checkpointed after this long.
_IDLE_CHECKPOINT_SECONDS = 600.0
_RESTART_SECONDS = 1.0


class Invoke(Protocol):
    """Runs the function on a batch."""

    async def __call__(
        self, events: list[ReceivedEvent], source: PartitionIdentity, cut: asyncio.Event, *, checkpoints: bool
    ) -> Verdict:
        """Run it, retries included; ``checkpoints`` tells the function whether a checkpoint follows."""


class PartitionPump:
    """Feeds one function from one partition until it is lost or stopped."""

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
        self._stopping = False
        # Set when the retry loop of the batch in flight must end.
        self._cut = asyncio.Event()
        self._pending: ReceivedEvent | None = None
        self._batches = 0
        # Seconds for which the first batch waits for min_event_batch_size.
        self._first_wait = 0.0
        self.lost = False

    @property
    def done(self) -> bool:
        """Tell whether nothing of this pump runs any more."""
        return self._task is not None and self._task.done()

    def start(self, on_end: Callable[[], None]) -> None:
        """Begin; ``on_end`` is called when the pump ended by itself and should be started anew."""
        self._task = asyncio.create_task(self._run(on_end))

    def lose(self) -> None:
        """Another host has the partition: the batch in flight counts no longer."""
        self.lost = True
        self._end()

    async def stop(self) -> None:
        """Take nothing more and wait for the batch in flight."""
        self._stopping = True
        self._end()
        if self._task is not None:
            await self._task

    def _end(self) -> None:
        self._cut.set()
        if self._receiver is not None:
            self._receiver.interrupt()

    async def _run(self, on_end: Callable[[], None]) -> None:
        try:
            position, inclusive = await self._position()
            if self._cut.is_set():
                return
            options = self._options
            self._receiver = PartitionReceiver(
                self._client,
                self._source,
                position,
                inclusive=inclusive,
                # The real host collects a batch beside what it has prefetched, which may be nothing.
                prefetch=max(
                    options.prefetch_count or options.max_event_batch_size, options.min_event_batch_size
                ),
                prefetch_bytes=options.prefetch_size_in_bytes,
                on_stolen=self.lose,
            )
            try:
                await self._pump(self._receiver)
            finally:
                await self._receiver.close()
            if self._stopping and not self.lost and self._pending is not None:
                await self._checkpoint(self._pending)
        except PartitionStolenError:
            # The next balancing cycle shows whether the partition is still ours; until then leave it alone.
            _log.info(
                "partition %s of %s was taken by another reader", self._source.partition, self._source.hub
            )
            return
        except Exception:  # noqa: BLE001 - the partition must go on whatever the storage or the SDK raises
            _log.exception(
                "partition %s of %s stopped and is started again", self._source.partition, self._source.hub
            )
            await asyncio.sleep(_RESTART_SECONDS)
        if not self._stopping:
            on_end()

    async def _pump(self, receiver: PartitionReceiver) -> None:
        options = self._options
        patience = self._first_wait
        while not self._cut.is_set():
            try:
                async with asyncio.timeout(_IDLE_CHECKPOINT_SECONDS if self._pending is not None else None):
                    events = await receiver.take(
                        options.min_event_batch_size, options.max_event_batch_size, patience
                    )
            except TimeoutError:
                if self._pending is not None:
                    await self._checkpoint(self._pending)
                continue
            if not events:
                continue
            patience = options.max_wait_time
            verdict = await self._invoke(
                events, self._source, self._cut, checkpoints=self._checkpoint_is_due(self._batches + 1)
            )
            if verdict is Verdict.ABANDONED or self.lost:
                return
            if self._stopping and verdict is Verdict.FAILED:
                return
            await self._processed(events[-1])

    async def _processed(self, last: ReceivedEvent) -> None:
        if not self._options.enable_checkpointing:
            return
        self._pending = last
        self._batches += 1
        if self._checkpoint_is_due(self._batches):
            await self._checkpoint(last)

    def _checkpoint_is_due(self, batches: int) -> bool:
        return self._options.enable_checkpointing and batches >= self._options.batch_checkpoint_frequency

    async def _checkpoint(self, event: ReceivedEvent) -> None:
        try:
            await self._store.update_checkpoint(
                self._source.partition, event.offset, event.sequence_number, self._owner
            )
        except AzureError as error:
            # The next one covers it; until then a restart replays.
            _log.warning(
                "the checkpoint of partition %s could not be written: %s",
                self._source.partition,
                error.message,
            )
            return
        self._pending = None
        self._batches = 0

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
