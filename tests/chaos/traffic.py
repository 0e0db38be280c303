"""The events of a run: what is sent, and what each must become."""

from __future__ import annotations

import json
import random
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from azure.eventhub import EventData, EventDataBatch
from azure.eventhub.aio import EventHubProducerClient

NUMBER = "number"  # the application property that says which of the sent events one is


@dataclass(slots=True)
class Sent:
    """One event of a run.

    Attributes:
        row: the row of the table that it counts in.
        body: the exact bytes.
        key: its partition key in the hub; None: the service chooses the partition.
        partition: the partition itself, in place of a key.
        reasons: of the dead letter that it must become; empty: it must be stored or superseded.
        records: the same for each record of a body that holds several, in place of ``reasons``.
        properties: application properties, besides the number.
        number: set when it is sent.
    """

    row: str
    body: bytes
    key: str | None = None
    partition: str | None = None
    reasons: frozenset[str] = frozenset()
    records: tuple[frozenset[str], ...] = ()
    properties: dict[str, str] = field(default_factory=dict)
    number: int = -1

    def reasons_of(self, index: int) -> frozenset[str]:
        """Of the dead letter that one record must become."""
        return self.records[index] if self.records else self.reasons


class Flights:
    """Real flights, each under an id that no other has, drawn from the run's seed."""

    def __init__(self, flights: Sequence[dict[str, Any]], rng: random.Random) -> None:
        self._flights = flights
        self._rng = rng
        self._made = 0

    def one(self, **changed: Any) -> dict[str, Any]:
        """The next flight; fields set to ``...`` are left out."""
        flight = dict(self._rng.choice(self._flights))
        flight["id"] = f"{flight['id']}-{self._made}"
        self._made += 1
        flight |= changed
        return {name: value for name, value in flight.items() if value is not ...}

    def events(self, count: int, row: str, **changed: Any) -> list[Sent]:
        """Some flights as events that must be stored."""
        return [event(self.one(**changed), row) for _ in range(count)]


def event(flight: dict[str, Any], row: str, *reasons: str) -> Sent:
    """The event of a flight, by the partition key of its carrier."""
    return Sent(row, json.dumps(flight).encode(), key=str(flight.get("carrier")), reasons=frozenset(reasons))


class Sender:
    """Sends events through Microsoft's SDK, several connections at once."""

    CONNECTIONS = 4

    def __init__(self, connection: str, hub: str) -> None:
        self._clients = [
            EventHubProducerClient.from_connection_string(connection, eventhub_name=hub)
            for _ in range(self.CONNECTIONS)
        ]
        self.sent: list[Sent] = []

    async def send(self, events: Iterable[Sent]) -> None:
        """Send events; those of one partition key in the order given. They are on the hub's disk at the end."""
        import asyncio

        lanes: list[dict[tuple[str | None, str | None], list[Sent]]] = [
            defaultdict(list) for _ in self._clients
        ]
        for each in events:
            each.number = len(self.sent)
            self.sent.append(each)
            place = (each.key, each.partition)
            lane = zlib.crc32(repr(place).encode()) % len(lanes)
            lanes[lane][place].append(each)
        async with asyncio.TaskGroup() as tasks:
            for client, groups in zip(self._clients, lanes, strict=True):
                if groups:
                    tasks.create_task(_send(client, groups))

    async def send_single(self, each: Sent, lane: int) -> None:
        """Send one event in a message of its own."""
        each.number = len(self.sent)
        self.sent.append(each)
        await self._clients[lane % len(self._clients)].send_event(_data(each), partition_key=each.key)

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()


async def _send(
    client: EventHubProducerClient, groups: dict[tuple[str | None, str | None], list[Sent]]
) -> None:
    for (key, partition), events in groups.items():
        batch = await _batch(client, key, partition)
        for each in events:
            try:
                batch.add(_data(each))
            except ValueError:
                await client.send_batch(batch)
                batch = await _batch(client, key, partition)
                batch.add(_data(each))
        await client.send_batch(batch)


async def _batch(client: EventHubProducerClient, key: str | None, partition: str | None) -> EventDataBatch:
    if partition is not None:
        return await client.create_batch(partition_id=partition)
    return await client.create_batch(partition_key=key)


def _data(each: Sent) -> EventData:
    data = EventData(each.body)
    data.properties.update({**each.properties, NUMBER: str(each.number)})
    return data
