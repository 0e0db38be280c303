"""The unmodified Python SDK, blocking: what is sent comes back, from every start position."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpAnnotatedMessage
from azure.eventhub.exceptions import ConnectionLostError

from tests.stand_ins.eventhubs.support import PATIENCE, Server, until

# azure-eventhub leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def test_bodies_and_properties_come_back_byte_for_byte(server: Server) -> None:
    """Empty, binary and large bodies, properties of every type and own annotations come back as they were sent."""
    bodies = [
        b"",
        bytes(range(256)),
        b"\x1f\x8b\x08\xff" * 100,
        "añ→😀".encode(),
        b"x" * 200_000,
        b"\x00\x53\x75",
    ]
    values: dict[str, Any] = {
        "text": "añ😀",
        "bytes": b"\x00\xff",
        "int": 7,
        "lowest": -(2**31),
        "float": 0.1,
        "true": True,
        "uuid": uuid.UUID(int=5),
        "none": None,
    }
    events = [EventData(body) for body in bodies]
    events[0].properties = values
    events[1].message_id, events[1].correlation_id, events[1].content_type = "m", "c", "application/x"
    raw = AmqpAnnotatedMessage(
        data_body=b"raw", header={"durable": True, "priority": 7}, annotations={"x-own": "mine"}
    )
    parts = AmqpAnnotatedMessage(sequence_body=[[1, b"two"], ["three"]])
    with server.producer("bytes") as producer:
        producer.send_batch([*events, raw, parts], partition_id="0")
        before = producer.get_partition_properties("0")
    received = server.receive(8, "bytes", partition_id="0")
    assert [b"".join(event.body) for event in received[:7]] == [*bodies, b"raw"]
    assert {key.decode(): value for key, value in received[0].properties.items()} == {
        **values,
        "text": values["text"].encode(),
    }
    assert (received[1].message_id, received[1].correlation_id, received[1].content_type) == (
        "m",
        "c",
        "application/x",
    )
    assert received[6].raw_amqp_message.header.priority == 7
    assert received[6].raw_amqp_message.annotations[b"x-own"] == b"mine"
    assert [list(part) for part in received[7].body] == [[1, b"two"], [b"three"]]
    assert [event.sequence_number for event in received] == list(range(8))
    assert before["last_enqueued_sequence_number"] == 7
    assert before["last_enqueued_offset"] == received[-1].offset
    assert before["last_enqueued_time_utc"] == received[-1].enqueued_time
    assert not before["is_empty"]


def test_a_full_batch_is_accepted_and_an_event_too_large_is_refused(server: Server) -> None:
    """A batch filled to the link's bound arrives whole; what is larger is refused by the server, not cut."""
    with server.producer("full") as producer:
        batch = producer.create_batch(partition_id="0")
        assert batch.max_size_in_bytes == 1024 * 1024
        for _ in range(1032):
            batch.add(EventData(b"y" * 1000))
        with pytest.raises(ValueError, match="size limit"):
            batch.add(EventData(b"y" * 1000))
        producer.send_batch(batch)
        with pytest.raises(Exception, match="LinkMessageSizeExceeded"):
            producer.send_event(EventData(b"z" * (1024 * 1024 + 1)), partition_id="0")
        producer.send_event(EventData(b"the link lives on"), partition_id="0")
        assert producer.get_partition_properties("0")["last_enqueued_sequence_number"] == len(batch)


def test_every_start_position(server: Server) -> None:
    """Earliest, offset, sequence number and time, inclusive and exclusive, each start at the event that they name."""
    with server.producer("positions") as producer:
        for index in range(4):
            producer.send_event(EventData(f"{index}"), partition_id="0")
    events = server.receive(4, "positions")
    first, second = events[0], events[1]
    starts: list[tuple[Any, bool, int]] = [
        ("-1", False, 0),
        (first.offset, False, 1),
        (first.offset, True, 0),
        (first.sequence_number, False, 1),
        (second.sequence_number, True, 1),
        (first.enqueued_time - dt.timedelta(milliseconds=1), False, 0),
    ]

    def first_from(start: tuple[Any, bool, int]) -> int | None:
        position, inclusive, _ = start
        options = {"starting_position": position, "starting_position_inclusive": inclusive}
        return server.receive(1, "positions", partition_id="0", **options)[0].sequence_number

    with ThreadPoolExecutor(4) as pool:  # connecting is waiting, most of all; five receivers are the bound
        found = list(pool.map(first_from, starts))
    assert found == [expected for _, _, expected in starts]


