"""Alerts and workbook: they name metrics that are emitted, somebody hears of them, and a runbook says what to do."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from everscore_local.azurite import find_node, find_script
from tests.support.infra import DEPLOYMENTS, INFRA, deployment
from tests.support.services import ROOT

TABLE = json.loads((ROOT / "everscore/watch/metrics.json").read_text(encoding="utf-8"))["metrics"]
METRICS = {each["name"]: each for each in TABLE}
WORKBOOK = json.loads((INFRA / "workbook.json").read_text(encoding="utf-8"))
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")

# What the platform itself measures, and by which dimensions, of what is used here.
PLATFORM: dict[str, dict[str, set[str]]] = {
    "microsoft.eventhub/namespaces": {
        "IncomingMessages": {"EntityName"},
        "OutgoingMessages": {"EntityName"},
        "ThrottledRequests": {"EntityName"},
    },
    "microsoft.documentdb/databaseaccounts": {
        "TotalRequests": {"DatabaseName", "StatusCode"},
        "TotalRequestUnits": {"DatabaseName", "StatusCode"},
        "NormalizedRUConsumption": {"DatabaseName"},
    },
    "microsoft.web/sites": {
        "OnDemandFunctionExecutionCount": set(),
        "OnDemandFunctionExecutionUnits": set(),
        "AlwaysReadyFunctionExecutionUnits": set(),
    },
}
# Each must be watched: by a platform metric, or by one of the app's.
WATCHED = {
    "lag-against-retention",
    "checkpoint-stalled",
    "latency",
    "retry-depth",
    "retry-age",
    "dead-letters",
    "brake",
    "poison",
    "cosmos-throttled",
    "cosmos-request-units",
    "eventhubs-throttled",
    "function-failures",
    "no-events",
    "events-in-none-out",
    "app-does-not-run",
    "app-is-silent",
    "store-out-of-reach",
}


def log_alerts(case: str = "prod") -> dict[str, dict[str, Any]]:
    """Alerts on queries, by name."""
    found = deployment(case).all("Microsoft.Insights/scheduledQueryRules")
    return {each["name"].removeprefix("everscore-"): each["properties"] for each in found}


def metric_alerts(case: str = "prod") -> dict[str, dict[str, Any]]:
    """Alerts on platform metrics, by name."""
    found = deployment(case).all("Microsoft.Insights/metricAlerts")
    return {each["name"].removeprefix("everscore-"): each["properties"] for each in found}


def queries() -> dict[str, str]:
    """Every query of alerts and workbook, by name."""
    found = {f"alert {name}": rule["criteria"]["allOf"][0]["query"] for name, rule in log_alerts().items()}
    for item in WORKBOOK["items"]:
        if item["type"] == 3:
            found[f"workbook {item['name']}"] = item["content"]["query"]
    return found


QUERIES = queries()


def test_the_table_of_metrics_is_whole() -> None:
    """Each metric has a name of its own, a kind, a unit and a description; attributes say what they hold."""
    assert len(METRICS) == len(TABLE)
    for each in TABLE:
        assert re.fullmatch(r"everscore(\.[a-z_]+)+", each["name"])
        assert each["kind"] in ("counter", "histogram", "gauge")
        assert each["unit"]
        assert each["description"].endswith(".")
        assert all(each.get("attributes", {}).values())


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_names_only_known_metrics(name: str) -> None:
    """Every metric and every attribute in a query is in the table, and of a kind that has what is asked of it."""
    query = QUERIES[name]
    metrics = set(re.findall(r"'(everscore\.[a-z_.]*[a-z])'", query)) - {"everscore.events"}
    assert metrics or "requests" in query or "union" in query, "it names no metric"
    assert metrics <= set(METRICS), metrics - set(METRICS)
    attributes = set(re.findall(r"customDimensions(?:\.(\w+)|\['(\w+)'\])", query))
    known = {attribute for metric in metrics for attribute in METRICS[metric].get("attributes", {})}
    assert {one or other for one, other in attributes} <= known
    kinds = {METRICS[metric]["kind"] for metric in metrics}
    if "valueCount" in query:
        assert kinds == {"histogram"}, "only of a histogram there is a count of its own"
    if "valueSum" in query:
        assert "gauge" not in kinds, "a gauge's sum says nothing"
    if re.search(r"\bvalue\b(?!')", query):
        assert "histogram" not in kinds


def test_the_queries_are_kusto() -> None:
    """Microsoft's own parser finds no mistake in any query, and finds one made on purpose."""
    package = ROOT / "node_modules/@kusto/language-service-next"
    wrong = {"wrong": "customMetrics | summarize last = max(valeu)"}
    done = subprocess.run(
        [find_node(find_script()), str(Path(__file__).with_name("kusto.js")), str(package)],
        input=json.dumps({**QUERIES, **wrong}),
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    assert said
    assert [each for each in said if not each.startswith("wrong: ")] == []


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_looked_at(metric: str) -> None:
    """No metric is emitted that neither an alert nor the workbook shows."""
    assert [name for name, query in QUERIES.items() if f"'{metric}'" in query]


def test_the_page_has_the_table() -> None:
    """docs/metrics.md lists each metric as the table has it: kind, unit, what it is and its attributes."""
    rows = []
    for each in TABLE:
        by = ", ".join(f"`{name}`" for name in each.get("attributes", {}))
        rows.append(f"| `{each['name']}` | {each['kind']} | {each['unit']} | {each['description']} | {by} |")
    assert [line for line in PAGE.splitlines() if line.startswith("| `everscore.")] == rows


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_everything_is_watched(case: str) -> None:
    """The alerts are those listed here, no more and no fewer."""
    assert set(log_alerts(case)) | set(metric_alerts(case)) == WATCHED


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_somebody_hears_of_every_alert(case: str) -> None:
    """Each alert is on and calls the action group."""
    for rule in log_alerts(case).values():
        assert rule["enabled"]
        (action,) = rule["actions"]["actionGroups"]
        assert "format('actionGroup-{0}'" in action
    for rule in metric_alerts(case).values():
        assert rule["enabled"]
        (action,) = rule["actions"]
        assert "format('actionGroup-{0}'" in action["actionGroupId"]
    assert deployment(case).one("Microsoft.Insights/actionGroups")["properties"]["enabled"]


def test_addresses_reach_the_action_group() -> None:
    """Whoever is named hears of alerts."""
    group = deployment("options/existing-services").one("Microsoft.Insights/actionGroups")["properties"]
    assert [each["emailAddress"] for each in group["emailReceivers"]] == ["on-call@example.com"]


@pytest.mark.parametrize("name", sorted(WATCHED))
def test_every_alert_has_a_runbook(name: str) -> None:
    """The alert's description points to a heading of its name in docs/operations.md."""
    rule = (log_alerts() | metric_alerts())[name]
    assert rule["description"].endswith(f"docs/operations.md#{name}")
    assert re.search(rf"^### {re.escape(name)}$", OPERATIONS, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(metric_alerts()))
def test_a_metric_alert_names_what_the_platform_measures(name: str) -> None:
    """Metric and dimensions are among those that the platform has for that type, and the resource is of it."""
    rule = metric_alerts()[name]
    for criterion in rule["criteria"]["allOf"]:
        known = PLATFORM[criterion["metricNamespace"].lower()]
        assert {each["name"] for each in criterion["dimensions"]} <= known[criterion["metricName"]]
    kind = rule["criteria"]["allOf"][0]["metricNamespace"].lower()
    output = {"microsoft.eventhub/namespaces": "eventHubs", "microsoft.documentdb/databaseaccounts": "cosmos"}
    assert f"format('{output.get(kind, 'app')}-{{0}}'" in rule["scopes"][0]


def test_a_silent_app_is_noticed_from_outside() -> None:
    """Where the app emits nothing, platform metrics alone tell: events that nobody reads, functions that do not run."""
    assert {"events-in-none-out", "app-does-not-run", "no-events", "cosmos-throttled"} <= set(metric_alerts())
    both = metric_alerts()["events-in-none-out"]["criteria"]["allOf"]
    assert [(each["metricName"], each["operator"]) for each in both] == [
        ("IncomingMessages", "GreaterThan"),
        ("OutgoingMessages", "LessThan"),
    ]


@pytest.mark.parametrize("name", sorted(log_alerts()))
def test_a_log_alert_measures_what_its_query_gives(name: str) -> None:
    """The query ends in the measured column, and splits by the dimension that the rule names."""
    criterion = log_alerts()[name]["criteria"]["allOf"][0]
    last = criterion["query"].strip().splitlines()[-1].strip()
    dimensions = [each["name"] for each in criterion["dimensions"]]
    assert re.fullmatch(r"\| summarize measure = .+?( by (\w+))?", last)
    assert re.findall(r" by (\w+)$", last) == dimensions
    periods = criterion["failingPeriods"]
    assert 1 <= periods["minFailingPeriodsToAlert"] <= periods["numberOfEvaluationPeriods"]


def test_a_threshold_can_be_changed() -> None:
    """The parameter reaches the alert that it names, and no other."""
    changed = log_alerts("options/existing-services")["latency"]["criteria"]["allOf"][0]["threshold"]
    usual = log_alerts("prod")["latency"]["criteria"]["allOf"][0]["threshold"]
    assert (usual, changed) == (60, 300)
    other = log_alerts("options/existing-services")["retry-depth"]["criteria"]["allOf"][0]["threshold"]
    assert other == log_alerts("prod")["retry-depth"]["criteria"]["allOf"][0]["threshold"]


def test_the_workbook_is_deployed_as_it_stands() -> None:
    """The JSON of the file is what Azure gets, with the three resources filled in, each of its own type."""
    workbook = deployment("prod").one("Microsoft.Insights/workbooks")
    serialized = workbook["properties"]["serializedData"]
    for marker in ("__EVENT_HUBS_ID__", "__COSMOS_ID__", "__APP_ID__"):
        assert f"'{marker}'" in serialized
        assert marker in json.dumps(WORKBOOK)
    assert WORKBOOK["version"] == workbook["properties"]["version"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", workbook["name"])
    kinds = {item["type"] for item in WORKBOOK["items"]}
    assert kinds == {1, 3, 9, 10}
    assert len({item["name"] for item in WORKBOOK["items"]}) == len(WORKBOOK["items"])


def test_the_workbooks_platform_charts_name_what_the_platform_measures() -> None:
    """Each chart's metrics are the platform's, of the type of its resource."""
    charts = [item["content"] for item in WORKBOOK["items"] if item["type"] == 10]
    assert len(charts) == 3
    for chart in charts:
        for metric in chart["metrics"]:
            assert metric["namespace"] == chart["resourceType"]
            assert metric["metric"].startswith(f"{chart['resourceType']}-")
            assert metric["metric"].rpartition("-")[2] in PLATFORM[chart["resourceType"]]


def test_the_workbook_shows_every_concern() -> None:
    """Throughput, latency, lag, scores, retries, dead letters and cost each have a heading."""
    headings = [item["content"]["json"].splitlines()[0] for item in WORKBOOK["items"] if item["type"] == 1]
    assert headings == [
        "## Throughput",
        "## Latency",
        "## Lag",
        "## Scores",
        "## Retries",
        "## Dead letters",
        "## What it costs",
    ]
