"""Output bindings: what a function returns beside its HTTP answer, written before it counts as a success."""

import base64
import json
from collections.abc import Callable
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.eventhub import EventData, parse_connection_string
from azure.eventhub.aio import EventHubProducerClient
from azure.storage.queue.aio import QueueServiceClient

from .functions import Binding, Function
from .worker_process import Result


class OutputWriter:
    """Writes queue messages and events; clients are made on first use."""

    def __init__(
        self,
        queue_service: Callable[[str, str], QueueServiceClient],
        connection: Callable[[str, str], str],
        encoding: str,
        on_queue_write: Callable[[str], None],
    ) -> None:
        self._queue_service = queue_service
        self._connection = connection
        self._encoding = encoding
        self._on_queue_write = on_queue_write
        self._producers: dict[tuple[str, str], EventHubProducerClient] = {}

    async def write(self, function: Function, result: Result) -> None:
        """Write all outputs of an invocation; ``$return`` of HTTP is not among them."""
        values: dict[str, tuple[str, Any] | None] = dict(result.outputs)
        values["$return"] = result.return_value
        for binding in function.outputs:
            value = values.get(binding.name)
            if binding.type == "http" or value is None:
                continue
            items = _items(*value)
            if binding.type == "queue":
                await self._to_queue(function, binding, items)
            else:
                await self._to_hub(function, binding, items)

    async def close(self) -> None:
        """Close the producers."""
        for producer in self._producers.values():
            await producer.close()

    async def _to_queue(self, function: Function, binding: Binding, items: list[bytes]) -> None:
        service = self._queue_service(
            binding.text("connection"), f"the output {binding.name} of {function.name}"
        )
        name = binding.text("queueName").lower()
        queue = service.get_queue_client(name)
        for item in items:
            text = base64.b64encode(item).decode() if self._encoding == "base64" else item.decode()
            try:
                await queue.send_message(text)
            except ResourceNotFoundError:
                await queue.create_queue()
                await queue.send_message(text)
        self._on_queue_write(name)

    async def _to_hub(self, function: Function, binding: Binding, items: list[bytes]) -> None:
        used_by = f"the output {binding.name} of function {function.name}"
        connection = self._connection(binding.text("connection"), used_by)
        # As on the real host the hub that the connection string names, if any, wins.
        hub = parse_connection_string(connection).eventhub_name or binding.text("eventHubName")
        key = (connection, hub)
        producer = self._producers.get(key)
        if producer is None:
            producer = EventHubProducerClient.from_connection_string(connection, eventhub_name=key[1])
            self._producers[key] = producer
        await producer.send_batch([EventData(item) for item in items])


def _items(kind: str, value: Any) -> list[bytes]:
    """Return the messages in an output: a JSON array is several."""
    if kind == "bytes":
        return [bytes(value)]
    if kind == "json":
        parsed = json.loads(value)
        if isinstance(parsed, list):
            return [item.encode() if isinstance(item, str) else json.dumps(item).encode() for item in parsed]
    return [str(value).encode()]
