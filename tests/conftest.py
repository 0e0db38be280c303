"""Fixtures that start real servers on free ports of this machine."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from everscore_local import processes
from everscore_local.azurite import connection_string

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class AzuriteProcess:
    """A running Azurite, its state in a temporary folder.

    Attributes:
        blob_port: port of the blob service.
        queue_port: port of the queue service.
        connection_string: for the storage SDKs, and for STORAGE and AzureWebJobsStorage.
        blob_endpoint: URL of the account's blobs, without a slash at its end.
        queue_endpoint: URL of the account's queues, without a slash at its end.
    """

    blob_port: int
    queue_port: int
    connection_string: str
    blob_endpoint: str
    queue_endpoint: str


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzuriteProcess]:
    """One Azurite for the test session (of each xdist worker). Use container and queue names of your own."""
    folder = tmp_path_factory.mktemp("azurite")
    mark = f"test-{os.getpid()}-{uuid.uuid4()}"
    launch = processes.Launch(
        name="azurite",
        command=[
            sys.executable,
            "-m",
            "everscore_local.azurite",
            "--blob-port",
            "0",
            "--queue-port",
            "0",
            "--data",
            str(folder / "data"),
        ],
        folder=ROOT,
        environment={processes.MARK: mark},
        log=folder / "azurite.log",
        dies_with_parent=True,
    )
    try:
        ready = processes.Starting(launch).wait().ready
        blob_port, queue_port = ready["blobPort"], ready["queuePort"]
        yield AzuriteProcess(
            blob_port,
            queue_port,
            connection_string(blob_port, queue_port),
            f"http://127.0.0.1:{blob_port}/devstoreaccount1",
            f"http://127.0.0.1:{queue_port}/devstoreaccount1",
        )
    finally:
        processes.end(processes.marked(mark), 20)
