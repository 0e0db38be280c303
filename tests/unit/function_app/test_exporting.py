"""Where metrics go: nowhere, to a collector or to Azure Monitor; a way that fails harms nothing."""

from __future__ import annotations

import atexit
import gzip
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from azure.identity import ManagedIdentityCredential
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from everscore.config.settings import Settings, load_settings
from everscore.watch.telemetry import Telemetry
from everscore_local.endpoints import Names
from function_app import exporters, exporting, versions
from tests.support.app import plain_environment
from tests.support.otlp import receiver
from tests.support.services import ROOT, free_port

NOTHING = MetricsData(resource_metrics=[])
NAMES = Names().settings()


def settings_with(**more: str) -> Settings:
    """Settings with these among them."""
    return load_settings(NAMES | more)


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test ends what it set up, and leaves the loggers of the exporters as they were."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    loggers = [logging.getLogger(name) for name in exporters._TALKATIVE]
    before = [(each.propagate, list(each.handlers)) for each in loggers]
    yield
    for made in exporting._made.values():
        if made._provider is not None:
            made._provider.shutdown()
    exporting._made.clear()
    atexit.unregister(exporters._stop)
    for each, (propagate, handlers) in zip(loggers, before, strict=True):
        each.propagate, each.handlers = propagate, handlers


