"""What the pipeline measures, through the OpenTelemetry API alone: whoever builds it decides where that goes.

Names, kinds, units and attributes stand in metrics.json, from which the instruments are made. Everything is
recorded once a batch; what is counted of single events (times, scores, reasons) is added up before.
"""

from __future__ import annotations

import functools
import json
import logging
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from everscore.event.event import Done, Event
from everscore.failures import describe
from everscore.store.breaker import State
from everscore.watch.summary import Summary

logger = logging.getLogger(__name__)

TABLE = Path(__file__).with_name("metrics.json")
# Upper bounds in seconds of the counter from which percentiles come; the last holds whatever is longer.
LATENCY_BOUNDS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400, 604_800, 1_000_000_000)
# Of histograms, for back ends that keep them: by unit, since the defaults are meant for milliseconds.
_HISTOGRAM_BOUNDS: Mapping[str, Sequence[float]] = {
    "s": (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, *LATENCY_BOUNDS[:-1]),
    "{event}": (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
    "1": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
}
_BREAKER = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}

type Attributes = Mapping[str, str]


def read_table() -> list[dict[str, Any]]:
    """The entries of metrics.json."""
    entries: list[dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))["metrics"]
    return entries


class LatestValues:
    """A gauge that reports each value once.

    A synchronous gauge of OpenTelemetry repeats its last value for as long as the process lives: long after
    housekeeping has moved to another instance, this one would go on telling of the lag of that hour.

    Args:
        keep: of two values between two exports, the one to report.
    """

    def __init__(self, keep: Callable[[float, float], float] = lambda _, new: new) -> None:
        self._keep = keep
        self._values: dict[tuple[tuple[str, str], ...], float] = {}
        self._lock = threading.Lock()  # exports run in a thread of their own

    def set(self, value: float, attributes: Attributes | None = None) -> None:
        """Have a value reported by the next export."""
        key = tuple((attributes or {}).items())
        with self._lock:
            before = self._values.get(key)
            self._values[key] = value if before is None else self._keep(before, value)

    def observe(self, options: CallbackOptions) -> Iterable[Observation]:
        """What OpenTelemetry calls for an export."""
        del options
        with self._lock:
            values, self._values = self._values, {}
        return [Observation(value, dict(key)) for key, value in values.items()]


def _harmless[**P](method: Callable[P, None]) -> Callable[P, None]:
    """Let a method fail without a consequence but one line in the log."""
    told: list[str] = []

    @functools.wraps(method)
    def guarded(*arguments: P.args, **keywords: P.kwargs) -> None:
        try:
            method(*arguments, **keywords)
        except Exception as error:  # noqa: BLE001 - the events have their places: no reason to do a batch again
            if not told:
                told.append(type(error).__name__)
                logger.error(  # noqa: TRY400 - a trace would quote it whole
                    "A measurement failed; further failures of its kind are not logged: %s", describe(error)
                )

    return guarded


class Telemetry:
    """The instruments of this process.

    Args:
        meter: makes them; None where nobody wants metrics, so that recording returns at once.
    """

    def __init__(self, meter: Meter | None) -> None:
        self.enabled = meter is not None
        self._works = False
        self._instruments: dict[str, Any] = {}
        if meter is not None:
            self._instruments = {each["name"]: _make(meter, each) for each in read_table()}

    def instrument(self, name: str) -> Any:
        """An instrument by its name in metrics.json."""
        return self._instruments[name]

    def of(self, function: str, *, breaker: Callable[[], State] | None = None) -> Recorder:
        """The recorder of one function.

        Args:
            function: its name.
            breaker: the state of the breaker before the store.
        """
        return _Recorder(self, function, breaker) if self.enabled else Recorder()

    def begin(self, function: str) -> None:
        """An invocation begins; the first of a process is its cold start."""
        if not self._works:
            self._works = True
            if self.enabled:
                self._instruments["everscore.cold_starts"].add(1, {"function": function})


def _make(meter: Meter, entry: Mapping[str, Any]) -> Any:
    name, kind, unit, text = entry["name"], entry["kind"], entry["unit"], entry["description"]
    if kind == "counter":
        return meter.create_counter(name, unit, text)
    if kind == "histogram":
        bounds = _HISTOGRAM_BOUNDS[unit]
        return meter.create_histogram(name, unit, text, explicit_bucket_boundaries_advisory=bounds)
    latest = LatestValues(max) if name == "everscore.retry.oldest_age" else LatestValues()
    meter.create_observable_gauge(name, [latest.observe], unit, text)
    return latest


class Recorder:
    """Takes the measurements of one function; this one drops them."""

    def decoded(self, seconds: float) -> None:
        """A batch was decoded and checked."""

    def scored(self, seconds: float) -> None:
        """The model answered for a batch."""

    def unscored(self, model: str, reasons: Sequence[str | None]) -> None:
        """A model that is not required has answered for a batch; each event has a reason or scores."""

    def stored(self, events: Sequence[Event], seconds: float, request_units: float) -> None:
        """Events went to the store; each is ``done`` or has a ``failure``."""

    def braked(self, reason: str) -> None:
        """The brake was on for a batch."""

    def batch(self, summary: Summary, seconds: float) -> None:
        """A batch has ended, each of its events with a place."""

    def moved(self, summary: Summary) -> None:
        """Events were moved, unprocessed, from the poison queue."""

    def partition(self, partition: str, *, lag: int, share: float, checkpoint: int) -> None:
        """How far the host is behind the end of a partition."""

    def retry_queue(self, depth: int, oldest_age: float) -> None:
        """What waits in the retry queue, and for how many seconds the oldest seen does."""

    def poison_queue(self, depth: int) -> None:
        """How many messages lie in the poison queue."""


