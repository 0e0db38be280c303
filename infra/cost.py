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
    if not most or not account:
        return []
    price = prices["autoscale100RequestUnitsHour"] * HOURS / 100
    needed = min(most, max(most / 10, rate * assumed["requestUnitsPerEvent"]))
    ttl = int(container["properties"]["resource"]["defaultTtl"])
    seconds = min(SECONDS, ttl) if ttl > 0 else SECONDS
    gigabytes = rate * assumed["documentKilobytes"] * seconds / GB
    tier = account["properties"]["backupPolicy"]["continuousModeProperties"]["tier"]
    return [
        Line(f"Cosmos DB: request units (up to {most:,} a second)", most / 10 * price, needed * price),
        Line("Cosmos DB: documents of one month", 0, gigabytes * prices["storageGigabyteMonth"]),
        Line(f"Cosmos DB: backup ({tier})", 0, gigabytes * prices["backupGigabyteMonth"][tier]),
    ]


def functions(found: Deployment, prices: dict[str, Any], assumed: dict[str, Any], rate: float) -> list[Line]:
    """Always-ready instances, instances on demand, executions."""
    scale = found.first("Microsoft.Web/sites")["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    memory = int(scale["instanceMemoryMB"]) / 1024
    ready = sum(int(each["instanceCount"]) for each in scale["alwaysReady"])
    busy = math.ceil(rate / assumed["eventsPerSecondPerInstance"])
    batches = rate / assumed["eventsPerBatch"] * SECONDS
    # housekeeping: each minute one execution of at least a second, on an instance of its own.
    minutes = HOURS * 60
    free = prices["freeGigabyteSeconds"]

    def on_demand(instances: int) -> float:
        seconds = (instances * SECONDS + minutes) * memory
        return float(max(0.0, seconds - free) * prices["onDemandGigabyteSecond"])

    baseline = ready * SECONDS * memory * prices["alwaysReadyBaselineGigabyteSecond"]
    active = min(ready, busy) * SECONDS * memory * prices["alwaysReadyExecutionGigabyteSecond"]
    executions = max(0.0, batches + minutes - prices["freeExecutions"]) / 1e6 * prices["millionExecutions"]
    return [
        Line(f"Functions: always ready ({ready})", baseline, baseline + active),
        Line(
            f"Functions: on demand ({max(0, busy - ready)} at the rate)",
            on_demand(0),
            on_demand(max(0, busy - ready)),
        ),
        Line("Functions: executions", 0, executions),
    ]


def storage(found: Deployment, prices: dict[str, Any], assumed: dict[str, Any], rate: float) -> list[Line]:
    """Checkpoints: one write a batch. What lies in queue and containers is next to nothing."""
    sku = found.first("Microsoft.Storage/storageAccounts")["sku"]["name"]
    writes = rate / assumed["eventsPerBatch"] * assumed["writesPerBatch"] * SECONDS
    # Leases of partitions and of the timer: one every ten seconds or so for each.
    idle = HOURS * 360 * 4
    price = prices["tenThousandWrites"][sku] / 10_000
    return [Line(f"Storage: checkpoints ({sku})", idle * price, (idle + writes) * price)]


def monitoring(found: Deployment, prices: dict[str, Any], assumed: dict[str, Any], rate: float) -> list[Line]:
    """Telemetry, sampled, and alerts."""
    sampled = assumed["sampledItemsPerSecond"] * assumed["logKilobytesPerSampledItem"] * SECONDS / GB
    gigabytes = assumed["idleLogGigabytes"] + (sampled if rate else 0)

    def logs(amount: float) -> float:
        return float(max(0.0, amount - prices["freeLogGigabytes"]) * prices["logGigabyte"])

    metric, log = (
        found.count(f"Microsoft.Insights/{kind}") for kind in ("metricAlerts", "scheduledQueryRules")
    )
    alerts = metric * prices["metricAlertMonth"] + log * prices["logAlertMonth"]
    return [
        Line("Monitoring: telemetry", logs(assumed["idleLogGigabytes"]), logs(gigabytes)),
        Line(f"Monitoring: {metric + log} alerts", alerts, alerts),
    ]


def network(found: Deployment, prices: dict[str, Any], assumed: dict[str, Any], rate: float) -> list[Line]:
    """Private endpoints and their zones."""
    del assumed, rate
    endpoints = found.count("Microsoft.Network/privateEndpoints")
    if not endpoints:
        return []
    zones = found.count("Microsoft.Network/privateDnsZones")
    price = endpoints * prices["privateEndpointHour"] * HOURS + zones * prices["dnsZoneMonth"]
    return [Line(f"Network: {endpoints} private endpoints", price, price)]


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
