"""Where metrics go: to Azure Monitor, to an OTLP endpoint, or nowhere; set up on first use.

Where nobody wants them, nothing of OpenTelemetry but its API is loaded.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from everscore.config.settings import Settings
from everscore.failures import describe
from everscore.watch.telemetry import Telemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 5.0


class Exporting:
    """The metrics of this process and the way out for them."""

    def __init__(self, provider: MeterProvider | None) -> None:
        self._provider = provider
        self.telemetry = Telemetry(provider.get_meter("everscore") if provider else None)

    async def flush(self) -> None:
        """Export what there is, for a function that runs seldom, on an instance that may end before the next.

        A failure is the exporter's, and it is told there.
        """
        if self._provider is None:
            return
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await asyncio.to_thread(self._provider.force_flush)
        except Exception as error:  # noqa: BLE001 - no measurement is worth a failed invocation
            logger.debug("Metrics were not flushed: %s", describe(error))


# Of the process, not of an event loop: two sets of the same instruments would be one too many.
_made: dict[tuple[object, ...], Exporting] = {}


def of(settings: Settings) -> Exporting:
    """This process's metrics. Nothing is raised: without them everything else works."""
    secret = settings.applicationinsights_connection_string
    monitor = secret.get_secret_value() if secret else ""
    otlp = settings.otel_exporter_otlp_endpoint or ""
    key = (monitor, otlp, settings.metrics_interval_seconds)
    if key not in _made:
        try:
            _made[key] = Exporting(_provider(monitor, otlp, settings))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no event's
            logger.warning("Metrics go nowhere: %s", describe(error))
            _made[key] = Exporting(None)
    return _made[key]


def _provider(monitor: str, otlp: str, settings: Settings) -> MeterProvider | None:
    if not monitor and not otlp:
        return None
    from function_app import exporters  # noqa: PLC0415 - the SDK loads here, and only for those who want it

    exporter = exporters.azure_monitor(monitor) if monitor else exporters.otlp(otlp)
    return exporters.provider(exporter, settings.metrics_interval_seconds)
