"""Exporters of metrics that are made by their first export, and whose failures cost nothing but the metrics.

Their packages load slowly, and one of them loads google.protobuf: here that happens in the exporting thread,
beside the first batches and not before them.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource

from everscore.failures import describe
from everscore.quoting import quote

logger = logging.getLogger(__name__)

# Each failed attempt has a line of theirs, or three; what is to be said of them is said here, once an hour.
_TALKATIVE = (
    "azure.monitor.opentelemetry.exporter",
    "opentelemetry.exporter",
    "opentelemetry.sdk.metrics._internal.export",
    "azure.identity._internal",  # of credentials that block: the exporter alone has one
)
_REMIND_SECONDS = 3600.0
_STOP_SECONDS = 3.0
_DELTA: Mapping[type, AggregationTemporality] = {
    Counter: AggregationTemporality.DELTA,
    Histogram: AggregationTemporality.DELTA,
}
# What the exporter would tell and ask Microsoft on its own account; "false" in the environment allows it.
_SILENT = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
)


class LazyExporter(MetricExporter):
    """An exporter made by its first export; its failures are logged when they begin, and then once an hour.

    Args:
        name: of where the metrics go, for the log.
        make: makes the exporter.
        temporality: by kind of instrument, where it is not cumulative.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], MetricExporter],
        temporality: Mapping[type, AggregationTemporality] | None = None,
    ) -> None:
        super().__init__(preferred_temporality=dict(temporality or {}))
        self._name = name
        self._make = make
        self._exporter: MetricExporter | None = None
        self._told_at: float | None = None
        self._last_words = _LastWords()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Export; a failure is a result, never raised."""
        try:
            if self._exporter is None:
                self._listen()
                self._exporter = self._make()
            result = self._exporter.export(metrics_data, timeout_millis=timeout_millis, **kwargs)
        except Exception as error:  # noqa: BLE001 - told below, and the next interval tries again
            self._last_words.text = describe(error)
            result = MetricExportResult.FAILURE
        self._tell(result)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is kept back here."""
        return self._exporter is None or self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Close the exporter, if there is one."""
        if self._exporter is not None:
            self._exporter.shutdown(timeout_millis, **kwargs)

    def _listen(self) -> None:
        for name in _TALKATIVE:
            talkative = logging.getLogger(name)
            talkative.propagate = False
            talkative.handlers = [self._last_words]

    def _tell(self, result: MetricExportResult) -> None:
        now = time.monotonic()
        if result is MetricExportResult.SUCCESS:
            if self._told_at is not None:
                logger.info("Metrics reach %s again.", self._name)
            self._told_at = None
        elif self._told_at is None or now - self._told_at >= _REMIND_SECONDS:
            self._told_at = now
            logger.warning(
                "Metrics do not reach %s, and are lost meanwhile; this is said once an hour. Last: %s",
                self._name,
                self._last_words.text or "no reason given",
            )


class _LastWords(logging.Handler):
    """Keeps what was logged last."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = quote(record.getMessage())


def azure_monitor(connection_string: str) -> MetricExporter:
    """To Azure Monitor, signed in as APPLICATIONINSIGHTS_AUTHENTICATION_STRING says (the exporter reads it).

    Args:
        connection_string: of the Application Insights component.
    """

    def make() -> MetricExporter:
        for name in _SILENT:
            os.environ.setdefault(name, "true")
        from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter  # noqa: PLC0415

        # What fails is not kept on the disk: an instance's is small, and gone with it.
        return AzureMonitorMetricExporter(connection_string=connection_string, disable_offline_storage=True)

    return LazyExporter("Azure Monitor", make, _DELTA)


def otlp(endpoint: str) -> MetricExporter:
    """To an OTLP endpoint, as protobuf over HTTP; the exporter reads headers and the like from OTEL_….

    Args:
        endpoint: its address, without the path of the signal.
    """

    def make() -> MetricExporter:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415
            OTLPMetricExporter,
        )

        return OTLPMetricExporter(endpoint=f"{endpoint.rstrip('/')}/v1/metrics")

    wanted = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").lower()
    host = urlsplit(endpoint).hostname  # alone: the address may hold a password
    return LazyExporter(f"the OTLP endpoint on {host}", make, _DELTA if wanted == "delta" else None)


def provider(exporter: MetricExporter, interval: float) -> MeterProvider:
    """What makes meters whose metrics go to that exporter.

    Args:
        exporter: the way out.
        interval: seconds between two exports.
    """
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=interval * 1000)
    made = MeterProvider([reader], resource=_resource(), shutdown_on_exit=False)
    atexit.register(_stop, made)
    return made


def _stop(stopping: MeterProvider) -> None:
    """Export what is left, in bounded time: the host kills a worker that does not end soon."""
    try:
        stopping.shutdown(timeout_millis=_STOP_SECONDS * 1000)
    except Exception as error:  # noqa: BLE001 - the process ends, and its last metrics with it
        logger.debug("The last metrics were not exported: %s", describe(error))


@functools.cache
def _resource() -> Resource:
    """Who measures: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, else what Azure calls the app.

    Each process has an id of its own: back ends take equal ones for the same counter.
    """
    named = Resource.create().attributes
    attributes: dict[str, str] = {}
    if str(named.get("service.name") or "unknown_service").startswith("unknown_service"):
        attributes["service.name"] = os.environ.get("WEBSITE_SITE_NAME") or "everscore"
    if not named.get("service.instance.id"):
        attributes["service.instance.id"] = str(uuid.uuid4())
    return Resource.create(attributes)
