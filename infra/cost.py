"""What a deployment costs a month, idle and at a rate: `python infra/cost.py prod --events-per-second 1000`.

Sizes come from the snapshot of the parameter file, prices and assumptions from infra/prices.json, an input:
put your own numbers in, or another file by --prices. Standard library alone.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INFRA = Path(__file__).resolve().parent
HOURS = 730
MINUTES = HOURS * 60
SECONDS = HOURS * 3600
GB = 1_000_000  # kilobytes


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill.

    Attributes:
        what: is paid for.
        idle: dollars a month without any event.
        busy: dollars a month at the rate.
    """

    what: str
    idle: float
    busy: float


class Deployment:
    """The sizes of a snapshot."""

    def __init__(self, case: str) -> None:
        content = json.loads((INFRA / f"{case}.snapshot.json").read_text(encoding="utf-8"))
        self._resources: list[dict[str, Any]] = content["predictedResources"]

    def count(self, kind: str) -> int:
        """How many resources of a type."""
        return len(self._all(kind))

    def first(self, kind: str) -> dict[str, Any]:
        """The first resource of a type, or nothing where there is none: somebody else pays for it."""
        found = self._all(kind)
        return found[0] if found else {}

    def _all(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self._resources if each["type"].lower() == kind.lower()]


def partitions(found: Deployment, assumed: dict[str, Any]) -> int:
    """Of the hub, or as many as an existing one is assumed to have."""
    hub = found.first("Microsoft.EventHub/namespaces/eventhubs")
    return int(hub["properties"]["partitionCount"] if hub else assumed["partitionsOfExistingHub"])