class _Recorder(Recorder):
    def __init__(self, telemetry: Telemetry, function: str, breaker: Callable[[], State] | None) -> None:
        self._function = {"function": function}
        self._breaker = breaker
        get = telemetry.instrument
        self._received = get("everscore.events.received")
        self._stored = get("everscore.events.stored")
        self._superseded = get("everscore.events.superseded")
        self._clock_ahead = get("everscore.events.clock_ahead")
        self._retried = get("everscore.events.retried")
        self._dead_lettered = get("everscore.events.dead_lettered")
        self._brake = get("everscore.brake.batches")
        self._size = get("everscore.batch.size")
        self._duration = get("everscore.batch.duration")
        self._decode = get("everscore.decode.duration")
        self._score = get("everscore.score.duration")
        self._write = get("everscore.write.duration")
        self._latency = get("everscore.enqueue_to_stored.duration")
        self._latencies = get("everscore.enqueue_to_stored.events")
        self._scores = get("everscore.scores")
        self._unscored = get("everscore.unscored")
        self._score_value = get("everscore.score.value")
        self._request_units = get("everscore.request_units")
        self._breaker_state = get("everscore.breaker.state")
        self._lag = get("everscore.partition.lag")
        self._lag_share = get("everscore.partition.lag_share")
        self._checkpoint = get("everscore.partition.checkpoint")
        self._retry_depth = get("everscore.retry.depth")
        self._oldest_age = get("everscore.retry.oldest_age")
        self._poison_depth = get("everscore.poison.depth")

    @_harmless
    def decoded(self, seconds: float) -> None:
        self._decode.record(seconds, self._function)

    @_harmless
    def scored(self, seconds: float) -> None:
        self._score.record(seconds, self._function)

    @_harmless
    def unscored(self, model: str, reasons: Sequence[str | None]) -> None:
        for reason, count in Counter(reasons).items():
            if reason is not None:
                self._unscored.add(count, {"model": model, "reason": reason})

    @_harmless
    def stored(self, events: Sequence[Event], seconds: float, request_units: float) -> None:
        self._write.record(seconds, self._function)
        if request_units:
            self._request_units.add(request_units, self._function)
        written = [event for event in events if event.done is Done.STORED]
        if written:
            self._stored.add(len(written), self._function)
            self._count_latencies(written)
            self._count_scores(written)
        superseded = sum(event.done is Done.SUPERSEDED for event in events)
        if superseded:
            self._superseded.add(superseded, self._function)

    def _count_latencies(self, written: Sequence[Event]) -> None:
        now = time.time()
        known = (_seconds_since(event.item.source.enqueued_at, now) for event in written)
        seconds = [each for each in known if each is not None]
        if not seconds:
            return
        self._latency.record(sum(seconds) / len(seconds), self._function)
        buckets = Counter(bisect_left(LATENCY_BOUNDS, each, hi=len(LATENCY_BOUNDS) - 1) for each in seconds)
        for index, count in buckets.items():
            self._latencies.add(count, {**self._function, "le": f"{LATENCY_BOUNDS[index]:.10g}"})

    def _count_scores(self, written: Sequence[Event]) -> None:
        labels: Counter[tuple[str, str, str | None]] = Counter()
        sums: dict[tuple[str, str], float] = {}
        for event in written:
            for model, scores in (event.item.scores or {}).items():
                labels[model, scores.version, scores.label] += 1
                key = (model, scores.version)
                sums[key] = sums.get(key, 0.0) + scores.value
        counts: Counter[tuple[str, str]] = Counter()
        for (model, version, label), count in labels.items():
            counts[model, version] += count
            attributes = {"model": model, "version": version}
            self._scores.add(count, attributes if label is None else {**attributes, "label": label})
        for (model, version), total in sums.items():
            mean = total / counts[model, version]
            self._score_value.record(mean, {"model": model, "version": version})

    @_harmless
    def braked(self, reason: str) -> None:
        self._brake.add(1, {"reason": reason})

    @_harmless
    def batch(self, summary: Summary, seconds: float) -> None:
        if self._breaker is not None:
            self._breaker_state.set(_BREAKER[self._breaker()], self._function)
        if not summary.received:
            return
        self._received.add(summary.received, self._function)
        self._size.record(summary.received, self._function)
        self._duration.record(seconds, self._function)
        if summary.clock_ahead:
            self._clock_ahead.add(summary.clock_ahead, self._function)
        self._count_reasons(summary)

    @_harmless
    def moved(self, summary: Summary) -> None:
        self._count_reasons(summary)

    def _count_reasons(self, summary: Summary) -> None:
        for counter, counts in ((self._retried, summary.retried), (self._dead_lettered, summary.letters)):
            for (stage, reason), count in counts.items():
                counter.add(count, {**self._function, "stage": stage, "reason": reason})
        age = _seconds_since(summary.oldest_queued_at, time.time())
        if age is not None:
            self._oldest_age.set(age, self._function)

    @_harmless
    def partition(self, partition: str, *, lag: int, share: float, checkpoint: int) -> None:
        attributes = {"partition": partition}
        self._lag.set(lag, attributes)
        self._lag_share.set(share, attributes)
        self._checkpoint.set(checkpoint, attributes)

    @_harmless
    def retry_queue(self, depth: int, oldest_age: float) -> None:
        self._retry_depth.set(depth)
        self._oldest_age.set(oldest_age, self._function)

    @_harmless
    def poison_queue(self, depth: int) -> None:
        self._poison_depth.set(depth)


def _seconds_since(text: str | None, now: float) -> float | None:
    """Seconds between a moment and now, never below 0; None where it is not known."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # Not times.parse, which takes three times as long; this is done for every event.
        return max(0.0, now - (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
