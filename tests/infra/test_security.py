"""Who may do what: one identity, no keys, each role where it is needed and nowhere else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.infra import DEPLOYMENTS, INFRA, Deployment, deployment, tail, texts

APP = "the app"
DEPLOYER = "22222222-2222-2222-2222-222222222222"
GROUP = "11111111-1111-1111-1111-111111111111"

# Which operators the cases have.
OPERATORS = {
    "main": [DEPLOYER],
    "dev": [DEPLOYER],
    "prod": [],
    "options/private-network": [],
    "options/existing-services": [GROUP],
}

BLOB_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
QUEUE_CONTRIBUTOR = "974c5e8b-45b9-4653-ba55-5f855dd0fb88"
TABLE_CONTRIBUTOR = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
RECEIVER = "a638d3c7-ab3a-418d-83e6-5f17a39d4fde"
SENDER = "2b629674-e913-4c01-ae53-ef4638d8f975"
PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
COSMOS_READER = "00000000-0000-0000-0000-000000000001"
COSMOS_CONTRIBUTOR = "00000000-0000-0000-0000-000000000002"

APP_ROLES = {
    (BLOB_OWNER, "storageAccounts"),
    (TABLE_CONTRIBUTOR, "storageAccounts"),
    (QUEUE_CONTRIBUTOR, "queues/events-retry"),
    (QUEUE_CONTRIBUTOR, "queues/events-retry-poison"),
    (RECEIVER, "eventhubs/events"),
    (PUBLISHER, "components"),
    (COSMOS_CONTRIBUTOR, "dbs/everscore"),
}
OPERATOR_ROLES = {
    (SENDER, "eventhubs/events"),
    (RECEIVER, "eventhubs/events"),
    (QUEUE_CONTRIBUTOR, "queues/events-retry"),
    (QUEUE_CONTRIBUTOR, "queues/events-retry-poison"),
    (BLOB_CONTRIBUTOR, "containers/dead-letters"),
    (BLOB_CONTRIBUTOR, "containers/claim-checks"),
    (BLOB_CONTRIBUTOR, "containers/azure-webjobs-eventhub"),
    (COSMOS_READER, "dbs/everscore"),
}

SECRETS = re.compile(
    r"AccountKey=|SharedAccessKey|SharedAccessSignature|InstrumentationKey=|[?&]sig=|list(?:Account)?Keys\s*\("
    r"|listSecrets|listConnectionStrings|primaryKey|secondaryKey|password|AccountEndpoint=|Endpoint=sb:"
    r"|primaryMasterKey|DefaultEndpointsProtocol",
    re.IGNORECASE,
)


def principal(text: str) -> str:
    """A principal's id, or `APP` for the identity that the deployment makes."""
    if "outputs.principalId" not in text:
        return text
    assert "format('identity-{0}'" in text
    return APP


def scope_of(place: str) -> str:
    """The last part of a scope that says what it is: its kind alone where the name is the environment's own."""
    kind, name = place.rstrip("/").split("/")[-2:]
    return kind if kind in ("storageAccounts", "components") else f"{kind}/{name}"


def roles(case: Deployment) -> set[tuple[str, str, str]]:
    """Principal, role and scope of every assignment."""
    found = []
    for each in case.all("Microsoft.Authorization/roleAssignments"):
        scope = each["id"].partition("/providers/Microsoft.Authorization/roleAssignments")[0]
        properties = each["properties"]
        role = properties["roleDefinitionId"].rpartition("/")[2]
        found.append((principal(properties["principalId"]), role, scope_of(scope)))
    for each in case.all("Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments"):
        properties = each["properties"]
        role = properties["roleDefinitionId"].rpartition("/")[2]
        assert properties["roleDefinitionId"].startswith(each["id"].partition("/sqlRoleAssignments")[0])
        found.append((principal(properties["principalId"]), role, scope_of(properties["scope"])))
    assert len(found) == len(set(found)), "an assignment stands twice"
    return set(found)


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_each_role_is_where_it_belongs(case: str) -> None:
    """Exactly the roles listed here are assigned, each by id, scope and principal."""
    wanted = {(APP, role, scope) for role, scope in APP_ROLES}
    for operator in OPERATORS[case]:
        wanted |= {(operator, role, scope) for role, scope in OPERATOR_ROLES}
    assert roles(deployment(case)) == wanted


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_the_smoke_learns_whether_it_may_send(case: str) -> None:
    """The deployment says whether whoever deploys is an operator: another being one does not open anything."""
    said = deployment(case).outputs["EVERSCORE_DEPLOYER_OPERATES"]
    assert said is (DEPLOYER in OPERATORS[case])


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_a_principal_is_said_to_be_what_it_is(case: str) -> None:
    """Each assignment has the type of its principal, without which a new identity is not found in time."""
    types = {APP: "ServicePrincipal", DEPLOYER: "User", GROUP: "Group"}
    for each in deployment(case).all("Microsoft.Authorization/roleAssignments"):
        properties = each["properties"]
        assert properties["principalType"] == types[principal(properties["principalId"])]


