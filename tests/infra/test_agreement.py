"""What the deployment makes and sets is what the code looks for."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from devsetup.interpreters import PYTHON
from everscore.config.settings import load_settings, setting_names
from everscore_local import provision
from everscore_local.endpoints import Names
from tests.support.infra import DEPLOYMENTS, deployment, tail
from tests.support.services import ROOT

PLATFORM = json.loads((ROOT / "everscore/config/platform_settings.json").read_text(encoding="utf-8"))
# Not in Azure: those with keys in them, and one address by name where the other is by URI.
NEVER = {"EVENTHUB", "COSMOS", "STORAGE", "STORAGE__accountName"}
NAMES = Names()


def names(resources: list[dict[str, Any]]) -> set[str]:
    """Their names without those of what they are in."""
    return {each["name"].rpartition("/")[2] for each in resources}


def test_the_settings_that_the_platform_reads_are_listed() -> None:
    """Each has its reason, and none is one of the app's by mistake."""
    assert all(PLATFORM.values())
    assert not set(PLATFORM) & NEVER


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_every_setting_is_one_that_somebody_reads(case: str) -> None:
    """The app settings are names of settings.py, and those listed as the platform's; none with a key in it."""
    found = set(deployment(case).settings())
    assert found - set(setting_names()) - set(PLATFORM) == set()
    assert set(PLATFORM) <= found
    assert not found & NEVER


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_the_app_understands_its_settings(case: str) -> None:
    """settings.py takes them all, finds each service by its address, and signs in with the identity alone."""
    settings = deployment(case).settings()
    read = load_settings(
        {name: _evaluated(name, value) for name, value in settings.items() if name not in PLATFORM}
    )
    connections = (read.eventhub_connection(), read.cosmos_connection(), read.storage_connection())
    for connection in (*connections, read.webjobs_connection()):
        assert connection.connection_string == ""
        assert connection.client_id is not None
        assert "outputs.clientId" in connection.client_id
    assert read.eventhub_connection().endpoints["namespace"].endswith(".servicebus.windows.net")
    assert read.cosmos_connection().endpoints["account"].startswith("https://")


def _evaluated(name: str, value: str) -> str:
    """A reference to the storage account as Azure evaluates it."""
    if not (value.startswith("[") and name.endswith("ServiceUri")):
        return value
    return f"https://stx.{'blob' if 'blob' in name else 'queue'}.core.windows.net/"


def test_every_other_setting_keeps_its_default() -> None:
    """What the deployment leaves out has a default in the code; what it sets beside that is said to be so."""
    set_here = set(deployment("prod").settings()) - set(PLATFORM)
    required = {"EVENTHUB_NAME", "EVENTHUB_CONSUMER_GROUP", "COSMOS_DATABASE", "COSMOS_CONTAINER"}
    required |= {"RETRY_QUEUE", "DEADLETTER_CONTAINER", "CLAIMCHECK_CONTAINER"}
    addresses = {"EVENTHUB__fullyQualifiedNamespace", "COSMOS__accountEndpoint"}
    addresses |= {"STORAGE__blobServiceUri", "STORAGE__queueServiceUri"}
    identities = {"EVENTHUB__clientId", "COSMOS__clientId", "STORAGE__clientId"}
    host = {f"AzureWebJobsStorage__{each}" for each in ("blobServiceUri", "queueServiceUri", "clientId")}
    metrics = {"APPLICATIONINSIGHTS_CONNECTION_STRING"}
    assert set_here == required | addresses | identities | host | metrics | {"RETRY_GIVE_UP_DAYS"}


def test_a_changed_setting_arrives() -> None:
    """The parameter `settings` reaches the app."""
    assert deployment("options/existing-services").settings()["BATCH_DEADLINE_SECONDS"] == "10"


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_the_names_are_those_of_the_local_stack(case: str) -> None:
    """Hub, group, database, container, queue and blob containers: in the settings and as they are made."""
    found = deployment(case)
    settings = found.settings()
    assert {name: settings[name] for name in NAMES.settings()} == NAMES.settings()
    queues = names(found.all("Microsoft.Storage/storageAccounts/queueServices/queues"))
    assert queues == {NAMES.queue, f"{NAMES.queue}-poison"}
    containers = names(found.all("Microsoft.Storage/storageAccounts/blobServices/containers"))
    assert containers == {NAMES.dead_letters, NAMES.claim_checks, "azure-webjobs-eventhub", "app-package"}
    group = found.one("Microsoft.EventHub/namespaces/eventhubs/consumergroups")
    assert tail(group).endswith(f"/eventhubs/{NAMES.hub}/consumergroups/{NAMES.group}")
    container = found.one("Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers")
    assert tail(container).endswith(f"/sqlDatabases/{NAMES.database}/containers/{NAMES.container}")


