"""A receiver of OTLP metrics: protobuf over HTTP, on a port of this machine."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

type Attributes = tuple[tuple[str, str], ...]


class Receiver:
    """What was received, by metric and attributes: of sums and histograms the latest state, of gauges all.

    Attributes:
        endpoint: for OTEL_EXPORTER_OTLP_ENDPOINT.
        requests: how many exports came.
        resources: attributes of the processes that sent them.
        kinds: ``sum``, ``histogram`` or ``gauge`` of each metric.
    """

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.requests = 0
        self.resources: list[dict[str, str]] = []
        self.kinds: dict[str, str] = {}
        self._lock = threading.Lock()
        self._points: dict[str, dict[Attributes, list[float]]] = defaultdict(lambda: defaultdict(list))

    def take(self, body: bytes) -> None:
        """Take the body of an export."""
        request = ExportMetricsServiceRequest.FromString(body)
        with self._lock:
            self.requests += 1
            for resource in request.resource_metrics:
                self.resources.append(dict(_attributes(resource.resource)))
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        self._take_metric(metric)

    def _take_metric(self, metric: Any) -> None:
        kind = self.kinds[metric.name] = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            value = point.count if kind == "histogram" else (point.as_double or point.as_int)
            self._points[metric.name][_attributes(point)].append(float(value))

    def names(self) -> set[str]:
        """Every metric that came."""
        with self._lock:
            return set(self._points)

    def values(self, name: str, **only: str) -> dict[Attributes, float]:
        """The last value of each series of a metric: of a histogram its count.

        Args:
            name: of the metric.
            only: attributes that a series must have.
        """
        with self._lock:
            return {
                key: values[-1]
                for key, values in self._points.get(name, {}).items()
                if only.items() <= dict(key).items()
            }

    def total(self, name: str, **only: str) -> float:
        """The sum of the last values of a metric's series."""
        return sum(self.values(name, **only).values())


def _attributes(holder: Any) -> Attributes:
    return tuple(sorted((each.key, each.value.string_value) for each in holder.attributes))


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver for as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known = self.path == "/v1/metrics"
            if known:
                made.take(body)
            answer = ExportMetricsServiceResponse().SerializeToString()
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Not into the test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Receiver(server.server_port)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield made
        finally:
            server.shutdown()
