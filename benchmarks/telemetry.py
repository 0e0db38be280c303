"""CPU of an event with and without metrics, as a ratio.

``python benchmarks/telemetry.py [EVENTS]`` takes real flights through decoding, the ONNX model and the policy
of storing, in batches of 256, into a store that takes everything: what a real store's client costs comes on
top of both, so that the ratio in production is nearer to 1. Rounds with and without metrics take turns; the
median of their ratios counts. Metrics are collected once a round, as once a minute, and encoded as OTLP.
"""

import asyncio
import gc
import gzip
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from everscore.clock import times
from everscore.decode.decoder import Decoder
from everscore.decode.memory import Memory
from everscore.event.item import Item, Source
from everscore.event.stream import load_stream
from everscore.flow.limits import Limits, Patience
from everscore.flow.processing import Processing
from everscore.flow.score_events import RetryState, ScoreEvents
from everscore.retry.placing import Placing
from everscore.score.loading import ModelSource
from everscore.score.used_models import ModelInUse
from everscore.store.breaker import State
from everscore.store.writer import Writer
from everscore.watch.status import Status
from everscore.watch.telemetry import Telemetry
from everscore.watch.verdicts import Judge

ROOT = Path(__file__).resolve().parents[1]
BATCH = 256
ROUNDS = 9


class Everything:
    """A store that takes every document, and a queue and blobs that take none, since nothing fails."""

    async def write(self, pk, writes):
        del pk
        return 5.0 * len(writes)

    async def get_verdict(self, configuration):
        del configuration

    async def put_verdict(self, configuration, data, etag):
        del configuration, data, etag


def bodies(count: int) -> list[bytes]:
    with gzip.open(ROOT / "models/flights/events.jsonl.gz") as lines:
        return [line.rstrip(b"\n") for line in islice(lines, count)]


def batches(events: list[bytes]) -> list[list[Item]]:
    """As the trigger makes them, each event with a time of its own."""
    now = datetime.now(UTC)
    items = [
        Item(body=body, source=Source("here", "events", "0", number, str(number), moment))
        for number, body in enumerate(events)
        if (moment := times.milliseconds_text(now + timedelta(milliseconds=number)))
    ]
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]


def pipeline(telemetry: Telemetry, models: list[ModelInUse]) -> ScoreEvents:
    recorder = telemetry.of("score_events", breaker=lambda: State.CLOSED)
    nothing = Everything()
    decoder = Decoder(load_stream(ROOT / "stream.json"))
    processing = Processing(
        decoder=decoder,
        memory=Memory(1 << 30),
        models=models,
        writer=Writer(nothing, parallel=16, patience=60),
        recorder=recorder,
    )
    return ScoreEvents(
        processing=processing,
        placing=Placing(nothing, nothing),
        status=Status("score_events", nothing, interval=1e9, has_policy=True),
        limits=Limits(time_budget=60),
        judge=Judge(nothing, "benchmark", interval=1e9),
        patience=Patience(timedelta(days=7), timedelta(days=1), timedelta(minutes=10)),
        recorder=recorder,
    )


async def measure(count: int) -> None:
    events = bodies(count)
    models = [ModelInUse("flights", ModelSource(ROOT / "models/flights", threads=1))]
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    ways = {
        "without": pipeline(Telemetry(None), models),
        "with": pipeline(Telemetry(provider.get_meter("benchmark")), models),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(ROUNDS + 1):
        for name, way in ways.items():
            work = batches(events)
            gc.collect()
            began = time.process_time()
            for batch in work:
                summary = await way.score_events(batch, RetryState(endless=True))
                assert summary.stored == len(batch), str(summary)
            if name == "with":
                encode_metrics(reader.get_metrics_data()).SerializeToString()
            if round_:  # the first loads the model
                found[name].append((time.process_time() - began) / len(events) * 1e6)
    provider.shutdown()
    without, with_ = (statistics.median(found[name]) for name in ("without", "with"))
    ratios = [b / a for a, b in zip(found["without"], found["with"], strict=True)]
    print(
        f"without metrics {without:.1f} µs of CPU an event, with {with_:.1f} µs; {len(events)} events a round"
    )
    print(f"ratio {statistics.median(ratios):.3f} (of the rounds: {min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