def run(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints that runs this code with the app's folder on its path."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=plain_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_without_an_address_nothing_is_loaded() -> None:
    """Where nobody wants metrics the SDK of OpenTelemetry is not imported, and telemetry is off."""
    code = """
import json, sys
from everscore.config.settings import load_settings
from function_app import exporting
made = exporting.of(load_settings(json.loads(sys.argv[1])))
print(made.telemetry.enabled, [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "google"))])
"""
    assert run(code, json.dumps(NAMES)) == "False []\n"


def test_an_exporter_loads_with_its_first_export() -> None:
    """Setting metrics up imports neither an exporter's package nor google.protobuf, for either way."""
    code = """
import json, sys
from everscore.config.settings import load_settings
from function_app import exporting
for more in json.loads(sys.argv[1]):
    assert exporting.of(load_settings(more)).telemetry.enabled
heavy = ("google.protobuf", "azure.monitor", "opentelemetry.exporter", "azure.identity", "requests")
print([name for name in sys.modules if name.startswith(heavy)], flush=True)
import os
os._exit(0)  # without the last export
"""
    key = "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://127.0.0.1:1/"
    both = [
        NAMES | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        NAMES | {"APPLICATIONINSIGHTS_CONNECTION_STRING": key},
    ]
    assert run(code, json.dumps(both)) == "[]\n"


def test_the_last_metrics_leave_when_the_process_ends() -> None:
    """A process that ends long before its interval has sent what it measured."""
    code = """
import json, sys
from everscore.config.settings import load_settings
from function_app import exporting
exporting.of(load_settings(json.loads(sys.argv[1]))).telemetry.begin("score_events")
"""
    with receiver() as received:
        run(code, json.dumps(NAMES | {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint + "/"}))
        assert received.total("everscore.cold_starts", function="score_events") == 1


async def test_a_flush_sends_what_there_is() -> None:
    """Flushing exports at once, whatever the interval; the same settings give the same telemetry."""
    with receiver() as received:
        settings = settings_with(OTEL_EXPORTER_OTLP_ENDPOINT=received.endpoint)
        made = exporting.of(settings)
        assert exporting.of(settings) is made
        made.telemetry.of("housekeeping").poison_queue(3)
        await made.flush()
        assert received.total("everscore.poison.depth") == 3


def test_a_collector_that_is_away_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Exports to a port where nobody listens raise nothing and log one line in all, with the reason."""
    exporter = exporters.otlp(f"http://user:password@127.0.0.1:{free_port()}")
    for _ in range(3):
        assert exporter.export(NOTHING) is MetricExportResult.FAILURE
    exporter.shutdown()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "the OTLP endpoint on 127.0.0.1" in record.message
    assert "no reason given" not in record.message
    assert "password" not in record.message


class Flaky(MetricExporter):
    """An exporter that does as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[MetricExportResult | Exception] = []

    def export(self, metrics_data: MetricsData, timeout_millis: float = 0, **_: Any) -> MetricExportResult:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:
        """Nothing to close."""


def test_an_outage_is_told_when_it_begins_and_when_it_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line for the beginning, one an hour while it lasts, one for the end; an exception is a failure."""
    caplog.set_level("INFO")
    inner = Flaky()
    inner.outcomes = [
        RuntimeError("broken"),
        MetricExportResult.FAILURE,
        MetricExportResult.FAILURE,
        MetricExportResult.SUCCESS,
        MetricExportResult.SUCCESS,
    ]
    exporter = exporters.LazyExporter("there", lambda: inner)
    start = time.monotonic()
    for minutes in (0, 30, 70, 80, 90):
        monkeypatch.setattr(exporters.time, "monotonic", lambda minutes=minutes: start + minutes * 60)
        exporter.export(NOTHING)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO"]
    assert "RuntimeError: broken" in caplog.records[0].message


def test_an_exporter_that_cannot_be_made_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """A wrong connection string is a line in the log, and nothing that an invocation sees."""
    settings = settings_with(APPLICATIONINSIGHTS_CONNECTION_STRING="no connection string")
    made = exporting.of(settings)
    assert isinstance(made.telemetry, Telemetry)
    exporter = exporters.azure_monitor("no connection string")
    assert exporter.export(NOTHING) is MetricExportResult.FAILURE
    assert exporter.export(NOTHING) is MetricExportResult.FAILURE
    (record,) = [each for each in caplog.records if each.name == exporters.logger.name]
    assert "Metrics do not reach Azure Monitor" in record.message


def test_azure_monitor_gets_sums_of_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """To an ingestion endpoint of this machine goes each counter's growth since the last export, and nothing else."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            count = len(json.loads(bodies[-1]))
            answer = json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Not into the test's output."""

    monkeypatch.delenv("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", raising=False)
    threads = threading.active_count()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        key = "InstrumentationKey=00000000-0000-0000-0000-000000000000"
        exporter = exporters.azure_monitor(f"{key};IngestionEndpoint=http://127.0.0.1:{server.server_port}/")
        provider = exporters.provider(exporter, 3600)
        recorder = Telemetry(provider.get_meter("test")).of("score_events")
        for _ in range(2):
            recorder.braked("score: not finite")
            provider.force_flush()
        assert threading.active_count() <= threads + 4  # no exporter of Microsoft's own statistics beside it
        provider.shutdown()
        server.shutdown()
    sent = [item["data"]["baseData"] for body in bodies for item in json.loads(body)]
    assert [(each["metrics"][0]["name"], each["metrics"][0]["value"]) for each in sent] == [
        ("everscore.brake.batches", 1)
    ] * 2
    assert sent[0]["properties"]["reason"] == "score: not finite"


def test_azure_monitor_is_signed_in_to_with_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter takes the managed identity of APPLICATIONINSIGHTS_AUTHENTICATION_STRING, and keeps nothing on disk."""
    from azure.monitor.opentelemetry.exporter.export import _base

    asked = []
    original = ManagedIdentityCredential.__init__

    def init(self: Any, **options: Any) -> None:
        asked.append(options)
        original(self, **options)

    monkeypatch.setattr(_base.ManagedIdentityCredential, "__init__", init)
    client = "11111111-1111-1111-1111-111111111111"
    monkeypatch.setenv("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", f"ClientId={client};Authorization=AAD")
    lazy = exporters.azure_monitor(
        "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=https://127.0.0.1:1/"
    )
    made: Any = lazy._make()  # type: ignore[attr-defined]
    try:
        assert asked == [{"client_id": client}]
        assert made.storage is None
        assert os.environ["APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL"] == "true"
    finally:
        made.shutdown()


def test_versions_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The line names Python and every package that matters, each asked for in requirements.in, and comes once."""
    caplog.set_level("INFO")
    versions.log_once.cache_clear()
    versions.log_once()
    versions.log_once()
    (record,) = caplog.records
    assert record.message.startswith(f"Python {sys.version.split()[0]} on ")
    assert "missing" not in record.message
    asked = (ROOT / "requirements.in").read_text()
    assert [name for name in versions.PACKAGES if name not in asked] == []
