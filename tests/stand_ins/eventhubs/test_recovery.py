"""Kills, restarts and retention, of the whole server."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventHubError

from everscore_local.eventhubs.hub import HubDefinition, HubError
from everscore_local.eventhubs.performatives import Performative
from tests.stand_ins.eventhubs.raw_client import RawClient
from tests.stand_ins.eventhubs.support import PATIENCE, ROOT, Server, until

# azure-eventhub leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Have it collected while the warning is ignored, not in a test of another file or at the very end."""
    yield
    gc.collect()


def test_sigkill_in_mid_stream_loses_nothing_accepted(tmp_path: Path) -> None:
    """After SIGKILL while events stream in, with a torn tail besides, every accepted event is there once, in order."""
    server = Server(tmp_path / "data")
    accepted: list[int] = []
    stopped = threading.Event()

    def send() -> None:
        with server.producer() as producer:
            created.append(producer.get_eventhub_properties()["created_at"])
            try:
                for start in range(0, 10_000_000, 50):
                    events = [EventData(b"%d %s" % (start + index, b"x" * 500)) for index in range(50)]
                    producer.send_batch(events, partition_id="1")
                    accepted.extend(range(start, start + 50))
            except EventHubError:
                stopped.set()

    created: list[object] = []
    thread = threading.Thread(target=send)
    thread.start()
    until(lambda: len(accepted) > 500)
    server.stop(signal.SIGKILL)
    thread.join(PATIENCE)
    assert stopped.is_set()
    segment = max((tmp_path / "data" / "events" / "1").glob("*.log"))
    with segment.open("ab") as file:
        file.write(b"\x00\x00\x40\x00half of a block")
    server.start()
    with server.producer() as producer:
        assert producer.get_eventhub_properties()["created_at"] == created[0]
        last = producer.get_partition_properties("1")["last_enqueued_sequence_number"]
        producer.send_event(EventData("after"), partition_id="1")
    received = server.receive(last + 2, partition_id="1")
    assert server.stop() == 0
    numbers = [int(event.body_as_str().split()[0]) for event in received[:-1]]
    assert numbers == list(range(last + 1))
    assert set(accepted) <= set(numbers)
    assert len(numbers) - len(accepted) in {0, 50}
    assert received[-1].body_as_str() == "after"
    assert "unfinished send" in "".join(path.read_text() for path in tmp_path.glob("log-*"))


def test_an_emptied_folder_is_a_hub_made_anew(tmp_path: Path) -> None:
    """A hub whose data was emptied starts at sequence number 0 with a later time of creation."""
    server = Server(tmp_path / "data")
    with server.producer() as producer:
        producer.send_event(EventData("x"), partition_id="0")
        first = producer.get_eventhub_properties()["created_at"]
    server.stop()
    server.data = tmp_path / "anew"
    server.start()
    with server.producer() as producer:
        properties = producer.get_partition_properties("0")
        assert producer.get_eventhub_properties()["created_at"] > first
    assert server.stop() == 0
    assert (properties["is_empty"], properties["last_enqueued_sequence_number"]) == (True, -1)
    assert properties["last_enqueued_offset"] == "-1"


def test_events_past_retention_go_while_the_server_runs(tmp_path: Path) -> None:
    """Old events are deleted, from disk too; sequence numbers go on, and a reader from the start gets what is kept."""
    server = Server(tmp_path / "data", "--retention-hours", "0.0003", hubs=("events:1:everscore",))
    with server.producer() as producer:
        producer.send_batch([EventData(b"x" * 1000) for _ in range(500)], partition_id="0")
        folder = tmp_path / "data" / "events" / "0"
        until(lambda: sum(path.stat().st_size for path in folder.glob("*.log")) < 1000)
        properties = producer.get_partition_properties("0")
        assert (properties["is_empty"], properties["beginning_sequence_number"]) == (True, 500)
        assert properties["last_enqueued_sequence_number"] == 499
        producer.send_event(EventData("new"), partition_id="0")
    received = server.receive(1, partition_id="0")
    assert server.stop() == 0
    assert received[0].sequence_number == 500