@pytest.mark.parametrize("case", [*DEPLOYMENTS, "options/github"])
def test_there_is_no_secret_anywhere(case: str) -> None:
    """No key, secret or connection string is in what would be deployed, nor a call that would fetch one."""
    for text in texts([*deployment(case).resources, deployment(case).outputs]):
        assert not SECRETS.search(text), text


def test_a_secret_would_be_noticed() -> None:
    """The pattern finds the usual forms."""
    for text in (
        "Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=b",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=b",
        "[listKeys(resourceId('x'), '2024-01-01').keys[0].value]",
    ):
        assert SECRETS.search(text)


def flags(case: Deployment) -> dict[str, Any]:
    """What says of each service that it takes no key."""
    found: dict[str, Any] = {}
    for kind, field in (
        ("Microsoft.Storage/storageAccounts", "allowSharedKeyAccess"),
        ("Microsoft.EventHub/namespaces", "disableLocalAuth"),
        ("Microsoft.DocumentDB/databaseAccounts", "disableLocalAuth"),
        ("Microsoft.Insights/components", "DisableLocalAuth"),
    ):
        for each in case.all(kind):
            found[f"{kind} {field}"] = each["properties"].get(field)
    for each in case.all("Microsoft.OperationalInsights/workspaces"):
        found["workspace"] = each["properties"]["features"]["disableLocalAuth"]
    for each in case.all("Microsoft.Web/sites/basicPublishingCredentialsPolicies"):
        found[f"upload by {each['name'].rpartition('/')[2]}"] = each["properties"]["allow"]
    return found


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_keys_are_off_everywhere(case: str) -> None:
    """Every service that can refuses keys; of existing accounts nothing is changed."""
    wanted = {
        "Microsoft.Storage/storageAccounts allowSharedKeyAccess": False,
        "Microsoft.EventHub/namespaces disableLocalAuth": True,
        "Microsoft.DocumentDB/databaseAccounts disableLocalAuth": True,
        "Microsoft.Insights/components DisableLocalAuth": True,
        "workspace": True,
        "upload by ftp": False,
        "upload by scm": False,
    }
    if case == "options/existing-services":
        wanted = {
            name: value
            for name, value in wanted.items()
            if "EventHub" not in name and "DocumentDB" not in name
        }
    assert flags(deployment(case)) == wanted


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_everything_is_encrypted(case: str) -> None:
    """TLS 1.2 at least, and no plain HTTP."""
    found = deployment(case)
    storage = found.one("Microsoft.Storage/storageAccounts")["properties"]
    assert (storage["minimumTlsVersion"], storage["supportsHttpsTrafficOnly"]) == ("TLS1_2", True)
    assert storage["allowBlobPublicAccess"] is False
    site = found.one("Microsoft.Web/sites")["properties"]
    assert (site["httpsOnly"], site["siteConfig"]["minTlsVersion"]) == (True, "1.2")
    for each in found.all("Microsoft.EventHub/namespaces"):
        assert each["properties"]["minimumTlsVersion"] == "1.2"
    for each in found.all("Microsoft.DocumentDB/databaseAccounts"):
        assert each["properties"]["minimalTlsVersion"] == "Tls12"


def test_the_app_has_one_identity() -> None:
    """It is the one that the deployment makes, for the package as well."""
    site = deployment("prod").one("Microsoft.Web/sites")
    assert deployment("prod").one("Microsoft.ManagedIdentity/userAssignedIdentities")
    assert site["identity"]["type"] == "UserAssigned"
    (identity,) = site["identity"]["userAssignedIdentities"]
    authentication = site["properties"]["functionAppConfig"]["deployment"]["storage"]["authentication"]
    assert authentication["type"] == "UserAssignedIdentity"
    assert "format('identity-{0}'" in identity
    assert "format('identity-{0}'" in authentication["userAssignedIdentityResourceId"]


def zone_of(text: str) -> str:
    """A zone's name, where the ending that each cloud has of its own stays for Azure to fill in."""
    found = re.search(
        r"format\('privatelink\.\{0\}\.\{1\}', '(\w+)', environment\(\)\.suffixes\.storage\)", text
    )
    return f"privatelink.{found.group(1)}.core.windows.net" if found else text.rpartition("/")[2]


