"""What the pipeline measures: the instruments of the table, once a batch, and nothing that could harm it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, Histogram, InMemoryMetricReader, Sum

from everscore.clock import times
from everscore.event.item import Item
from everscore.failures import Stage, Transient
from everscore.ports import QueuedMessage
from everscore.retry.packing import pack
from everscore.store.breaker import State
from everscore.watch import telemetry
from everscore.watch.backlog import Backlog, lag, oldest_age
from everscore.watch.telemetry import LATENCY_BOUNDS, Recorder, Telemetry, read_table
from tests.fakes import OUT, FakeBlobs, World, ago, item_of, source_of

TABLE = {entry["name"]: entry for entry in read_table()}
KINDS = {"counter": Sum, "histogram": Histogram, "gauge": Gauge}


class Meters:
    """Telemetry whose metrics can be read."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(self.provider.get_meter("test"))

    def metrics(self) -> dict[str, Any]:
        """What is exported now, by name."""
        data = self._reader.get_metrics_data()
        scopes = [scope for each in data.resource_metrics for scope in each.scope_metrics] if data else []
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """Values of a counter or gauge, or counts of a histogram, by its attributes in the table's order."""
        metric = self.metrics().get(name)
        order = list(TABLE[name].get("attributes", {}))
        return {
            tuple(str(point.attributes.get(key, "")) for key in order): getattr(point, "value", None)
            if hasattr(point, "value")
            else point.count
            for point in (metric.data.data_points if metric else [])
        }


@pytest.fixture
def meters() -> Iterator[Meters]:
    """Telemetry of a test's own."""
    made = Meters()
    yield made
    made.provider.shutdown()


@dataclass
class Range:
    first: int
    last: int
    is_empty: bool = False


class Hub:
    def __init__(self, **ranges: Range) -> None:
        self.ranges = ranges
        self.refuses: Exception | None = None

    async def partitions(self) -> dict[str, Range]:
        if self.refuses:
            raise self.refuses
        return self.ranges


class Passed:
    def __init__(self, **numbers: int) -> None:
        self.numbers = numbers

    async def read(self) -> dict[str, int]:
        return self.numbers


class Waiting:
    def __init__(self, depth: int, *messages: QueuedMessage) -> None:
        self._depth = depth
        self._messages = messages
        self.refuses: Exception | None = None

    async def depth(self) -> int:
        if self.refuses:
            raise self.refuses
        return self._depth

    async def peek(self) -> list[QueuedMessage]:
        return list(self._messages)


def fresh(number: int, **fields: Any) -> Item:
    """An item that the hub took just now."""
    item = item_of(number, **fields)
    item.source = source_of(number, enqueued_at=ago(seconds=0))
    return item


async def everything(meters: Meters) -> None:
    """Make each instrument measure something."""
    world = World(telemetry=meters.telemetry, proven=False)
    meters.telemetry.begin("score_events")
    await world.score(fresh(1), fresh(1), fresh(2), item_of(3, b"no json"), item_of(4, bomb=True))
    await world.score(*(item_of(number, b"no json") for number in range(10, 60)))
    await world.score(fresh(20, time="2999-01-01T00:00:00Z"))
    await world.retry()
    known = World(telemetry=meters.telemetry)
    await known.score(item_of(3, b"no json"))
    beside = World(telemetry=meters.telemetry, second=False)
    beside.second.refuses = Transient(Stage.SCORE, "model missing")
    await beside.score(item_of(5))
    hub, passed = Hub(**{"0": Range(1, 10)}), Passed(**{"0": 7})
    keeping = meters.telemetry.of("housekeeping")
    backlog = Backlog(
        hub=hub,
        checkpoints=passed,
        retry=Waiting(2),
        poison=Waiting(1),
        blobs=FakeBlobs(),
        recorder=keeping,
    )
    await backlog.measure(5)


async def test_the_instruments_are_those_of_the_table(meters: Meters) -> None:
    """Each metric of metrics.json is emitted with its kind, unit, description and attributes, and no other is."""
    await everything(meters)
    found = meters.metrics()
    assert set(found) == set(TABLE)
    for name, metric in found.items():
        entry = TABLE[name]
        assert type(metric.data) is KINDS[entry["kind"]], name
        assert (metric.unit, metric.description) == (entry["unit"], entry["description"])
        optional = {"label"}
        for point in metric.data.data_points:
            assert set(point.attributes) <= set(entry.get("attributes", {})), name
            assert set(point.attributes) >= set(entry.get("attributes", {})) - optional, name
        if entry["kind"] == "counter":
            assert metric.data.is_monotonic