def test_memory_is_bounded_while_the_disk_holds_all(tmp_path: Path) -> None:
    """Sixty megabytes of events leave the server's memory small, and come back whole from disk."""
    server = Server(tmp_path / "data", hubs=("events:1:everscore",))
    with server.producer() as producer:
        for _ in range(60):
            producer.send_batch([EventData(b"m" * 100_000) for _ in range(10)], partition_id="0")
    received = server.receive(600, partition_id="0", prefetch=50)
    resident = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(server.process.pid)], capture_output=True, text=True, check=True
    )
    assert server.stop() == 0
    assert [event.sequence_number for event in received] == list(range(600))
    assert int(resident.stdout) < 75_000


@pytest.mark.parametrize("position", ["-1", 0])
def test_a_partition_that_cannot_be_read_is_said_to_be_so(tmp_path: Path, position: str | int) -> None:
    """A file that is gone, or cut short by somebody else, ends the link with an error; the server lives, and reads it again."""
    server = Server(tmp_path / "data", hubs=("events:1:everscore",))
    with server.producer() as producer:
        for _ in range(12):  # more than memory keeps
            producer.send_batch([EventData(b"m" * 100_000) for _ in range(10)], partition_id="0")
    (segment,) = (tmp_path / "data" / "events" / "0").glob("*.log")
    whole = segment.rename(tmp_path / "aside")
    for left in (None, whole.read_bytes()[:100]):
        if left is not None:
            segment.write_bytes(left)
        with pytest.raises(EventHubError, match="Partition 0 cannot be read"):
            server.receive(1, partition_id="0", starting_position=position)
    whole.replace(segment)
    received = server.receive(3, partition_id="0", starting_position=position)
    assert server.stop() == 0
    first = 0 if position == "-1" else 1
    assert [event.sequence_number for event in received] == [first, first + 1, first + 2]


def test_a_client_that_does_not_read_holds_up_no_stop(tmp_path: Path) -> None:
    """SIGTERM ends the server with exit code 0 although a receiver has taken none of the megabytes that it asked for."""
    server = Server(tmp_path / "data", hubs=("raw:1",))
    with server.producer("raw") as producer:
        for _ in range(24):
            producer.send_batch([EventData(b"m" * 100_000) for _ in range(10)], partition_id="0")
    with RawClient(server.port) as client:
        client.open()
        assert client.sign_in("raw") == 202
        client.attach_receiver(5, "raw/ConsumerGroups/$default/Partitions/0", credit=10_000)
        client.expect(Performative.TRANSFER)
        assert server.stop() == 0


def _run(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    command = [
        sys.executable,
        "-m",
        "everscore_local.eventhubs",
        "--data",
        str(tmp_path / "data"),
        *arguments,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_mistakes_get_one_sentence(tmp_path: Path) -> None:
    """An occupied port, a folder in use, another number of partitions, a damaged record: one sentence, exit code 2."""
    server = Server(tmp_path / "data")
    code, said = _run(tmp_path / "else", "--hub", "events:4", "--port", str(server.port))
    assert (code, said.count("\n")) == (2, 1)
    assert f"Port {server.port} is in use" in said
    code, said = _run(tmp_path, "--hub", "events:4", "--port", "0")
    assert (code, said.count("\n")) == (2, 1)
    assert "in use by another Event Hubs server" in said
    server.stop()
    code, said = _run(tmp_path, "--hub", "events:2", "--port", "0")
    assert (code, said.count("\n")) == (2, 1)
    assert "was made with 4 partitions, not 2" in said
    (tmp_path / "data" / "events" / "hub.json").write_text("{}")
    code, said = _run(tmp_path, "--hub", "events:4", "--port", "0")
    assert (code, said.count("\n")) == (2, 1)
    assert json.dumps(said).count("unreadable") == 1


@pytest.mark.parametrize("hub", ["events", "events:0", "events:33", "a/b:1", "events:x", ":4", "..:1"])
def test_a_hub_that_cannot_be_is_refused(hub: str) -> None:
    """A hub that cannot be had as asked for is refused with what is wrong about it."""
    with pytest.raises(HubError, match="hub"):
        HubDefinition.parse(hub)
