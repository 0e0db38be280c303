"""The Event Hubs server as a process of its own, and short ways to Microsoft's clients for it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient

ROOT = Path(__file__).resolve().parents[3]
KEY_NAME = "RootManageSharedAccessKey"
KEY = "SAS_KEY_VALUE"
PATIENCE = 120


class Server:
    """A running server; `hubs` are given as on its command line."""

    def __init__(self, data: Path, *options: str, hubs: tuple[str, ...] = ("events:4:everscore",)) -> None:
        self.data = data
        self._options = [*options]
        for hub in hubs:
            self._options += ["--hub", hub]
        self.start()

    def start(self) -> None:
        """Start the process and wait for its ready line."""
        command = [sys.executable, "-m", "everscore_local.eventhubs", "--port", "0", "--data", str(self.data)]
        self._log = (self.data.parent / f"log-{uuid.uuid4().hex}").open("w+")
        self.process = subprocess.Popen(
            [*command, *self._options], cwd=ROOT, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        line = self.process.stdout.readline()
        assert line, f"the server did not start: {self.log}"
        ready = json.loads(line)
        assert ready["ready"] == "eventhubs"
        self.port = ready["port"]

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        return Path(self._log.name).read_text()

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Stop the process; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        self._log.close()
        return code

    @property
    def connection(self) -> str:
        """The connection string."""
        return (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName={KEY_NAME};SharedAccessKey={KEY};"
            "UseDevelopmentEmulator=true;"
        )

    def producer(self, hub: str = "events", **options: Any) -> EventHubProducerClient:
        """Make a producer that does not try again."""
        return EventHubProducerClient.from_connection_string(
            self.connection, eventhub_name=hub, retry_total=0, **options
        )

    def consumer(
        self, hub: str = "events", group: str = "everscore", **options: Any
    ) -> EventHubConsumerClient:
        """Make a consumer that does not try again, and does not wait long on a partition without events."""
        return EventHubConsumerClient.from_connection_string(
            self.connection, group, eventhub_name=hub, retry_total=0, socket_timeout=0.02, **options
        )

    def receive(
        self,
        count: int,
        hub: str = "events",
        *,
        group: str = "everscore",
        places: list[str] | None = None,
        **options: Any,
    ) -> list[EventData]:
        """Receive so many events, in the order they came; `places` takes the partition of each."""
        received: list[EventData] = []
        problems: list[Exception] = []
        done = threading.Event()

        def on_event(context: Any, event: EventData | None) -> None:
            if event is not None and not done.is_set():
                received.append(event)
                if places is not None:
                    places.append(context.partition_id)
                if len(received) >= count:
                    done.set()

        def on_error(_: Any, error: Exception) -> None:
            problems.append(error)
            done.set()

        options.setdefault("starting_position", "-1")
        client = self.consumer(hub, group)
        thread = threading.Thread(
            target=client.receive, args=(on_event,), kwargs={"on_error": on_error, **options}
        )
        thread.start()
        done.wait(PATIENCE)
        client.close()
        thread.join(PATIENCE)
        if problems:
            raise problems[0]
        return received


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


SHARED_HUBS = (
    "bytes",
    "full",
    "positions",
    "owners",
    "readers",
    "async",
    "metrics",
    "raw",
    "single",
    "expiry",
    "key",
)