def test_the_bounds_of_the_table_are_those_of_the_code() -> None:
    """The upper bounds that the table names for percentiles are those that are counted by."""
    text = TABLE["everscore.enqueue_to_stored.events"]["attributes"]["le"]
    assert [float(number) for number in re.findall(r"[\d.]+", text)] == list(LATENCY_BOUNDS)


async def test_a_batch_is_counted_by_fate_and_reason(meters: Meters) -> None:
    """Stored, superseded, retried and dead-lettered events are counted, the last two by stage and reason."""
    world = World(telemetry=meters.telemetry)
    older, newer = fresh(1), fresh(1)
    newer.source = replace_source(newer, 2)
    await world.score(
        older,
        newer,
        fresh(3),
        item_of(4, b"{"),
        item_of(5, id=None),
        item_of(6, id=None),
        item_of(7, bomb=True),
    )
    function = ("score_events",)
    assert meters.values("everscore.events.received") == {function: 7}
    assert meters.values("everscore.events.stored") == {function: 2}
    assert meters.values("everscore.events.superseded") == {function: 1}
    assert meters.values("everscore.events.retried") == {(*function, "score", "unexpected ValueError"): 1}
    letters = meters.values("everscore.events.dead_lettered")
    assert letters[(*function, "validate", "id is null")] == 2
    assert sum(letters.values()) == 3
    for name in ("batch.size", "batch.duration", "decode.duration", "score.duration", "write.duration"):
        assert meters.values(f"everscore.{name}") == {function: 1}
    assert meters.values("everscore.request_units") == {function: 10.0}
    await world.retry()
    assert meters.values("everscore.events.received") == {function: 7, ("retry_events",): 1}


def replace_source(item: Item, number: int) -> Any:
    """The item's source with another sequence number."""
    return source_of(number, enqueued_at=item.source.enqueued_at)