def test_the_hub_is_made_unless_there_is_one() -> None:
    """A hub of its own has the sizes given; an existing namespace gets the consumer group alone."""
    hub = deployment("prod").one("Microsoft.EventHub/namespaces/eventhubs")["properties"]
    assert hub["partitionCount"] == 16
    assert hub["retentionDescription"] == {"cleanupPolicy": "Delete", "retentionTimeInHours": 72}
    existing = deployment("options/existing-services")
    assert not existing.all("Microsoft.EventHub/namespaces")
    assert not existing.all("Microsoft.EventHub/namespaces/eventhubs")
    group = existing.one("Microsoft.EventHub/namespaces/eventhubs/consumergroups")
    assert tail(group).startswith("rg-shared/providers/Microsoft.EventHub/namespaces/evhns-shared/")


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_the_container_is_that_of_the_local_stack(case: str) -> None:
    """Partition key path and index policy are those that the local stack makes."""
    container = deployment(case).one("Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers")
    resource = container["properties"]["resource"]
    assert resource["partitionKey"]["paths"] == [provision.PARTITION_KEY_PATH]
    assert resource["indexingPolicy"] == provision.INDEXING
    assert resource["defaultTtl"] == (-1 if case in ("prod", "options/private-network") else 30 * 86_400)


def test_an_existing_account_is_not_changed() -> None:
    """Database and container are made in it, without request units where it is serverless."""
    existing = deployment("options/existing-services")
    assert not existing.all("Microsoft.DocumentDB/databaseAccounts")
    container = existing.one("Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers")
    assert tail(container).startswith(
        "rg-shared-data/providers/Microsoft.DocumentDB/databaseAccounts/cosno-shared/"
    )
    assert container["properties"]["options"] == {}
    made = deployment("prod").one("Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers")
    assert made["properties"]["options"] == {"autoscaleSettings": {"maxThroughput": 20_000}}


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_the_python_is_the_projects(case: str) -> None:
    """The app runs on the Python that requirements.txt is resolved for."""
    runtime = deployment(case).one("Microsoft.Web/sites")["properties"]["functionAppConfig"]["runtime"]
    assert runtime == {"name": "python", "version": "{}.{}".format(*PYTHON)}


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_claim_checks_outlive_the_events_that_need_them(case: str) -> None:
    """They are kept for at least the give-up age and 7 days; dead letters go by no rule, unless asked for."""
    found = deployment(case)
    policy = found.one("Microsoft.Storage/storageAccounts/managementPolicies")["properties"]["policy"]
    days = {}
    for rule in policy["rules"]:
        (prefix,) = rule["definition"]["filters"]["prefixMatch"]
        delete = rule["definition"]["actions"]["baseBlob"]["delete"]
        days[prefix] = delete["daysAfterModificationGreaterThan"]
        assert rule["enabled"]
    give_up = float(found.settings()["RETRY_GIVE_UP_DAYS"])
    assert days[f"{NAMES.claim_checks}/"] >= give_up + 7
    kept_for_ever = case in ("prod", "options/private-network")
    assert set(days) == {f"{NAMES.claim_checks}/"} | (set() if kept_for_ever else {f"{NAMES.dead_letters}/"})


def test_the_app_starts_where_its_package_is_put() -> None:
    """The package's container is one that the deployment makes."""
    found = deployment("prod")
    value = found.one("Microsoft.Web/sites")["properties"]["functionAppConfig"]["deployment"]["storage"][
        "value"
    ]
    assert re.search(r"primaryEndpoints\.blob, 'app-package'\)\]$", value)


def test_only_the_scoring_is_always_ready() -> None:
    """The name of the function group in the plan is that of a function; nothing is kept ready in dev."""
    found = deployment("prod").one("Microsoft.Web/sites")["properties"]["functionAppConfig"]
    assert found["scaleAndConcurrency"]["alwaysReady"] == [
        {"name": "function:score_events", "instanceCount": 1}
    ]
    dev = deployment("dev").one("Microsoft.Web/sites")["properties"]["functionAppConfig"]
    assert dev["scaleAndConcurrency"]["alwaysReady"] == []
