"""What the metrics of waiting events are read from, against Azurite: checkpoints, and the queues looked at."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from everscore.adapters import checkpoints as checkpoints_adapter
from everscore.adapters.credentials import Credentials
from everscore.adapters.host_checkpoints import HostCheckpoints
from everscore.adapters.queue import StoragePoisonQueue, StorageQueue
from everscore.config.connections import Connection
from everscore.config.settings import load_settings
from everscore.failures import Failure, SettingError
from tests.support.services import Services, free_port


@pytest.fixture
async def credentials() -> AsyncIterator[Credentials]:
    """For connections without a key; none is here."""
    async with Credentials() as made:
        yield made


def reader(connection: Connection, credentials: Credentials) -> HostCheckpoints:
    """A reader of the checkpoints of one hub and group."""
    return HostCheckpoints(
        lambda: connection,
        namespace="NS.servicebus.windows.net",
        hub="Events",
        group="$Default",
        timeout=30.0,
        credentials=credentials,
    )


async def test_checkpoints_are_read_by_their_hub_and_group(
    services: Services, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are found in lower case; other hubs, owners and what has no number are passed over; no container, none."""
    container = f"checkpoints-{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr(checkpoints_adapter, "CONTAINER", container)
    checkpoints = reader(Connection("x", connection_string=services.storage), credentials)
    try:
        assert await checkpoints.read() == {}
        with BlobServiceClient.from_connection_string(services.storage) as blobs:
            client = blobs.create_container(container)
            group = "ns.servicebus.windows.net/events/$default"
            for name, metadata in {
                f"{group}/checkpoint/0": {"sequencenumber": "41", "offset": "1"},
                f"{group}/checkpoint/1": {"sequencenumber": "-1"},
                f"{group}/checkpoint/2": {"offset": "no offset"},
                f"{group}/ownership/3": {"ownerid": "x", "sequencenumber": "9"},
                "ns.servicebus.windows.net/others/$default/checkpoint/4": {"sequencenumber": "9"},
            }.items():
                client.upload_blob(name, b"", metadata=metadata)
        assert await checkpoints.read() == {"0": 41, "1": -1}
    finally:
        await checkpoints.close()


async def test_checkpoints_out_of_reach_are_a_failure(credentials: Credentials) -> None:
    """A storage account that refuses connections is a failure of ours, as is a setting that is missing."""
    address = f"http://127.0.0.1:{free_port()}/devstoreaccount1"
    text = f"AccountName=devstoreaccount1;AccountKey=eA==;BlobEndpoint={address}"
    checkpoints = reader(Connection("x", connection_string=text), credentials)
    try:
        with pytest.raises(Failure):
            await checkpoints.read()
    finally:
        await checkpoints.close()
    names = ("EVENTHUB_NAME", "EVENTHUB_CONSUMER_GROUP", "COSMOS_DATABASE", "COSMOS_CONTAINER")
    queues = {"RETRY_QUEUE": "abc", "DEADLETTER_CONTAINER": "abc", "CLAIMCHECK_CONTAINER": "abc"}
    without = load_settings({**dict.fromkeys(names, "x"), **queues})
    with pytest.raises(SettingError, match="AzureWebJobsStorage is not set"):
        without.webjobs_connection()
    by_name = load_settings(
        {**dict.fromkeys(names, "x"), **queues, "AzureWebJobsStorage__accountName": "account"}
    )
    assert by_name.webjobs_connection().endpoints == {"blob": "https://account.blob.core.windows.net"}


async def test_only_messages_that_are_due_are_seen(services: Services, credentials: Credentials) -> None:
    """The depth counts all messages, a look at the head only those that are due, and takes none of them."""
    connection = Connection("x", connection_string=services.storage)
    queue = StorageQueue(connection, services.names.queue, timeout=30.0, credentials=credentials)
    try:
        assert (await queue.depth(), await queue.peek()) == (0, [])
        await queue.send(b"due", 0)
        await queue.send(b"later", 300)
        for _ in range(2):
            (seen,) = await queue.peek()
            assert base64.b64decode(seen.text) == b"due"
            assert seen.inserted_at.endswith("Z")
        assert await queue.depth() == 2
    finally:
        await queue.close()


async def test_a_poison_queue_that_is_not_there_is_empty(
    services: Services, credentials: Credentials
) -> None:
    """The host makes the poison queue on demand: until then its depth is 0, then what lies in it."""
    name = f"q-{uuid.uuid4().hex[:8]}"
    connection = Connection("x", connection_string=services.storage)
    poison = StoragePoisonQueue(connection, name, timeout=30.0, credentials=credentials)
    try:
        assert await poison.depth() == 0

        def put() -> None:
            with QueueClient.from_connection_string(services.storage, f"{name}-poison") as client:
                client.create_queue()
                client.send_message("x")

        await asyncio.to_thread(put)
        assert await poison.depth() == 1
    finally:
        await poison.close()
