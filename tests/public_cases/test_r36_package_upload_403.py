"""R36: the package upload answers 403, or the app falls back to a storage key.

Condition: the role for the deployment's container is missing; shared keys are off; a connection string in
AzureWebJobsStorage that the platform put there.
Right: one identity has the roles for blobs, queue and table; the settings name the services by their URIs;
the app comes after the roles; a test on what is compiled holds all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from everscore.config.settings import load_settings
from tests.support.infra import DEPLOYMENTS, INFRA, compiler, deployment

HOST = "AzureWebJobsStorage"
BLOB_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
QUEUE_CONTRIBUTOR = "974c5e8b-45b9-4653-ba55-5f855dd0fb88"
TABLE_CONTRIBUTOR = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"


@pytest.fixture(scope="module")
def template() -> Iterator[dict[str, Any]]:
    """The template as Azure gets it, with the order in which things are made."""
    with compiler() as running:
        yield json.loads(running.compiled(INFRA / "main.bicep"))


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_the_identity_of_the_package_has_the_roles(case: str) -> None:
    """The identity that fetches the package and runs the host owns blobs and has queue and table."""
    roles = {
        each["properties"]["roleDefinitionId"].rpartition("/")[2]
        for each in deployment(case).all("Microsoft.Authorization/roleAssignments")
        if "format('identity-{0}'" in each["properties"]["principalId"] and "storageAccounts" in each["id"]
    }
    assert roles == {BLOB_OWNER, QUEUE_CONTRIBUTOR, TABLE_CONTRIBUTOR}
    storage = deployment(case).one("Microsoft.Web/sites")["properties"]["functionAppConfig"]["deployment"][
        "storage"
    ]
    assert storage["authentication"]["type"] == "UserAssignedIdentity"
    assert (
        deployment(case).one("Microsoft.Storage/storageAccounts")["properties"]["allowSharedKeyAccess"]
        is False
    )


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_the_settings_have_the_form_of_uris(case: str) -> None:
    """The host's storage is named by its three URIs and the identity; nowhere is a connection string to fall back to."""
    settings = deployment(case).settings()
    assert {name for name in settings if name.startswith(HOST)} == {
        f"{HOST}__blobServiceUri",
        f"{HOST}__queueServiceUri",
        f"{HOST}__tableServiceUri",
        f"{HOST}__credential",
        f"{HOST}__clientId",
    }
    assert settings[f"{HOST}__credential"] == "managedidentity"
    for part in ("blob", "queue", "table"):
        assert settings[f"{HOST}__{part}ServiceUri"].endswith(f".primaryEndpoints.{part}]")
    assert not {"STORAGE", "STORAGE__accountName", HOST} & set(settings)


def test_the_app_reads_the_form_of_uris() -> None:
    """With URIs as Azure gives them, slash at the end included, the app finds blobs and queue, without a key."""
    names = {
        name: value for name, value in deployment("prod").settings().items() if not value.startswith("[")
    }
    uris = {
        "STORAGE__blobServiceUri": "https://stevs.blob.core.windows.net/",
        "STORAGE__queueServiceUri": "https://stevs.queue.core.windows.net/",
        "STORAGE__clientId": "33333333-3333-3333-3333-333333333333",
    }
    connection = load_settings({**names, **uris}).storage_connection()
    assert connection.connection_string == ""
    assert connection.endpoints["blob"].rstrip("/") == "https://stevs.blob.core.windows.net"
    assert connection.endpoints["queue"].rstrip("/") == "https://stevs.queue.core.windows.net"
    assert connection.client_id == uris["STORAGE__clientId"]


def test_the_app_comes_after_its_roles(template: dict[str, Any]) -> None:
    """In the compiled template the app depends on every assignment of a role."""
    resources = template["resources"]
    roles = {name for name in resources if name.endswith("Roles")}
    assert roles == {"storageRoles", "eventHubsRoles", "cosmosRoles", "monitoringRoles"}
    assert roles <= set(resources["app"]["dependsOn"])