def test_a_private_endpoint_for_every_service() -> None:
    """With the private network each service has an endpoint, its DNS zone group, and a zone linked to the network."""
    found = deployment("options/private-network")
    endpoints = {each["name"]: each["properties"] for each in found.all("Microsoft.Network/privateEndpoints")}
    groups = {
        name: properties["privateLinkServiceConnections"][0]["properties"]["groupIds"][0]
        for name, properties in endpoints.items()
    }
    assert sorted(groups.values()) == ["Sql", "blob", "namespace", "queue", "table"]
    zones = {
        "blob": "privatelink.blob.core.windows.net",
        "queue": "privatelink.queue.core.windows.net",
        "table": "privatelink.table.core.windows.net",
        "namespace": "privatelink.servicebus.windows.net",
        "Sql": "privatelink.documents.azure.com",
    }
    of_endpoint = {}
    for each in found.all("Microsoft.Network/privateEndpoints/privateDnsZoneGroups"):
        (config,) = each["properties"]["privateDnsZoneConfigs"]
        of_endpoint[tail(each).split("/")[-3]] = zone_of(config["properties"]["privateDnsZoneId"])
    assert of_endpoint == {name: zones[group] for name, group in groups.items()}
    made = {zone_of(each["name"]) for each in found.all("Microsoft.Network/privateDnsZones")}
    assert made == set(zones.values())
    links = found.all("Microsoft.Network/privateDnsZones/virtualNetworkLinks")
    linked = {zone_of(each["name"].removesuffix("/vnet-everscore-private")) for each in links}
    assert linked == set(zones.values())


def test_a_private_network_shuts_every_other_door() -> None:
    """With the private network no service answers from outside of it, and the app goes out through it."""
    found = deployment("options/private-network")
    for kind in (
        "Microsoft.Storage/storageAccounts",
        "Microsoft.EventHub/namespaces",
        "Microsoft.DocumentDB/databaseAccounts",
    ):
        assert found.one(kind)["properties"]["publicNetworkAccess"] == "Disabled"
    (app_subnet, endpoint_subnet) = found.one("Microsoft.Network/virtualNetworks")["properties"]["subnets"]
    delegation = app_subnet["properties"]["delegations"][0]["properties"]["serviceName"]
    assert delegation == "Microsoft.App/environments"
    assert app_subnet["properties"]["addressPrefix"] != endpoint_subnet["properties"]["addressPrefix"]
    assert "appSubnetId" in found.one("Microsoft.Web/sites")["properties"]["virtualNetworkSubnetId"]


def test_what_takes_one_change_at_a_time_gets_no_two(bicep: Any) -> None:
    """Storage account and Cosmos DB account refuse a change while another is under way: theirs come in turn."""
    resources = json.loads(bicep.compiled(INFRA / "main.bicep"))["resources"]
    assert resources["storageEndpoints"]["copy"]["mode"] == "serial"
    assert "cosmosRoles" in resources["cosmosEndpoint"]["dependsOn"]
    roles = json.loads(bicep.compiled(INFRA / "modules/roles/cosmos.bicep"))["resources"]
    assert roles["onDatabase"]["copy"] == {"name": "onDatabase", "count": "[length(variables('grants'))]"} | {
        "mode": "serial",
        "batchSize": 1,
    }


def test_without_a_private_network_there_is_none() -> None:
    """The default has neither network nor endpoints, and the app no subnet."""
    found = deployment("prod")
    assert not [each for each in found.resources if each["type"].startswith("Microsoft.Network/")]
    assert found.one("Microsoft.Web/sites")["properties"].get("virtualNetworkSubnetId") is None


def test_the_workflows_have_no_more_than_they_need() -> None:
    """The deploying identity may assign this project's roles alone; the previewing one changes nothing."""
    found = deployment("options/github")
    credentials = found.all("Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials")
    assert sorted(each["properties"]["subject"] for each in credentials) == [
        f"repo:example/everscore:environment:{name}" for name in ("dev", "prod", "prod-preview")
    ]
    (condition,) = [
        each["properties"]["condition"]
        for each in found.all("Microsoft.Authorization/roleAssignments")
        if "condition" in each["properties"]
    ]
    azure_roles = {role for role, _ in APP_ROLES | OPERATOR_ROLES if not role.startswith("00000000")}
    assert set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", condition)) == azure_roles
    assert condition.count("RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {") == 2
    (preview,) = found.all("Microsoft.Authorization/roleDefinitions")
    actions = preview["properties"]["permissions"][0]["actions"]
    assert not [action for action in actions if action.endswith(("/write", "/delete")) or "*" in action]
