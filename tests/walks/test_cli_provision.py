"""`everscore provision` on a store that keeps its conditions, and on one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import CosmosClient

from everscore.event.identity import encode
from everscore_local.endpoints import Names
from tests.support.cli import Cli, cli_in
from tests.support.services import Gateway, Services, cosmos_gateway, own_names

IGNORES = {"match": {"operation": "batch"}, "action": {"ignoreIfMatch": True}}
REFUSES = {"match": {"operation": "batch"}, "action": {"status": 400, "message": "batches are not known"}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A Cosmos DB stand-in."""
    with cosmos_gateway(tmp_path_factory.mktemp("cosmos")) as running:
        yield running


@pytest.fixture
def names() -> Names:
    """Names that nobody has provisioned yet."""
    return own_names()


@pytest.fixture
def cli(tmp_path: Path, gateway: Gateway, azurite: Any, names: Names) -> Iterator[Cli]:
    """The command in an app whose settings lead to the stand-in and to Azurite."""
    with cli_in(tmp_path) as command:
        command.environment |= Services(gateway, azurite.connection_string, names).settings()
        yield command


def ever_written(gateway: Gateway, names: Names) -> list[str]:
    """The partition keys of all items that the container ever held."""
    path = f"/accepted?database={names.database}&container={names.container}"
    return [name.partition(" ")[0] for name in gateway.control("GET", path)]


def documents(gateway: Gateway, names: Names) -> list[dict[str, Any]]:
    """What the container holds."""
    with CosmosClient.from_connection_string(gateway.connection_string) as client:
        container = client.get_database_client(names.database).get_container_client(names.container)
        return list(container.read_all_items())


def test_hole_40_a_store_that_keeps_conditions_is_not_spoken_of(
    cli: Cli, gateway: Gateway, names: Names
) -> None:
    """Hole 40: where If-Match counts in a batch nothing is said, and what was tried leaves nothing behind.

    Its only item was in a partition whose key no field of an event can be encoded to.
    """
    said = cli.run("provision")
    assert f"container {names.database}/{names.container}" in said
    assert "If-Match" not in said
    assert cli.json("provision") == {"created": [], "brokenPromise": None}
    assert documents(gateway, names) == []
    assert ever_written(gateway, names) == ["~probe", "~probe"]
    assert encode("~probe") == "~7eprobe"


def test_hole_40_a_store_that_ignores_conditions_is_named(cli: Cli, gateway: Gateway, names: Names) -> None:
    """Hole 40: where If-Match does not count in a batch, one sentence says which promise does not hold there."""
    with gateway.faults(IGNORES):
        said = " ".join(cli.run("provision").split())
        broken = cli.json("provision")["brokenPromise"]
    assert "This store ignores If-Match inside a transactional batch" in said
    assert "nothing newer is overwritten by something older does not hold here" in said
    assert broken in said
    assert documents(gateway, names) == []


def test_hole_40_a_store_without_batches_is_no_store_that_keeps_them(
    cli: Cli, gateway: Gateway, names: Names
) -> None:
    """Hole 40: where the batch is refused for another reason, that is said and not taken for a good sign."""
    with gateway.faults(REFUSES):
        broken = cli.json("provision")["brokenPromise"]
    assert "could not be tried out" in broken
    assert "batches are not known" in broken
    assert documents(gateway, names) == []


def test_hole_40_what_cannot_be_deleted_expires(cli: Cli, gateway: Gateway, names: Names) -> None:
    """Hole 40: a command that ends before it has tidied up leaves an item that the container's expiry removes."""
    with gateway.faults({"match": {"operation": "delete"}, "action": {"status": 400}}):
        cli.run("provision", code=1)
    (left,) = documents(gateway, names)
    assert (left["pk"], left["ttl"]) == ("~probe", 60)
