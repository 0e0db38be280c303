"""The templates compile without a warning, and the committed snapshots are what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.infra import INFRA, compiler, deployment, snapshots

CONFIG = (INFRA / "bicepconfig.json").read_text(encoding="utf-8")
MISTAKES = """
param unused string
output location string = 'westeurope'
resource account 'Microsoft.Storage/storageAccounts@2019-06-01' = {
  name: 'x'
  location: 'westeurope'
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
}
"""


def test_every_file_compiles_without_a_word(bicep: Any) -> None:
    """Neither compiler nor linter says anything of any template or parameter file."""
    files = [*INFRA.rglob("*.bicep"), *INFRA.rglob("*.bicepparam")]
    assert len(files) > 25
    assert {path.name: said for path in files if (said := bicep.diagnostics(path))} == {}


def test_a_mistake_would_be_noticed(bicep: Any, tmp_path: Path) -> None:
    """With this configuration, an old version, a fixed region and an unused parameter are told."""
    (tmp_path / "bicepconfig.json").write_text(CONFIG)
    (tmp_path / "wrong.bicep").write_text(MISTAKES)
    said = " ".join(bicep.diagnostics(tmp_path / "wrong.bicep"))
    for rule in (
        "use-recent-api-versions",
        "no-hardcoded-location",
        "no-unused-params",
        "use-description-params",
    ):
        assert rule in said


def test_every_rule_is_an_error() -> None:
    """Each linter rule is at error, but for those before which a comment says why not."""
    levels = re.findall(r'"([a-z-]+)": \{ "level": "(\w+)"', CONFIG)
    assert len(levels) > 45
    lower = {rule for rule, level in levels if level != "error"}
    explained = set(re.findall(r'// Off: [^\n]+\n\s+"([a-z-]+)"', CONFIG))
    assert lower == explained
    rules = json.loads(re.sub(r"^\s*//.*$", "", CONFIG, flags=re.MULTILINE))["analyzers"]["core"]["rules"]
    assert rules["use-recent-api-versions"]["maxAllowedAgeInDays"] == 730
    assert not [path for path in INFRA.rglob("*.bicep") if "#disable" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("case", snapshots.CASES)
def test_the_snapshot_is_current(bicep: Any, case: str) -> None:
    """The committed snapshot is what the templates say now; `python infra/snapshots.py` writes it anew."""
    committed = snapshots.path_of(case).read_text(encoding="utf-8")
    assert json.loads(committed) == bicep.snapshot(case)
    assert committed == snapshots.text(json.loads(committed))


def test_what_azd_sets_changes_what_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes, names and thresholds of azd's environment reach hub, app and alert; the rest stays as it was."""
    given = {"SIZES": {"partitions": 8}, "NAMES": {"hub": "telemetry"}, "ALERT_THRESHOLDS": {"latency": 300}}
    for name, value in given.items():
        monkeypatch.setitem(snapshots.ENVIRONMENT, f"EVERSCORE_{name}", json.dumps(value))
    with compiler() as running:
        made = running.snapshot("main")["predictedResources"]
    of = {each["name"]: each["properties"] for each in made if "properties" in each}
    usual = deployment("main").one("Microsoft.EventHub/namespaces/eventhubs")
    (hub,) = (each for each in made if each["type"] == usual["type"])
    assert hub["name"].endswith("/telemetry")
    assert hub["properties"] == {**usual["properties"], "partitionCount": 8}
    (site,) = (each for each in made if each["type"] == "Microsoft.Web/sites")
    settings = {pair["name"]: pair["value"] for pair in site["properties"]["siteConfig"]["appSettings"]}
    assert (settings["EVENTHUB_NAME"], settings["COSMOS_CONTAINER"]) == ("telemetry", "events")
    assert of["everscore-latency"]["criteria"]["allOf"][0]["threshold"] == 300


def test_every_parameter_file_has_a_snapshot() -> None:
    """No parameter file was forgotten."""
    files = {str(path.relative_to(INFRA).with_suffix("")) for path in INFRA.rglob("*.bicepparam")}
    assert files == set(snapshots.CASES)


@pytest.mark.parametrize("case", ["main", "prod"])
def test_names_follow_the_abbreviations(case: str) -> None:
    """Each resource that we name begins with the Cloud Adoption Framework's abbreviation of its type."""
    types = {
        "Microsoft.Resources/resourceGroups": "rg-",
        "Microsoft.ManagedIdentity/userAssignedIdentities": "id-",
        "Microsoft.OperationalInsights/workspaces": "log-",
        "Microsoft.Insights/components": "appi-",
        "Microsoft.Insights/actionGroups": "ag-",
        "Microsoft.Storage/storageAccounts": "st",
        "Microsoft.EventHub/namespaces": "evhns-",
        "Microsoft.DocumentDB/databaseAccounts": "cosno-",
        "Microsoft.Web/serverfarms": "asp-",
        "Microsoft.Web/sites": "func-",
    }
    assert {
        kind: deployment(case).one(kind)["name"].startswith(prefix) for kind, prefix in types.items()
    } == (dict.fromkeys(types, True))


def test_the_longest_name_fits_everywhere(bicep: Any) -> None:
    """An environment's name may have so many letters that no resource's name becomes too long for its type."""
    longest = {
        "Microsoft.ManagedIdentity/userAssignedIdentities": 128,
        "Microsoft.OperationalInsights/workspaces": 63,
        "Microsoft.Storage/storageAccounts": 24,
        "Microsoft.EventHub/namespaces": 50,
        "Microsoft.DocumentDB/databaseAccounts": 44,
        "Microsoft.Web/serverfarms": 60,
        "Microsoft.Web/sites": 60,
    }
    parameter = json.loads(bicep.compiled(INFRA / "main.bicep"))["parameters"]["environmentName"]
    more = parameter["maxLength"] - len("prod")
    for kind, most in longest.items():
        # Of a storage account's name the environment has its first 12 letters.
        room = 12 - len("prod") if kind.endswith("storageAccounts") else more
        assert len(deployment("prod").one(kind)["name"]) + room <= most, kind


@pytest.mark.parametrize("case", ["main", "prod", "options/private-network"])
def test_everything_is_tagged(case: str) -> None:
    """What can have tags has those of the environment; azd finds the app by its own."""
    for resource in deployment(case).resources:
        if "tags" in resource:
            assert {"workload", "purpose", "azd-env-name"} <= set(resource["tags"]), resource["id"]
    untagged = {each["type"].split("/")[-1] for each in deployment(case).resources if "tags" not in each}
    assert not untagged & {
        "sites",
        "storageAccounts",
        "namespaces",
        "databaseAccounts",
        "metricAlerts",
        "workbooks",
    }
    assert deployment(case).one("Microsoft.Web/sites")["tags"]["azd-service-name"] == "app"
