"""Receives one partition through the azure-eventhub SDK, without the SDK's own polling.

The SDK's public consumer sleeps 50 ms a cycle, hands events out at most every 50 ms and wraps each in an
EventData. Here its consumer makes the link (address, authentication, owner level, credit) and its receive
client is driven directly: an event is handed on as soon as it is decoded. The parts used below the public
surface are ``EventHubConsumerClient._create_consumer``, ``EventHubConsumer._open`` and its ``_handler``;
azure-eventhub is pinned, and the tests of this folder fail if they change.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import ConnectionLostError

from .event_hub_data import PartitionIdentity, ReceivedEvent
from .outage import OutageLog, reason

_log = logging.getLogger("Host.EventHubs")

_SEQUENCE, _OFFSET = b"x-opt-sequence-number", b"x-opt-offset"
_ENQUEUED, _KEY = b"x-opt-enqueued-time", b"x-opt-partition-key"
_KNOWN = {_SEQUENCE, _OFFSET, _ENQUEUED, _KEY}
_FIRST_DELAY, _LARGEST_DELAY = 0.5, 10.0
_OPEN_SECONDS = 60.0
_FULL_POLL_SECONDS = 0.2
# At most this many events of up to 1 MiB may pass the limit in bytes.
_MOST_FRAMES = 64
# The real processor asks for this level too: of two with the same the newer wins.
OWNER_LEVEL = 0
_STOLEN = b"amqp:link:stolen"

Position = str | int | datetime


class PartitionStolenError(Exception):
    """Another reader with at least the same owner level has taken the partition."""


class PartitionReceiver:
    """A stream of events of one partition, in order, that reconnects by itself."""

    def __init__(
        self,
        client: EventHubConsumerClient,
        source: PartitionIdentity,
        position: Position,
        *,
        inclusive: bool,
        prefetch: int,
        prefetch_bytes: int | None,
        on_stolen: Callable[[], None],
    ) -> None:
        self._client = client
        self._source = source
        self._position: Position = position
        self._inclusive = inclusive
        self._prefetch = prefetch
        self._largest = prefetch_bytes
        self._bytes = 0
        self._on_stolen = on_stolen
        self._interrupted = False
        self._outage = OutageLog(_log, f"partition {source.partition} of {source.hub}")
        self._events: deque[ReceivedEvent] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: PartitionStolenError | None = None
        self._undecodable: Exception | None = None
        self._task = asyncio.create_task(self._run())

    async def take(self, smallest: int, largest: int, patience: float) -> list[ReceivedEvent]:
        """Return the next events, at most ``largest``; none after ``interrupt``.

        Waits for the first event; then, only where ``smallest`` is over 1, until so many are there or
        ``patience`` seconds have passed.

        Raises:
            PartitionStolenError: another reader has the partition now. What is still buffered is forgotten,
                since the other reader gets it too.
        """
        await self._wait_for(1)
        if smallest > 1 and len(self._events) < smallest:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._wait_for(smallest)
        events = self._events
        if self._interrupted:
            return []
        taken = [events.popleft() for _ in range(min(largest, len(events)))]
        self._bytes -= sum(len(event.body) for event in taken)
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

    async def _wait_for(self, count: int) -> None:
        while len(self._events) < count and not self._interrupted:
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        delay = _FIRST_DELAY
        while True:
            before = self._position
            try:
                await self._receive()
            except Exception as error:  # noqa: BLE001 - with a server that dies the SDK raises nearly anything
                if _is_stolen(error):
                    self._failure = PartitionStolenError(reason(error))
                    self._changed.set()
                    self._on_stolen()
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
            consumer._handler._message_received_callback = self._receiver_of(consumer)
            await self._drive(consumer)
        finally:
            await _close(consumer)

    def _receiver_of(self, consumer: Any) -> Callable[[Any], Any]:
        events, changed = self._events, self._changed
        link = consumer._handler._link
        tags: set[bytes] = link._received_delivery_tags

        async def received(message: Any) -> None:
            if self._undecodable is not None:
                return
            try:
                event = _event_of(message)
            except Exception as error:  # noqa: BLE001 - the SDK would log it and drop the event; here it stops the link
                self._undecodable = error
                return
            events.append(event)
            self._bytes += len(event.body)
            self._position, self._inclusive = event.offset, False
            # The link remembers the tag of every delivery for a disposition that is never sent.
            tags.clear()
            if not changed.is_set():
                changed.set()

        self._undecodable = None
        return received

    async def _drive(self, consumer: Any) -> None:
        handler = consumer._handler  # see the module's docstring
        link = handler._link
        while True:
            if self._undecodable is not None:
                raise ConnectionLostError(f"an event cannot be read: {self._undecodable!r}")
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


def _event_of(message: Any) -> ReceivedEvent:
    annotations = message.message_annotations or {}
    key = annotations.get(_KEY)
    data = message.data
    if data is not None:
        body = data[0] if len(data) == 1 else b"".join(data)
    else:
        value = message.value
        body = value if isinstance(value, bytes) else str(value if value is not None else "").encode()
    return ReceivedEvent(
        body,
        annotations[_SEQUENCE],
        annotations[_OFFSET].decode(),
        annotations[_ENQUEUED],
        None if key is None else key.decode("utf-8", "replace"),
        message.application_properties or {},
        _system_properties(message, annotations),
    )


def _system_properties(message: Any, annotations: dict[Any, Any]) -> dict[str, Any]:
    extra = (
        {key: value for key, value in annotations.items() if key not in _KNOWN}
        if len(annotations) > 4
        else {}
    )
    if message.properties is not None:
        for name, value in message.properties._asdict().items():
            if value is not None:
                extra[name.replace("_", "-")] = value
    return extra


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
