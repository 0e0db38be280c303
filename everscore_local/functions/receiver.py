"""Receives one partition through the azure-eventhub SDK, without the SDK's own polling.

The SDK's public consumer sleeps 50 ms a cycle, hands events out at most every 50 ms and wraps each in an
EventData. Here its consumer makes the link (address, authentication, owner level, credit) and its receive
client is driven directly. The parts used below the public surface are
``EventHubConsumerClient._create_consumer``, ``EventHubConsumer._open``, its ``_handler`` and that one's link;
azure-eventhub is pinned, and the tests of this folder fail if they change.

How many events a receive returns is the real host's: what its client has prefetched, at once, or what comes
within 20 ms of the first event where that is nothing. An event that the client cannot decode fails the
receive that it is part of (AmqpConsumer.cs, ReceivingAmqpLink.cs).
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from datetime import datetime
from typing import Any

from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import ConnectionLostError

from .amqp_event import event_of
from .amqp_values import install
from .credit import Credit
from .event_hub_data import PartitionIdentity, ReceivedEvent
from .outage import OutageLog, reason

_log = logging.getLogger("Host.EventHubs")

_FIRST_DELAY, _LARGEST_DELAY = 0.5, 10.0
_OPEN_SECONDS = 60.0
_FULL_POLL_SECONDS = 0.2
# ReceiveBuildBatchInterval of AmqpConsumer.cs.
_BUILD_SECONDS = 0.02
# At most this many events of up to 1 MiB may pass the limit in bytes.
_MOST_FRAMES = 64
# The real processor asks for this level too: of two with the same the newer wins.
OWNER_LEVEL = 0
_STOLEN = b"amqp:link:stolen"

Position = str | int | datetime


class PartitionStolenError(Exception):
    """Another reader with at least the same owner level has taken the partition."""


class UnreceivableEventError(Exception):
    """The client cannot decode an event, so that the receive that it is part of returns nothing."""


class PartitionReceiver:
    """A stream of events of one partition, in order, that reconnects by itself.

    Args:
        client: of the hub and consumer group.
        source: the partition.
        position: offset, sequence number or time to begin at.
        inclusive: whether the event at ``position`` is the first.
        prefetch: events that are held ready, at least 1.
        credit: most events that the real client has ready; None: as many as are asked for.
        prefetch_bytes: bytes that are held ready, about; None: no limit.
    """

    def __init__(
        self,
        client: EventHubConsumerClient,
        source: PartitionIdentity,
        position: Position,
        *,
        inclusive: bool,
        prefetch: int,
        credit: int | None,
        prefetch_bytes: int | None,
    ) -> None:
        install()
        self._client = client
        self._source = source
        self._position: Position = position
        self._inclusive = inclusive
        self._prefetch = prefetch
        self._credit = Credit(credit)
        self._largest = prefetch_bytes
        self._bytes = 0
        self._interrupted = False
        self._outage = OutageLog(_log, f"partition {source.partition} of {source.hub}")
        self._events: deque[ReceivedEvent] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._stolen: PartitionStolenError | None = None
        # Why the event behind those in the buffer cannot be decoded; then nothing more is received.
        self._undecodable: UnreceivableEventError | None = None
        self._task = asyncio.create_task(self._run())

    async def take(self, smallest: int, largest: int, patience: float) -> list[ReceivedEvent]:
        """Return the next events, at most ``largest``; none after ``interrupt``.

        Waits for the first event; then, only where ``smallest`` is over 1, until so many are there or
        ``patience`` seconds have passed.

        Raises:
            PartitionStolenError: another reader has the partition now. What is still buffered is forgotten,
                since the other reader gets it too.
            UnreceivableEventError: one of these events cannot be decoded; none of them is handed on.
        """
        if smallest > 1:
            # The real host collects such a batch from several receives.
            most = largest
            await self._wait_for(1)
            await self._gather(smallest, patience)
        else:
            most = self._credit.allow(largest)
            if not self._events:
                await self._wait_for(1)
                await self._gather(most, _BUILD_SECONDS)
        if self._stolen is not None:
            raise self._stolen
        if self._interrupted:
            return []
        events = self._events
        if self._undecodable is not None and len(events) < most:
            raise self._undecodable
        taken = [events.popleft() for _ in range(min(most, len(events)))]
        self._credit.spend(len(taken))
        self._bytes -= sum(map(_size, taken))
        self._room.set()
        return taken

    def interrupt(self) -> None:
        """Let the waiting ``take``, and every later one, return nothing."""
        self._interrupted = True
        self._changed.set()

    async def close(self) -> None:
        """Give the link back."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _gather(self, count: int, seconds: float) -> None:
        """Wait for so many events, no longer than this."""
        if len(self._events) < count:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wait_for(count)

    async def _wait_for(self, count: int) -> None:
        """Wait until so many events are there, or it is known that they will not come."""
        while len(self._events) < count and not self._interrupted:
            if self._stolen is not None or self._undecodable is not None:
                return
            self._changed.clear()
            await self._changed.wait()

    async def _run(self) -> None:
        delay = _FIRST_DELAY
        while True:
            before = self._position
            try:
                await self._receive()
            except UnreceivableEventError:
                return
            except Exception as error:  # noqa: BLE001 - with a server that dies the SDK raises nearly anything
                if _is_stolen(error):
                    self._stolen = PartitionStolenError(reason(error))
                    self._changed.set()
                    return
                self._outage.failed(error)
            await asyncio.sleep(delay)
            delay = _FIRST_DELAY if self._position != before else min(delay * 2, _LARGEST_DELAY)

    async def _receive(self) -> None:
        """Receive until the connection breaks."""
        consumer: Any = self._client._create_consumer(
            self._source.consumer_group,
            self._source.partition,
            self._position,
            _unused,  # the link's callback is replaced below
            owner_level=OWNER_LEVEL,
            prefetch=self._prefetch,
            event_position_inclusive=self._inclusive,
        )
        # The loop below sends the heartbeats; the SDK's own task for them would read from the same connection
        # too, and closing would wait up to a second for it.
        consumer._keep_alive = None
        try:
            # Without a limit a server that accepts and never answers would be waited for for ever.
            async with asyncio.timeout(_OPEN_SECONDS):
                await consumer._open()
            self._outage.succeeded()
            self._receive_through(consumer._handler)
            await self._drive(consumer)
        finally:
            await _close(consumer)

    def _receive_through(self, handler: Any) -> None:
        """Take the events of a link, and notice the one that the SDK cannot decode, which it raises at."""
        events, changed = self._events, self._changed
        link = handler._link
        tags: set[bytes] = link._received_delivery_tags
        decode = link._incoming_transfer

        async def received(message: Any) -> None:
            if self._undecodable is not None:
                return
            try:
                event = event_of(message)
            except Exception as error:  # noqa: BLE001 - the SDK would log it and drop the event
                self._refuse(error)
                return
            events.append(event)
            self._bytes += _size(event)
            self._position, self._inclusive = event.offset, False
            # The link remembers the tag of every delivery for a disposition that is never sent.
            tags.clear()
            if not changed.is_set():
                changed.set()

        async def transfer(frame: Any) -> None:
            if self._undecodable is not None:
                return
            try:
                await decode(frame)
            except Exception as error:  # noqa: BLE001 - a type that it does not know raises nearly anything
                self._refuse(error)

        handler._message_received_callback = received
        link._incoming_transfer = transfer

    def _refuse(self, error: Exception) -> None:
        self._undecodable = UnreceivableEventError(f"{type(error).__name__}: {error}")
        self._changed.set()

    async def _drive(self, consumer: Any) -> None:
        handler = consumer._handler  # see the module's docstring
        link = handler._link
        while True:
            if self._undecodable is not None:
                raise self._undecodable
            credit = link.current_link_credit
            if not self._is_full():
                # Renews the credit where it is used up, then reads; asking for more frames than there is
                # credit would sit out the socket's time-out, and for many at once pass the limit in bytes.
                frames = credit if credit > 0 else self._prefetch
                if not await handler.do_work_async(batch=min(frames, _MOST_FRAMES)):
                    raise ConnectionLostError("the receiver has closed")
                continue
            self._room.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FULL_POLL_SECONDS):
                    await self._room.wait()
            link.get_state()
            if credit <= 0:
                # No event can come, but the news that the link was stolen.
                await handler._connection.listen(wait=0.001, batch=1)
            else:
                # Events are on their way and must wait; only the heartbeats must not.
                await handler._connection._get_remote_timeout(time.time())

    def _is_full(self) -> bool:
        too_many = len(self._events) >= self._prefetch
        return too_many or (self._largest is not None and self._bytes >= self._largest)


def _size(event: ReceivedEvent) -> int:
    return len(event.body or b"")


def _is_stolen(error: BaseException) -> bool:
    return getattr(error, "condition", None) == _STOLEN


async def _close(consumer: Any) -> None:
    try:
        async with asyncio.timeout(2.0):
            await consumer.close()
    except Exception as error:  # noqa: BLE001 - the connection is broken or the server gone: nothing to give back
        _log.debug("closing a link: %s", error)


async def _unused(_context: Any, _event: Any) -> None:
    """Stand where the SDK wants a callback."""
