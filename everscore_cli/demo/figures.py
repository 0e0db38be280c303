"""Latency and throughput, from the times at which the hub took an event and the store took its document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from everscore_cli.demo.read_back import StoredDocument


@dataclass(frozen=True, slots=True)
class Latency:
    """From the hub's enqueued time to the store's acceptance, in seconds.

    Attributes:
        events: how many were measured.
        p50, p95, p99, worst: percentiles, the smallest value that so many percent do not exceed.
    """

    events: int
    p50: float
    p95: float
    p99: float
    worst: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """Events stored in a stretch of time.

    Attributes:
        stored: how many.
        seconds: how long the stretch was.
    """

    stored: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.stored / self.seconds if self.seconds > 0 else 0.0


def latency(documents: Iterable[StoredDocument], accepted: Mapping[tuple[str, str], float]) -> Latency | None:
    """The latency of these documents, or None: there are none."""
    waits = sorted(
        accepted[document.pk, document.id] - enqueued(document)
        for document in documents
        if (document.pk, document.id) in accepted
    )
    if not waits:
        return None
    return Latency(
        events=len(waits),
        p50=_percentile(waits, 50),
        p95=_percentile(waits, 95),
        p99=_percentile(waits, 99),
        worst=waits[-1],
    )


def throughput(accepted: Iterable[float], begin: float, end: float) -> Throughput:
    """How many documents were accepted between two moments, in seconds since the epoch."""
    return Throughput(sum(begin <= when <= end for when in accepted), end - begin)


def enqueued(document: StoredDocument) -> float:
    """When the hub took the event of a document, in seconds since the epoch."""
    return datetime.fromisoformat(document.enqueued_at).timestamp()


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]
