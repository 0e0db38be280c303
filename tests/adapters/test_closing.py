"""Closing clients: all of them, whatever one does, and without harm to who still waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from azure.core.exceptions import ClientAuthenticationError

from everscore.adapters.blobs import StorageBlobs
from everscore.adapters.cosmos import CosmosStore
from everscore.adapters.credentials import Credentials
from everscore.adapters.host_checkpoints import HostCheckpoints
from everscore.adapters.queue import StoragePoisonQueue, StorageQueue
from everscore.config.connections import Connection
from everscore.failures import Transient
from everscore.ports import Write, WriteRefusedError
from everscore_local import azurite
from everscore_local.endpoints import COSMOS_KEY, EVENTHUBS_KEY, EVENTHUBS_KEY_NAME
from function_app import composition
from function_app.composition import Runtime
from function_app.hub_on_demand import HubOnDemand
from tests.support.answering import answering, silent
from tests.support.services import free_port, own_names


@pytest.fixture
async def runtime(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    """The app's pipeline, whose services are not there."""
    port = free_port()
    storage = azurite.connection_string(port, port)
    settings = {
        "EVENTHUB": f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName={EVENTHUBS_KEY_NAME};"
        f"SharedAccessKey={EVENTHUBS_KEY};UseDevelopmentEmulator=true;",
        "COSMOS": f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey={COSMOS_KEY};",
        "STORAGE": storage,
        "AzureWebJobsStorage": storage,
        **own_names().settings(),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    made = composition.build()
    yield made
    monkeypatch.undo()
    await made.close()


async def test_every_client_is_closed_though_one_refuses(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that cannot be closed keeps no other open, and is not kept quiet either."""
    kinds = (CosmosStore, StorageQueue, StoragePoisonQueue, StorageBlobs, HubOnDemand, HostCheckpoints)
    closed: list[type] = []
    for kind in (*kinds, Credentials):

        async def close(_self: object, kind: type = kind) -> None:
            closed.append(kind)
            if kind in (CosmosStore, StorageBlobs):
                raise RuntimeError(f"{kind.__name__} stays open")

        monkeypatch.setattr(kind, "close", close)
    with pytest.raises(RuntimeError, match="stays open"):
        await runtime.close()
    assert sorted(each.__name__ for each in closed) == sorted(each.__name__ for each in (*kinds, Credentials))
    assert closed[-1] is Credentials


async def test_who_waits_for_a_store_that_is_closed_is_refused_and_not_cancelled() -> None:
    """Closing the store while it connects is an outage to those who wait for it, and ends no invocation."""
    with silent() as port:
        connection = Connection(
            "COSMOS", connection_string=f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey={COSMOS_KEY};"
        )
        async with Credentials() as credentials, asyncio.timeout(60):
            store = CosmosStore(connection, "d", "c", timeout=600.0, credentials=credentials)
            writing = asyncio.create_task(store.write("p", [Write({"id": "a", "pk": "p"})]))
            while store._connecting is None:
                await asyncio.sleep(0.01)
            await store.close()
            with pytest.raises(WriteRefusedError) as refused:
                await writing
    assert isinstance(refused.value.failure, Transient)
    assert "closed meanwhile" in refused.value.failure.detail


async def test_who_waits_for_a_token_of_a_closed_identity_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing the credential while a token is asked for is no cancellation of the request that wants it."""
    asked = asyncio.Event()

    async def token(_: web.Request) -> web.Response:
        asked.set()
        await asyncio.sleep(600)
        return web.Response()

    async with answering(token) as port, asyncio.timeout(60):
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "secret")
        credentials = Credentials()
        waiting = asyncio.create_task(credentials.get("client").get_token("https://scope/.default"))
        await asked.wait()
        await credentials.close()
        with pytest.raises(ClientAuthenticationError, match="closed before a token came"):
            await waiting
