"""The queue listener of one function.

Sources: QueueListener.cs, QueueProcessor.cs, QueuesOptions.cs, and what was measured with the real listener.
Receives ``batchSize`` with a fixed lease of ten minutes, runs all at once, renews each lease at half its
time, and receives again when no more than ``newBatchThreshold`` run. Success deletes; failure makes visible
after ``visibilityTimeout`` or, at ``maxDequeueCount``, copies the body alone to the poison queue, while the
host stops too.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from .errors import ConfigurationError
from .executor import Executor, Verdict
from .functions import Function
from .host_json import QueuesOptions
from .options import DEFAULT_LEASE_SECONDS
from .outage import OutageLog
from .queue_message import NotBase64Error, build, decode

_log = logging.getLogger("Host.Queues")
_FIRST_PAUSE = 0.1
_POISON_SUFFIX = "-poison"
_LONGEST_NAME = 63


class QueueListener:
    """Feeds one function from one queue."""

    def __init__(
        self,
        function: Function,
        service: QueueServiceClient,
        options: QueuesOptions,
        executor: Executor,
        lease_seconds: int = DEFAULT_LEASE_SECONDS,
    ) -> None:
        name = function.trigger.text("queueName").lower()
        if not 3 <= len(name) <= _LONGEST_NAME:
            raise ConfigurationError(
                f"The queue of function {function.name} must have a name of 3 to 63 characters, "
                f"found '{name}'."
            )
        self._function = function
        self._name = name
        self._service = service
        self._queue = service.get_queue_client(name)
        self._poison = self._poison_queue()
        self._options = options
        self._executor = executor
        self._lease = lease_seconds
        self._outage = OutageLog(_log, f"queue {name}")
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        # Set when retry loops must end.
        self._cancelled = asyncio.Event()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def status(self) -> dict[str, Any]:
        """Return what this listener reads, for the status page."""
        return {
            "function": self._function.name,
            "type": "queueTrigger",
            "queue": self._name,
            "running": len(self._running),
        }

    def start(self) -> None:
        """Begin; a missing queue or an unreachable storage is polled for ever."""
        self._task = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Receive nothing more, end retry loops and wait for the running invocations."""
        self._cancelled.set()
        await self.drain()

    async def drain(self) -> None:
        """Receive nothing more and wait for the running invocations, their retries included."""
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            await self._task
        await asyncio.gather(*self._running)
        await self._queue.close()

    def wake(self, queue: str) -> None:
        """Look at once: this host has just written to a queue."""
        if queue.lower() == self._name:
            self._wake.set()

    def _poison_queue(self) -> QueueClient | None:
        poison = self._name + _POISON_SUFFIX
        if self._name.endswith(_POISON_SUFFIX) or len(poison) > _LONGEST_NAME:
            return None
        return self._service.get_queue_client(poison)

    async def _poll(self) -> None:
        pause = _FIRST_PAUSE
        step = 0
        while not self._stopping.is_set():
            received = await self._receive()
            # What came while the host began to stop is run too: dropped, it would stay hidden for a lease.
            for message in received:
                self._start(message)
            if received:
                step = 0
                await self._until_free()
                continue
            pause = self._pause(step)
            step += 1
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    def _pause(self, step: int) -> float:
        """Return the seconds until the next look after ``step`` empty ones in a row."""
        if step == 0:
            return _FIRST_PAUSE
        grown = _FIRST_PAUSE + random.uniform(0.8, 1.2) * 2.0 ** min(step - 1, 30) * _FIRST_PAUSE  # noqa: S311 - jitter
        return min(grown, self._options.max_polling_interval)

    async def _receive(self) -> list[QueueMessage]:
        try:
            pages = self._queue.receive_messages(
                messages_per_page=self._options.batch_size, visibility_timeout=self._lease
            ).by_page()
            # One page is one request; the SDK would go on until the queue is empty.
            received: list[QueueMessage] = []
            async for page in pages:
                received = [message async for message in page]
                break
            self._outage.succeeded()
            return received
        except ResourceNotFoundError:
            return []
        except AzureError as error:
            self._outage.failed(error)
            return []

    def _start(self, message: QueueMessage) -> None:
        task = asyncio.create_task(self._handle(message))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _until_free(self) -> None:
        while len(self._running) > self._options.new_batch_threshold and not self._stopping.is_set():
            stop = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({*self._running, stop}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()

    async def _handle(self, message: QueueMessage) -> None:
        try:
            await self._process(message)
        except AzureError as error:
            # Its lease runs out and it comes again.
            _log.warning("message %s of %s: %s", message.id, self._name, error.message.partition("\n")[0])

    async def _process(self, message: QueueMessage) -> None:
        most = self._options.max_dequeue_count
        if (message.dequeue_count or 0) > most and self._poison is not None:
            await self._to_poison(message, f"was dequeued more than {most} times")
            return
        try:
            body = decode(message.content, self._options.message_encoding)
        except NotBase64Error:
            if self._poison is None:
                _log.error(
                    "message %s of %s is not base64: it stays hidden until its lease ends",
                    message.id,
                    self._name,
                )
                return
            await self._to_poison(message, "is not base64")
            return
        trigger = self._function.trigger
        data = build(message, body, trigger.name, trigger.text("dataType").upper())
        done = asyncio.Event()
        renewal = asyncio.create_task(self._renew(message, done))
        try:
            outcome = await self._executor.run(self._function, data, self._cancelled)
        finally:
            # A renewal that is under way is waited for: only its answer holds the receipt for what follows.
            done.set()
            await renewal
        if outcome.verdict is Verdict.SUCCEEDED:
            await _unless_changed(self._queue.delete_message(message))
        elif (message.dequeue_count or 0) >= most and self._poison is not None:
            await self._to_poison(message, f"has failed {most} times")
        elif (message.dequeue_count or 0) < most:
            hidden = int(self._options.visibility_timeout)
            await _unless_changed(self._queue.update_message(message, visibility_timeout=hidden))

    async def _to_poison(self, message: QueueMessage, why: str) -> None:
        poison = self._poison
        if poison is None:
            return
        _log.warning("message %s of %s %s and is moved to %s", message.id, self._name, why, poison.queue_name)
        try:
            await poison.send_message(message.content)
        except ResourceNotFoundError:
            await poison.create_queue()
            await poison.send_message(message.content)
        await _unless_changed(self._queue.delete_message(message))

    async def _renew(self, message: QueueMessage, done: asyncio.Event) -> None:
        """Keep the message hidden while it is worked on; after a failed renewal try sooner."""
        pause = self._lease / 2
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await done.wait()
            if done.is_set():
                return
            try:
                renewed = await self._queue.update_message(message, visibility_timeout=self._lease)
                message.pop_receipt = renewed.pop_receipt
                pause = self._lease / 2
            except AzureError as error:
                _log.warning("the lease of message %s could not be renewed: %s", message.id, error.message)
                pause = min(60.0, self._lease / 10)


async def _unless_changed(operation: Awaitable[Any]) -> None:
    """Run a delete or an update; somebody else having the message by now is no error."""
    try:
        await operation
    except ResourceNotFoundError:
        return
    except HttpResponseError as error:
        if error.status_code != 400 or getattr(error, "error_code", None) != "PopReceiptMismatch":
            raise
