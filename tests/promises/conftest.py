"""Fixtures of the promises: a store and a storage account with names of a test's own, and the whole stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.local_stack import LocalStack, local_stack
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


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The whole stack, for the tests of one file; each leaves it drained."""
    with local_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
