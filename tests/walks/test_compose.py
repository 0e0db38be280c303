"""compose.yaml leads to the same places as the local stack, and does not repeat what others stumbled over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from everscore.config.connections import parts_of
from everscore.config.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
VALUES: dict[str, str] = json.loads((ROOT / "local.settings.example.json").read_text(encoding="utf-8"))[
    "Values"
]


def published(service: str) -> dict[int, int]:
    """The ports of a service: on this machine, and in its container."""
    found = {}
    for port in SERVICES[service].get("ports", []):
        address, outside, inside = port.split(":")
        assert address == "127.0.0.1", f"{service} would listen on every network of this machine"
        found[int(outside)] = int(inside)
    return found


def test_the_ports_are_those_of_the_settings() -> None:
    """Each address in local.settings.example.json is published, on 127.0.0.1, at its emulator's own port."""
    hub = urlsplit(parts_of(VALUES["EVENTHUB"])["endpoint"])
    account = urlsplit(parts_of(VALUES["COSMOS"])["accountendpoint"])
    storage = parts_of(VALUES["STORAGE"])
    blobs, queues = urlsplit(storage["blobendpoint"]), urlsplit(storage["queueendpoint"])
    assert {hub.hostname, account.hostname, blobs.hostname, queues.hostname} == {"127.0.0.1"}
    assert published("eventhubs") == {hub.port: 5672}
    assert published("cosmos") == {account.port: 8081}
    assert published("azurite") == {blobs.port: 10000, queues.port: 10001}
    assert VALUES["AzureWebJobsStorage"] == VALUES["STORAGE"]


def test_hub_partitions_and_group_are_those_of_the_settings() -> None:
    """The Event Hubs emulator's file, in the form that its schema asks for, has our hub and group."""
    config = json.loads((ROOT / "emulators/eventhubs-config.json").read_text(encoding="utf-8"))["UserConfig"]
    (namespace,) = config["NamespaceConfig"]
    # The only namespace that the emulator knows; partition counts are texts there.
    assert (namespace["Type"], namespace["Name"]) == ("EventHub", "emulatorNs1")
    assert namespace["Entities"] == [
        {
            "Name": VALUES["EVENTHUB_NAME"],
            "PartitionCount": "4",
            "ConsumerGroups": [{"Name": VALUES["EVENTHUB_CONSUMER_GROUP"]}],
        }
    ]
    assert config["LoggingConfig"]["Type"] in {"File", "Console", "File,Console", "Console,File"}
    assert (
        "./emulators/eventhubs-config.json:/Eventhubs_Emulator/ConfigFiles/Config.json:ro"
        in SERVICES["eventhubs"]["volumes"]
    )
    assert "UseDevelopmentEmulator=true" in VALUES["EVENTHUB"]
    load_settings(VALUES).eventhub_connection()


def test_azurite_takes_new_sdks_and_binds_to_its_container() -> None:
    """Azurite skips the API version check (Azure/Azurite#2651) and binds 0.0.0.0 inside (Azure/Azurite#715)."""
    command = SERVICES["azurite"]["command"].split()
    assert {"--skipApiVersionCheck", "--disableTelemetry"} <= set(command)
    for option in ("--blobHost", "--queueHost", "--tableHost"):
        assert command[command.index(option) + 1] == "0.0.0.0"
    pinned = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]["azurite"]
    images = {SERVICES[name]["image"] for name in ("azurite", "ready")}
    assert images == {f"mcr.microsoft.com/azure-storage/azurite:{pinned}"}


def test_hole_40_images_are_pinned_or_the_file_says_why_not() -> None:
    """Hole 40: each image is a fixed version, except the one of which no version is documented."""
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    images = {service["image"] for service in SERVICES.values()}
    moving = {image for image in images if not image.rpartition(":")[2].replace(".", "").isdecimal()}
    assert moving == {"mcr.microsoft.com/cosmosdb/linux/azure-cosmos-emulator:vnext-latest"}
    assert "names no dated tag" in text
    assert "mcr.microsoft.com/azure-messaging/eventhubs-emulator:2.1.0" in images


def test_up_waits_until_all_answer() -> None:
    """`up --wait` waits for a health check that asks each emulator's own readiness, by its name in the network."""
    check = " ".join(SERVICES["ready"]["healthcheck"]["test"])
    assert "http://eventhubs:5300/health" in check
    assert "http://cosmos:8080/ready" in check
    assert set(SERVICES["ready"]["depends_on"]) == {"azurite", "eventhubs", "cosmos"}
    assert SERVICES["eventhubs"]["depends_on"] == {"azurite": {"condition": "service_healthy"}}
    assert "nc" in SERVICES["azurite"]["healthcheck"]["test"]


def test_nothing_outlives_the_hub() -> None:
    """The Event Hubs emulator keeps nothing, so no other may: a checkpoint beside a new hub would skip events."""
    assert "volumes" not in COMPOSE
    assert "--inMemoryPersistence" in SERVICES["azurite"]["command"]
    assert [name for name, service in SERVICES.items() if "volumes" in service] == ["eventhubs"]


def test_the_licence_is_accepted_by_whoever_starts_it() -> None:
    """The emulator's licence is not accepted on anyone's behalf."""
    assert SERVICES["eventhubs"]["environment"]["ACCEPT_EULA"].startswith("${ACCEPT_EULA:?")


@pytest.mark.parametrize("name", ["azurite", "eventhubs", "cosmos", "ready"])
def test_every_key_is_one_that_compose_knows(name: str) -> None:
    """No key is misspelt: Compose refuses a file with one that it does not know."""
    known = {
        "image",
        "command",
        "entrypoint",
        "environment",
        "ports",
        "volumes",
        "healthcheck",
        "depends_on",
        "init",
    }
    assert set(SERVICES[name]) <= known
    assert set(SERVICES[name].get("healthcheck", {})) <= {
        "test",
        "interval",
        "timeout",
        "retries",
        "start_period",
    }
    assert set(COMPOSE) == {"name", "services"}