def ready_instances(found: Deployment) -> int:
    """Instances that are always there."""
    scale = found.first("Microsoft.Web/sites")["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    return sum(int(each["instanceCount"]) for each in scale["alwaysReady"])


def instances(assumed: dict[str, Any], rate: float) -> int:
    """Instances of score_events that the rate needs."""
    return math.ceil(rate / float(assumed["eventsPerSecondPerInstance"]))


def event_hubs(found: Deployment, prices: dict[str, Any], assumed: dict[str, Any], rate: float) -> list[Line]:
    """Throughput units, events, and what is kept beyond the included storage."""
    namespace = found.first("Microsoft.EventHub/namespaces")
    if not namespace:
        return []
    hub = found.first("Microsoft.EventHub/namespaces/eventhubs")
    least = int(namespace["sku"]["capacity"])
    megabytes = rate * assumed["eventKilobytes"] / 1000
    units = max(least, math.ceil(max(megabytes, rate / 1000)))
    unit = prices["throughputUnitHour"] * HOURS
    hours = int(hub["properties"]["retentionDescription"]["retentionTimeInHours"])
    kept = rate * assumed["eventKilobytes"] * hours * 3600 / GB
    beyond = max(0.0, kept - units * prices["includedStorageGigabytesPerUnit"])
    return [
        Line(f"Event Hubs: throughput units ({least}; {units} at the rate)", least * unit, units * unit),
        Line("Event Hubs: events", 0, rate * SECONDS / 1e6 * prices["millionEvents"]),
        Line(f"Event Hubs: {hours} hours of events", 0, beyond * prices["storageGigabyteMonth"]),
    ]


def cosmos(found: Deployment, prices: dict[str, Any], assumed: dict[str, Any], rate: float) -> list[Line]:
    """Request units, documents and their backup."""
    container = found.first("Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers")
    most = int(container["properties"]["options"].get("autoscaleSettings", {}).get("maxThroughput", 0))
    account = found.first("Microsoft.DocumentDB/databaseAccounts")
    if not most:
        return []
    price = prices["autoscale100RequestUnitsHour"] * HOURS / 100
    needed = min(most, max(most / 10, rate * assumed["requestUnitsPerEvent"]))
    units = Line(f"Cosmos DB: request units (up to {most:,} a second)", most / 10 * price, needed * price)
    if not account:  # an existing one: whoever has it knows what it keeps, but the container's units are new
        return [units]
    ttl = int(container["properties"]["resource"]["defaultTtl"])
    seconds = min(SECONDS, ttl) if ttl > 0 else SECONDS
    gigabytes = rate * assumed["documentKilobytes"] * seconds / GB
    tier = account["properties"]["backupPolicy"]["continuousModeProperties"]["tier"]
    return [
        units,
        Line("Cosmos DB: documents of one month", 0, gigabytes * prices["storageGigabyteMonth"]),
        Line(f"Cosmos DB: backup ({tier})", 0, gigabytes * prices["backupGigabyteMonth"][tier]),
    ]


def functions(found: Deployment, prices: dict[str, Any], assumed: dict[str, Any], rate: float) -> list[Line]:
    """Always-ready instances, instances on demand, executions."""
    scale = found.first("Microsoft.Web/sites")["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    memory = int(scale["instanceMemoryMB"]) / 1024
    ready = ready_instances(found)
    busy = instances(assumed, rate)
    batches = rate / assumed["eventsPerBatch"] * SECONDS
    # housekeeping: one execution a minute, on an instance of its own; each is paid for as a second at least.
    keeping = MINUTES * max(1.0, assumed["housekeepingSeconds"])
    free = prices["freeGigabyteSeconds"]

    def on_demand(count: int) -> float:
        seconds = (count * SECONDS + keeping) * memory
        return float(max(0.0, seconds - free) * prices["onDemandGigabyteSecond"])

    baseline = ready * SECONDS * memory * prices["alwaysReadyBaselineGigabyteSecond"]
    active = min(ready, busy) * SECONDS * memory * prices["alwaysReadyExecutionGigabyteSecond"]
    executions = max(0.0, batches + MINUTES - prices["freeExecutions"]) / 1e6 * prices["millionExecutions"]
    more = max(0, busy - ready)
    return [
        Line(f"Functions: always ready ({ready})", baseline, baseline + active),
        Line(f"Functions: on demand (housekeeping; {more} more at the rate)", on_demand(0), on_demand(more)),
        Line("Functions: executions", 0, executions),
    ]


def storage(found: Deployment, prices: dict[str, Any], assumed: dict[str, Any], rate: float) -> list[Line]:
    """Operations; what lies in queue and containers is next to nothing.

    A checkpoint, a renewed ownership and a renewed lease set the metadata or the lease of a blob: "other"
    operations, a tenth of the price of a write. Source: learn.microsoft.com/azure/storage/blobs/
    map-rest-apis-transaction-categories.
    """
    sku = found.first("Microsoft.Storage/storageAccounts")["sku"]["name"]
    other, write = (prices[name][sku] / 10_000 for name in ("tenThousandOthers", "tenThousandWrites"))
    polls = assumed["queuePollsPerMinute"] * prices["tenThousandQueueOperations"] / 10_000

    def minute(scoring: int) -> float:
        """Of a minute, with so many instances of score_events; housekeeping and polling never rest."""
        owned = partitions(found, assumed) if scoring else 0
        renewals = assumed["leasesPerMinute"] + owned * assumed["ownershipRenewalsPerMinute"]
        lists = 1 + scoring * assumed["ownershipRenewalsPerMinute"]
        return float(polls + renewals * other + lists * write)

    checkpoints = rate / assumed["eventsPerBatch"] * SECONDS * other
    statuses = 2 * MINUTES * write if rate else 0.0
    idle = minute(ready_instances(found)) * MINUTES
    busy = minute(max(ready_instances(found), instances(assumed, rate))) * MINUTES
    return [
        Line(f"Storage: checkpoints ({sku})", 0, checkpoints),
        Line("Storage: ownership, leases, lists, polling", idle, busy + statuses),
    ]


def monitoring(found: Deployment, prices: dict[str, Any], assumed: dict[str, Any], rate: float) -> list[Line]:
    """Telemetry and alerts.

    A series of a metric is a row a minute. Of invocations that go well nothing is logged (host.json).
    """
    capping = found.first("Microsoft.OperationalInsights/workspaces")["properties"]["workspaceCapping"]
    most = int(capping["dailyQuotaGb"]) * HOURS / 24
    kept = assumed["seriesPerPartition"] * partitions(found, assumed) + assumed["seriesOfHousekeeping"]
    idle = kept * MINUTES
    busy = idle + instances(assumed, rate) * assumed["seriesOfScoring"] * MINUTES

    def logs(rows: float) -> float:
        amount = rows * assumed["kilobytesPerRow"] / GB
        if most > 0:
            amount = min(amount, most)
        return float(max(0.0, amount - prices["freeLogGigabytes"]) * prices["logGigabyte"])

    metric, log = (
        found.count(f"Microsoft.Insights/{kind}") for kind in ("metricAlerts", "scheduledQueryRules")
    )
    alerts = metric * prices["metricAlertMonth"] + log * prices["logAlertMonth"]
    return [
        Line("Monitoring: telemetry", logs(idle), logs(busy)),
        Line(f"Monitoring: {metric + log} alerts", alerts, alerts),
    ]


def network(found: Deployment, prices: dict[str, Any], assumed: dict[str, Any], rate: float) -> list[Line]:
    """Private endpoints, what goes through them, and their zones."""
    endpoints = found.count("Microsoft.Network/privateEndpoints")
    if not endpoints:
        return []
    zones = found.count("Microsoft.Network/privateDnsZones")
    price = endpoints * prices["privateEndpointHour"] * HOURS + zones * prices["dnsZoneMonth"]
    # Events come out of the hub, documents go into the store.
    through = rate * (assumed["eventKilobytes"] + assumed["documentKilobytes"]) * SECONDS / GB
    return [
        Line(f"Network: {endpoints} private endpoints", price, price),
        Line("Network: what goes through them", 0, through * prices["privateEndpointGigabyte"]),
    ]


PARTS = {
    "eventHubs": event_hubs,
    "cosmos": cosmos,
    "functions": functions,
    "storage": storage,
    "monitoring": monitoring,
    "network": network,
}


def bill(case: str, prices: dict[str, Any], rate: float) -> list[Line]:
    """Every line, by the snapshot of a parameter file."""
    found = Deployment(case)
    lines = []
    for name, part in PARTS.items():
        lines += part(found, prices[name], prices["assumptions"], rate)
    return lines


def table(lines: list[Line], rate: float) -> str:
    """As Markdown, with the sum."""
    rows = [f"| a month | idle | {rate:,.0f} events/s |", "|---|---:|---:|"]
    rows += [f"| {line.what} | {line.idle:,.0f} | {line.busy:,.0f} |" for line in lines]
    idle, busy = sum(line.idle for line in lines), sum(line.busy for line in lines)
    rows.append(f"| **together, in US dollars** | **{idle:,.0f}** | **{busy:,.0f}** |")
    return "\n".join(rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What a deployment costs a month, idle and at a rate.")
    parser.add_argument("case", help="a parameter file below infra/, without its ending: dev, prod …")
    parser.add_argument("--events-per-second", type=float, default=1000.0)
    parser.add_argument("--prices", type=Path, default=INFRA / "prices.json")
    given = parser.parse_args()
    if not (INFRA / f"{given.case}.snapshot.json").is_file():
        parser.error(f"there is no infra/{given.case}.snapshot.json")
    prices = json.loads(given.prices.read_text(encoding="utf-8"))
    print(table(bill(given.case, prices, given.events_per_second), given.events_per_second))


if __name__ == "__main__":
    main()
