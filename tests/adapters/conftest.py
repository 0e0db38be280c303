"""Fixtures of the adapters: their real servers, and names of a test's own in them."""

from __future__ import annotations

from collections.abc import Iterator
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
    """Database, queue and containers of the test's own."""
    return own_services(gateway, azurite.connection_string)