async def test_what_is_recorded_does_not_grow_with_the_batch(
    meters: Meters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of 400 events calls the instruments as often as one of 4."""
    calls: list[str] = []
    for name in TABLE:
        instrument = meters.telemetry.instrument(name)
        for method in ("add", "record", "set"):
            if hasattr(instrument, method):
                monkeypatch.setattr(instrument, method, lambda *_, name=name, **__: calls.append(name))
    counts = []
    for first, size in ((0, 4), (1000, 400)):
        world = World(telemetry=meters.telemetry)
        calls.clear()
        events = [fresh(first + number) for number in range(size)]
        for number, each in enumerate(events):  # of one age, in the middle of a bucket however slow this is
            each.source = source_of(first + number, enqueued_at=ago(seconds=20))
        await world.score(*events, item_of(999, b"{"))
        counts.append(sorted(calls))
    assert counts[0] == counts[1]
    assert len(counts[0]) >= 10


@pytest.mark.parametrize(
    ("seconds", "bound"),
    [
        (0.0, "0.1"),
        (3, "5"),
        (5.5, "10"),
        (59, "60"),
        (5_000, "21600"),
        (700_000, "1000000000"),
        (-50, "0.1"),
    ],
)
async def test_the_time_to_the_store_is_counted_by_its_bound(
    meters: Meters, monkeypatch: pytest.MonkeyPatch, seconds: float, bound: str
) -> None:
    """An event is counted under the first bound that is not less than its time; clocks that differ harm nothing."""
    world = World(telemetry=meters.telemetry)
    item = item_of(1)
    now = times.now().replace(microsecond=0)
    monkeypatch.setattr(telemetry, "time", SimpleNamespace(time=now.timestamp))
    item.source = source_of(1, enqueued_at=times.milliseconds_text(now - timedelta(seconds=seconds)))
    await world.score(item)
    assert meters.values("everscore.enqueue_to_stored.events") == {("score_events", bound): 1}
    (point,) = meters.metrics()["everscore.enqueue_to_stored.duration"].data.data_points
    assert point.sum == max(0, seconds)


@pytest.mark.parametrize("enqueued_at", [None, "garbled"])
async def test_an_unknown_time_is_not_counted(meters: Meters, enqueued_at: str | None) -> None:
    """Without a readable time of enqueuing an event is stored, and no time is made up."""
    world = World(telemetry=meters.telemetry)
    item = item_of(1)
    item.source = source_of(1, enqueued_at=enqueued_at)
    assert (await world.score(item)).stored == 1
    assert not meters.values("everscore.enqueue_to_stored.events")


async def test_scores_are_counted_by_label_and_their_mean_kept(meters: Meters) -> None:
    """Stored events are counted by model, version and label; the score's mean goes into one value a batch."""
    world = World(telemetry=meters.telemetry)
    await world.score(item_of(1), item_of(2), item_of(6))
    assert meters.values("everscore.scores") == {("toy", "1", ""): 3}
    (point,) = meters.metrics()["everscore.score.value"].data.data_points
    assert (point.count, point.sum) == (1, 3.0)


async def test_the_brake_counts_a_batch(meters: Meters) -> None:
    """A batch that comes while a configuration is braked counts once, by its reason."""
    world = World(telemetry=meters.telemetry, proven=False)
    await world.score(*(item_of(number, id=None) for number in range(24)))
    assert meters.values("everscore.brake.batches") == {("validate: id is null",): 1}
    assert sum(meters.values("everscore.events.retried").values()) == 24


async def test_a_batch_that_no_place_takes_is_not_counted_yet(meters: Meters) -> None:
    """What comes again is counted when it has ended."""
    from everscore.flow.ending import NoPlaceAnswersError

    world = World(telemetry=meters.telemetry)
    world.store.refuses = world.queue.refuses = world.blobs.refuses = OUT
    with pytest.raises(NoPlaceAnswersError):
        await world.score(item_of(1))
    assert not meters.values("everscore.events.received")
    world.store.refuses = world.queue.refuses = world.blobs.refuses = None
    await world.score(item_of(1))
    assert meters.values("everscore.events.received") == {("score_events",): 1}


async def test_the_breaker_is_told_as_a_batch_left_it(meters: Meters) -> None:
    """The gauge has the breaker's state after the batch."""
    world = World(telemetry=meters.telemetry)
    for state, number in ((State.OPEN, 2), (State.HALF_OPEN, 1), (State.CLOSED, 0)):
        world.breaker = state
        await world.score(item_of(1))
        assert meters.values("everscore.breaker.state") == {("score_events",): number}


async def test_an_event_put_off_tells_its_age(meters: Meters) -> None:
    """The age of the oldest event of all messages put off is reported, since it entered the queue."""
    world = World(telemetry=meters.telemetry)
    world.store.refuses = OUT
    for message in ((1, 4, 3), (2,)):
        items = [item_of(hours) for hours in message]
        for item, hours in zip(items, message, strict=True):
            item.queued_at = ago(hours=hours)
        [packed], _ = pack(items)
        world.queue.messages.append((packed.message, 0.0))
    await world.retry()
    assert meters.values("everscore.retry.oldest_age") == {("retry_events",): pytest.approx(4 * 3600, abs=60)}


async def test_a_gauge_is_not_repeated(meters: Meters) -> None:
    """What was measured once is exported once: no instance goes on telling of an hour ago."""
    meters.telemetry.of("housekeeping").partition("0", lag=5, share=0.5, checkpoint=3)
    assert meters.values("everscore.partition.lag") == {("0",): 5}
    assert meters.values("everscore.partition.lag") == {}


async def test_a_process_starts_cold_once(meters: Meters) -> None:
    """Only the first invocation of a process counts, under its function's name."""
    meters.telemetry.begin("retry_events")
    meters.telemetry.begin("score_events")
    assert meters.values("everscore.cold_starts") == {("retry_events",): 1}


async def test_what_housekeeping_moves_is_counted(meters: Meters) -> None:
    """Dead letters of the poison queue count as such, without counting as a batch."""
    world = World(telemetry=meters.telemetry)
    world.poison.put("no base64!")
    [packed], _ = pack([item_of(1)])
    world.poison.put(base64.b64encode(packed.message).decode())
    await world.keep()
    letters = meters.values("everscore.events.dead_lettered")
    assert letters == {("housekeeping", "retry", "poison message unreadable"): 1}
    assert sum(meters.values("everscore.events.retried").values()) == 1
    assert not meters.values("everscore.events.received")


async def test_a_failing_measurement_harms_no_batch(
    meters: Meters, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An instrument that raises leaves every event stored, and is logged once."""

    def broken(*_: Any) -> None:
        raise RuntimeError("broken instrument")

    monkeypatch.setattr(meters.telemetry.instrument("everscore.events.received"), "add", broken)
    world = World(telemetry=meters.telemetry)
    for number in range(3):
        assert (await world.score(item_of(number))).stored == 1
    assert caplog.text.count("A measurement failed") == 1


async def test_without_a_meter_nothing_is_measured() -> None:
    """Recorders of a process without metrics are those that drop everything."""
    telemetry = Telemetry(None)
    assert not telemetry.enabled
    assert type(telemetry.of("score_events")) is Recorder
    telemetry.begin("score_events")
    assert (await World(telemetry=telemetry).score(item_of(1))).stored == 1


@pytest.mark.parametrize(
    ("held", "checkpoint", "waiting", "share"),
    [
        (Range(0, 9), 9, 0, 0.0),
        (Range(0, 9), 4, 5, 0.5),
        (Range(0, 9), None, 10, 1.0),
        (Range(100, 109), 3, 10, 1.0),
        (Range(0, 9), 50, 0, 0.0),
        (Range(0, -1, is_empty=True), None, 0, 0.0),
    ],
    ids=["passed", "half", "never", "expired", "hub made anew", "empty"],
)
def test_lag_is_what_the_hub_still_holds_beyond_the_checkpoint(held, checkpoint, waiting, share) -> None:
    """Events that are gone count no more, and a share of 1 means that the next to expire is unread."""
    assert lag(held, checkpoint) == (waiting, share)


def test_a_due_message_is_as_old_as_its_oldest_event() -> None:
    """The age is that of the events in it; of a message that cannot be read, its own."""
    item, younger = item_of(1), item_of(2)
    item.queued_at, younger.queued_at = ago(hours=5), ago(hours=1)
    [packed], _ = pack([younger, item])
    readable = QueuedMessage(base64.b64encode(packed.message).decode(), ago(minutes=1))
    newer = QueuedMessage(base64.b64encode(json.dumps({"schema": 99}).encode()).decode(), ago(hours=6))
    assert oldest_age([readable]) == pytest.approx(5 * 3600, abs=60)
    assert oldest_age([readable, QueuedMessage("?", ago(hours=7))]) == pytest.approx(7 * 3600, abs=60)
    assert oldest_age([readable, newer]) == pytest.approx(6 * 3600, abs=60)
    assert oldest_age([]) == 0


@pytest.mark.parametrize("silent", [False, True])
async def test_a_part_that_cannot_be_read_leaves_the_others(
    meters: Meters, caplog: pytest.LogCaptureFixture, silent: bool
) -> None:
    """Without the hub, refusing or silent, the queues are measured all the same, and one line says why."""
    hub = Hub()
    hub.refuses = Transient("retry", "hub not read")  # type: ignore[arg-type]
    if silent:
        import asyncio

        async def never() -> dict[str, Range]:
            await asyncio.Event().wait()
            return {}

        hub.partitions = never  # type: ignore[method-assign]
    keeping = meters.telemetry.of("housekeeping")
    backlog = Backlog(
        hub=hub,
        checkpoints=Passed(),
        retry=Waiting(4),
        poison=Waiting(2),
        blobs=FakeBlobs(),
        recorder=keeping,
    )
    await backlog.measure(0.05)
    assert set(meters.metrics()) == {
        "everscore.retry.depth",
        "everscore.retry.oldest_age",
        "everscore.poison.depth",
    }
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "No metrics of the lag of the partitions"
    ]


async def test_hole_10_times_that_are_not_believed_are_counted_once(meters: Meters) -> None:
    """An event that is dated ahead is counted when it has ended, also where it was retried before."""
    world = World(telemetry=meters.telemetry)
    with world.store.refusing():
        summary = await world.score(fresh(1, time="2999-01-01T00:00:00Z"), fresh(2))
    assert summary.clock_ahead == 0
    await world.retry()
    summary = await world.score(fresh(1, time="2999-01-01T00:00:00Z"))
    assert (summary.clock_ahead, summary.superseded + summary.stored) == (1, 1)
    counted = meters.values("everscore.events.clock_ahead")
    assert counted == {("retry_events",): 1, ("score_events",): 1}


async def test_hole_50_the_lag_copes_with_a_checkpoint_that_goes_back(meters: Meters) -> None:
    """Hole 50: what was passed once does not wait; the checkpoint is shown as it is, by whichever instance looks."""
    blobs, hub = FakeBlobs(), Hub(**{"0": Range(1, 10)})
    for number, waiting in ((9, 1), (3, 1), (10, 0), (3, 0)):
        keeping = meters.telemetry.of("housekeeping")
        backlog = Backlog(
            hub=hub,
            checkpoints=Passed(**{"0": number}),
            retry=Waiting(0),
            poison=Waiting(0),
            blobs=blobs,
            recorder=keeping,
        )
        await backlog.measure(5)
        found = meters.metrics()
        values = {
            name: found[f"everscore.partition.{name}"].data.data_points[0].value
            for name in ("lag", "checkpoint")
        }
        assert values == {"lag": waiting, "checkpoint": number}
