"""The pages on deployment and operation agree with the templates."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.infra import INFRA, load
from tests.support.services import ROOT

DEPLOY = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
PRICES: dict[str, Any] = json.loads((INFRA / "prices.json").read_text(encoding="utf-8"))
cost = load(INFRA / "cost.py")


@pytest.mark.parametrize(("case", "rate"), [("prod", 1000.0), ("dev", 50.0)])
def test_the_costs_are_those_computed(case: str, rate: float):
    """The tables of the page are what the program says of the sizes and prices that are there now."""
    assert cost.table(cost.bill(case, PRICES, rate), rate) in DEPLOY


def test_prices_are_an_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Another price sheet gives another sum, in proportion."""
    doubled = json.loads(json.dumps(PRICES))
    doubled["eventHubs"]["throughputUnitHour"] *= 2
    sheet = tmp_path / "mine.json"
    sheet.write_text(json.dumps(doubled))
    monkeypatch.setattr("sys.argv", ["cost.py", "prod", "--prices", str(sheet)])
    cost.main()
    assert "| Event Hubs: throughput units (2; 2 at the rate) | 88 | 88 |" in capsys.readouterr().out


def test_more_events_cost_more():
    """Nothing gets cheaper with the rate, and a rate of none costs what idle costs."""
    for case in ("dev", "prod", "options/private-network"):
        none, some, many = (cost.bill(case, PRICES, rate) for rate in (0.0, 100.0, 5_000.0))
        assert sum(line.busy for line in none) == pytest.approx(sum(line.idle for line in none))
        for less, more in zip(some, many, strict=True):
            assert less.idle - 1e-9 <= less.busy <= more.busy + 1e-9, more.what


def test_what_somebody_else_pays_for_is_left_out():
    """Existing services cost nothing here."""
    lines = cost.bill("options/existing-services", PRICES, 100.0)
    assert not [line for line in lines if line.what.startswith(("Event Hubs", "Cosmos DB"))]


def line(case: str, rate: float, what: str) -> Any:
    """The line of a bill that begins with these words."""
    (found,) = (each for each in cost.bill(case, PRICES, rate) if each.what.startswith(what))
    return found


def test_what_costs_without_an_event_is_counted():
    """housekeeping, polling, renewals and metrics never rest: each has its price when idle, by the sizes."""
    assert line("dev", 0.0, "Storage: ownership").idle > 0
    assert line("prod", 0.0, "Storage: ownership").idle > line("dev", 0.0, "Storage: ownership").idle
    free = {**PRICES, "monitoring": {**PRICES["monitoring"], "freeLogGigabytes": 0}}
    few, many = (
        next(each.idle for each in cost.bill(case, free, 0.0) if each.what == "Monitoring: telemetry")
        for case in ("dev", "prod")
    )
    assert 0 < few < many, "a partition has metrics of its own"


def test_the_daily_limit_of_logs_limits_their_cost():
    """Whatever comes in, dev pays for no more than its limit lets through; prod has none."""
    most = 1 * 730 / 24 * PRICES["monitoring"]["logGigabyte"]
    assert line("dev", 1e6, "Monitoring: telemetry").busy < most
    assert line("prod", 1e6, "Monitoring: telemetry").busy > most


def test_a_private_network_costs_what_goes_through_it():
    """Its endpoints cost by the hour, and by the gigabyte."""
    through = line("options/private-network", 1000.0, "Network: what goes through")
    assert (through.idle, through.busy) == (0, pytest.approx(2.5 * 730 * 3.6 * 0.01))


def test_every_price_is_used():
    """No number of the sheet is without effect: another in its place changes what the program says."""
    cases = [
        (case, rate)
        for case in ("dev", "prod", "options/private-network", "options/existing-services")
        for rate in (10.0, 1000.0, 5000.0)
    ]
    usual = [cost.bill(case, PRICES, rate) for case, rate in cases]

    def numbers(value: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        found = []
        for key, each in value.items():
            found += numbers(each, (*path, key)) if isinstance(each, dict) else [(*path, key)]
        return found

    others = ("Standard_GRS", "Standard_GZRS", "about")  # of sizes that no case has
    for path in numbers(PRICES):
        if path[-1] in others:
            continue
        changed = json.loads(json.dumps(PRICES))
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = place[path[-1]] * 7 + 1
        assert [cost.bill(case, changed, rate) for case, rate in cases] != usual, path


def test_every_variable_is_documented():
    """The page has each variable that the parameter file for azd reads, and no other, with its default."""
    text = (INFRA / "main.bicepparam").read_text(encoding="utf-8")
    read = dict(re.findall(r"readEnvironmentVariable\('(\w+)'(?:, '(.*?)')?\)", text))
    ours = {name: default for name, default in read.items() if name.startswith("EVERSCORE_")}
    documented = dict(re.findall(r"^\| `(EVERSCORE_\w+)` \| `(.*?)` \|", DEPLOY, re.MULTILINE))
    assert documented == ours


@pytest.mark.parametrize(("page", "text"), [("deploy.md", DEPLOY), ("operations.md", OPERATIONS)])
def test_links_lead_somewhere(page: str, text: str):
    """Each link to a file or a heading of the project has its target."""
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, heading = target.partition("#")
        file = (ROOT / "docs" / path) if path else ROOT / "docs" / page
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", each).lower().replace(" ", "-") for each in headings}
            assert heading in slugs, target


def test_the_page_counts_the_alerts():
    """The page says how many alerts are made."""
    found = cost.Deployment("prod")
    alerts = sum(
        found.count(f"Microsoft.Insights/{kind}") for kind in ("metricAlerts", "scheduledQueryRules")
    )
    assert f"{alerts} alerts with an action group" in DEPLOY


def test_what_was_not_run_is_said():
    """Both pages begin with it, since a reader must know."""
    for text in (DEPLOY, OPERATIONS):
        assert "[untested](README.md#what-is-untested)" in text.partition("\n## ")[0]
    assert "not fetched" in DEPLOY
