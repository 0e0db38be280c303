"""Fixtures of the public cases: a store and a storage account, and names of a test's own in them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.services import Gateway, Services, cosmos_gateway, own_services


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One Cosmos DB stand-in for the session."""
    with cosmos_gateway(tmp_path_factory.mktemp("cosmos")) as running:
        yield running


@pytest.fixture
def services(gateway: Gateway, azurite: Any) -> Services:
    """Database, queue and containers of the test's own.

    Without the brake: a new configuration is on trial until more events came than a case has, and what fails
    meanwhile waits.
    """
    own = own_services(gateway, azurite.connection_string)
    return dataclasses.replace(own, extra={**own.extra, "BRAKE_HOURS": "0"})


@pytest.fixture
async def app(services: Services, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """The real app's runtime in this process, on the stand-ins."""
    for name, value in services.settings().items():
        monkeypatch.setenv(name, value)
    from function_app import runtime

    yield runtime.get()
    await runtime.close()