def test_latest_gives_only_what_comes_after(server: Server) -> None:
    """A receiver at the latest position sees events sent after it attached and none before; metrics come with them."""
    with server.producer("metrics") as producer:
        producer.send_event(EventData("old"), partition_id="0")
        got: list[EventData] = []
        attached, done = threading.Event(), threading.Event()
        metrics: list[dict[str, Any]] = []

        def on_event(context: Any, event: EventData | None) -> None:
            attached.set()
            if event is not None and not done.is_set():
                got.append(event)
                metrics.append(context.last_enqueued_event_properties)
                done.set()

        client = server.consumer("metrics")
        options = {
            "starting_position": "@latest",
            "max_wait_time": 0.1,
            "track_last_enqueued_event_properties": True,
        }
        thread = threading.Thread(target=client.receive, args=(on_event,), kwargs=options)
        thread.start()
        assert attached.wait(PATIENCE)
        producer.send_event(EventData("new"), partition_id="0")
        assert done.wait(PATIENCE)
        client.close()
        thread.join(PATIENCE)
    assert [event.body_as_str() for event in got] == ["new"]
    assert metrics[0]["sequence_number"] == 1
    assert metrics[0]["offset"] == got[0].offset
    assert metrics[0]["enqueued_time"] == got[0].enqueued_time


def test_a_key_keeps_its_partition_and_comes_back(server: Server) -> None:
    """All events of a key are in one partition, with their key; events without one are spread over all."""
    keys = [f"k{index}-añ" for index in range(6)]
    with server.producer() as producer:
        for _ in range(2):
            for key in keys:
                producer.send_batch([EventData(key)], partition_key=key)
        for _ in range(4):
            producer.send_batch([EventData("none")])
    places: list[str] = []
    events = server.receive(16, places=places)
    found: dict[str | None, list[str]] = {}
    for event, place in zip(events, places, strict=True):
        key = event.partition_key.decode() if event.partition_key else None
        assert key is None or key == event.body_as_str()
        found.setdefault(key, []).append(place)
    assert sorted(found.pop(None)) == ["0", "1", "2", "3"]
    assert set(found) == set(keys)
    assert all(len(found[key]) == 2 and len(set(found[key])) == 1 for key in keys)


class _Receiving:
    """A receiver with an owner level, running until it is stolen or closed."""

    def __init__(self, server: Server, level: int | None) -> None:
        self.events = 0
        self.problem: Exception | None = None
        self._client = server.consumer("owners")
        options: dict[str, Any] = {"partition_id": "0", "starting_position": "-1", "max_wait_time": 0.1}
        if level is not None:
            options["owner_level"] = level
        self._thread = threading.Thread(
            target=self._client.receive,
            args=(self._on_event,),
            kwargs={"on_error": self._on_error, **options},
        )
        self._thread.start()

    def _on_event(self, _: Any, event: EventData | None) -> None:
        self.events += event is not None

    def _on_error(self, _: Any, error: Exception) -> None:
        self.problem = self.problem or error

    def close(self) -> None:
        """Stop it."""
        self._client.close()
        self._thread.join(PATIENCE)


def test_owner_levels(server: Server) -> None:
    """A higher level takes the partition over; a lower one and none are refused while it is there."""
    with server.producer("owners") as producer:
        producer.send_event(EventData("x"), partition_id="0")
    receivers = [_Receiving(server, 1)]
    until(lambda: receivers[0].events > 0)
    receivers.append(_Receiving(server, 2))
    until(lambda: receivers[1].events > 0 and receivers[0].problem is not None)
    receivers += [_Receiving(server, 1), _Receiving(server, None)]
    until(lambda: all(receiver.problem is not None for receiver in receivers[2:]))
    for receiver in receivers:
        receiver.close()
    assert receivers[1].problem is None
    assert receivers[0].events == 1
    for receiver in (receivers[0], *receivers[2:]):
        assert isinstance(receiver.problem, ConnectionLostError)
        assert "amqp:link:stolen" in str(receiver.problem) or "LinkStolen" in str(receiver.problem)
