"""The whole local stack around a copy of the app, with short intervals and a retry queue that can be cut off."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from azure.core.exceptions import ResourceNotFoundError
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.storage.blob import BlobServiceClient

from everscore_local.azurite import connection_string
from everscore_local.endpoints import Ports
from everscore_local.stack import HOST, SERVICES, Stack, StackOptions
from tests.support.app import copy_app, wait_until
from tests.support.read_back import queued
from tests.support.services import Gateway, Relay, Services

# Small batches make many of them; a claim that its dead owner left is taken over soon.
SHORT = {
    "eventHubs": {
        "maxEventBatchSize": 50,
        "loadBalancingUpdateInterval": "00:00:01",
        "partitionOwnershipExpirationInterval": "00:00:03",
    },
    "queues": {"maxPollingInterval": "00:00:00.5", "visibilityTimeout": "00:00:01"},
}
DRAIN_SECONDS = 180


class LocalStack:
    """A running stack.

    Attributes:
        services: its store and storage, for reading back.
        gateway: the store's control port.
        relays: the app's way to blobs and queue; the host's own storage does not go through them.
    """

    def __init__(self, stack: Stack, services: Services, relays: Sequence[Relay]) -> None:
        self._stack = stack
        self.services = services
        self.gateway = services.gateway
        self.relays = relays
        self.hub = stack.settings()["EVENTHUB"]

    def send(self, flights: Sequence[Mapping[str, Any] | bytes]) -> None:
        """Send events, flights by the partition key of their carrier; they are on the hub's disk at the end."""
        groups: dict[str, list[bytes]] = defaultdict(list)
        for each in flights:
            if isinstance(each, bytes):
                groups["bytes"].append(each)
            else:
                groups[str(each["carrier"])].append(json.dumps(each).encode())
        name = self._stack.names.hub
        with EventHubProducerClient.from_connection_string(self.hub, eventhub_name=name) as producer:
            for key, bodies in groups.items():
                batch = producer.create_batch(partition_key=key)
                for body in bodies:
                    try:
                        batch.add(EventData(body))
                    except ValueError:
                        producer.send_batch(batch)
                        batch = producer.create_batch(partition_key=key)
                        batch.add(EventData(body))
                producer.send_batch(batch)

    def ends(self) -> dict[str, int]:
        """Sequence number of the newest event of each partition that has one."""
        found = {}
        with EventHubConsumerClient.from_connection_string(
            self.hub, "everscore", eventhub_name=self._stack.names.hub
        ) as client:
            for partition in client.get_partition_ids():
                properties = client.get_partition_properties(partition)
                if not properties["is_empty"]:
                    found[partition] = int(properties["last_enqueued_sequence_number"])
        return found

    def checkpoints(self) -> dict[str, int]:
        """Sequence number up to which the host has passed each partition."""
        with BlobServiceClient.from_connection_string(
            self.services.settings()["AzureWebJobsStorage"]
        ) as blobs:
            container = blobs.get_container_client("azure-webjobs-eventhub")
            try:
                return {
                    blob.name.rpartition("/")[2]: int(blob.metadata["sequencenumber"])
                    for blob in container.list_blobs(include=["metadata"])
                    if "/checkpoint/" in blob.name
                }
            except ResourceNotFoundError:
                return {}

    def wait_passed(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until the host has passed all that was sent."""
        ends = self.ends()
        wait_until(lambda: self.checkpoints() == ends, seconds, "the host has passed every event")

    def wait_drained(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until the host has passed all that was sent and nothing waits in the retry queue."""
        self.wait_passed(seconds)
        wait_until(lambda: queued(self.services) == 0, seconds, "the retry queue is empty")

    def document_count(self) -> int:
        """Documents in the store."""
        return int(self.gateway.state()["documents"])

    def host_status(self) -> dict[str, Any]:
        """What the host says of itself."""
        return dict(self._ask("GET", "/admin/host/status"))

    def details(self) -> tuple[int, dict[str, Any]]:
        """Status and body of /api/health/details."""
        request = urllib.request.Request(self._url("/api/health/details"))
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def run_timer(self, function: str) -> None:
        """Ask the host to run a timer function now."""
        request = urllib.request.Request(
            self._url(f"/admin/functions/{function}"),
            b"{}",
            {"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status in (200, 202)

    def kill_host(self) -> None:
        """End the host with SIGKILL, and wait until its worker has noticed."""
        worker = psutil.Process(self.host_status()["worker"]["pid"])
        self._stack.kill(HOST)
        psutil.wait_procs([worker], 10)

    def start_host(self) -> None:
        """Start the host (again)."""
        self._stack.start((*SERVICES, HOST))

    def kill_worker(self) -> int:
        """End the worker alone with SIGKILL; the process id that it had."""
        pid = int(self.host_status()["worker"]["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def log(self) -> str:
        """What the host has logged."""
        return self._stack.log(HOST).read_text()

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._stack.ports.functions}{path}"

    def _ask(self, method: str, path: str) -> Any:
        with urllib.request.urlopen(urllib.request.Request(self._url(path), method=method)) as answer:
            return json.load(answer)


@contextmanager
def local_stack(
    folder: Path, *, host: Mapping[str, Any] | None = None, **settings: str
) -> Iterator[LocalStack]:
    """A stack for as long as the block runs.

    Args:
        folder: for its state and its copy of the app.
        host: sections of host.json in place of the short intervals.
        settings: further settings of the app.
    """
    app = copy_app(folder / "app", host=host or SHORT)
    options = StackOptions(state=folder / "state", app=app, ports=Ports.free(), dies_with_parent=True)
    with Stack.new(options) as services_first:
        services_first.start(SERVICES)
        ports = services_first.ports
        blob, queue = Relay(ports.blob), Relay(ports.queue)
        for relay in (blob, queue):
            relay.open()
        environment = {
            "STORAGE": connection_string(blob.port, queue.port),
            # The trigger of the retry queue listens here; what the host keeps in blobs stays in reach.
            "AzureWebJobsStorage": connection_string(ports.blob, queue.port),
            "BATCH_DEADLINE_SECONDS": "2",
            "STATUS_INTERVAL_SECONDS": "0.1",
        }
        services_first.state.host_environment.update({**environment, **settings})
        try:
            services_first.start()
            gateway = Gateway(ports.cosmos, ports.cosmos_control)
            direct = connection_string(ports.blob, ports.queue)
            services = Services(gateway, direct, services_first.names)
            yield LocalStack(services_first, services, (blob, queue))
        finally:
            services_first.stop()
            for relay in (blob, queue):
                relay.shut()
