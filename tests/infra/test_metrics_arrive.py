"""The metrics arrive: read from an OTLP receiver after events, a retry and a dead letter went through the stack."""

from __future__ import annotations

import re
from pathlib import Path

from everscore.watch.telemetry import read_table
from function_app.versions import PACKAGES
from tests.support.app import wait_until
from tests.support.flights import real_flights
from tests.support.local_stack import local_stack
from tests.support.otlp import receiver
from tests.support.read_back import dead_letters

FLIGHTS = 40
KINDS = {"counter": "sum", "histogram": "histogram", "gauge": "gauge"}
# Nothing of this happens here.
ABSENT = {
    "everscore.brake.batches",
    "everscore.events.clock_ahead",
    "everscore.events.superseded",
    "everscore.unscored",
}
WAITING = ("partition.lag", "partition.lag_share", "retry.depth", "poison.depth")


def test_the_metrics_arrive(tmp_path: Path) -> None:
    """What became of the events, how long it took and what waits is received as it was, by the table's names."""
    table = {each["name"]: each for each in read_table()}
    with receiver() as received:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint, "METRICS_INTERVAL_SECONDS": "0.5"}
        with local_stack(tmp_path, host=None, **settings) as stack:
            down = {"match": {"operation": "batch"}, "action": {"status": 503}}
            with stack.gateway.faults(down):
                stack.send([*real_flights(FLIGHTS), b"no flight"])
                stack.wait_passed()
            stack.wait_drained()
            stack.run_timer("housekeeping")

            def all_in() -> bool:
                stored = received.total("everscore.events.stored") == FLIGHTS
                # A run of the timer while the store was down has found more than nothing.
                caught_up = not any(received.total(f"everscore.{name}") for name in WAITING)
                return stored and caught_up and len(received.values("everscore.partition.lag")) == 4

            wait_until(all_in, 120, "the metrics")
            wait_until(lambda: set(table) - ABSENT <= received.names(), 120, "all of them")
            letters = dead_letters(stack.services)
            checkpoints = stack.checkpoints()
            assert stack.document_count() == FLIGHTS
            log = stack.log()

    assert received.names() <= set(table)
    assert {name: KINDS[table[name]["kind"]] for name in received.kinds} == received.kinds
    assert received.total("everscore.events.received", function="score_events") == FLIGHTS + 1
    assert received.total("everscore.events.stored", function="retry_events") == FLIGHTS
    assert received.total("everscore.events.retried", function="score_events", stage="store") == FLIGHTS
    assert len(letters) == 1
    reason = letters[0]["item"]["reason"]
    assert received.total("everscore.events.dead_lettered") == 1
    assert received.total("everscore.events.dead_lettered", stage="decode", reason=reason) == 1
    assert received.total("everscore.enqueue_to_stored.events") == FLIGHTS
    assert received.total("everscore.scores", model="flights") == FLIGHTS
    assert received.total("everscore.request_units") >= FLIGHTS
    assert received.total("everscore.cold_starts") == 1
    passed = {
        dict(key)["partition"]: value
        for key, value in received.values("everscore.partition.checkpoint").items()
    }
    assert {name: value for name, value in passed.items() if value >= 0} == checkpoints
    assert {each["service.name"] for each in received.resources} == {"everscore"}
    assert len({each["service.instance.id"] for each in received.resources}) == 1
    assert re.findall(r"No metrics of|A measurement failed|Metrics do not reach", log) == []
    assert log.count(f"{PACKAGES[0]} ") == 1
