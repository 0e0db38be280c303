"""What a function says of itself to the others."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import msgspec
import pytest

from everscore.clock import times
from everscore.failures import Configuration, Failure, Stage, Transient
from everscore.flow.ending import NoPlaceAnswersError
from everscore.watch import status as status_module
from everscore.watch.status import Status, StatusReport, decode_status, problems_of, read_status
from everscore.watch.summary import Summary
from function_app import runtime
from tests.fakes import OUT, FakeBlobs


async def report_of(status: Status, blobs: FakeBlobs):
    """What is in the blob after a write."""
    await status.write()
    return decode_status(blobs.status["score_events"])


async def test_counts_add_up_over_batches() -> None:
    """The blob has the sums since the start, and the most frequent reason of the last failing batch."""
    blobs = FakeBlobs()
    status = Status("score_events", blobs, interval=60, has_policy=True)
    status.scored(Summary(received=5, stored=3, queued=2, reasons=Counter({"store: a": 2, "decode: b": 1})))
    status.scored(Summary(received=5, stored=4, superseded=1, clock_ahead=3))
    report = await report_of(status, blobs)
    assert (report.received, report.stored, report.superseded, report.queued) == (10, 7, 1, 2)
    assert report.clock_ahead == 3
    assert report.last_failure == "store: a"
    assert report.retry_policy is True


async def test_a_missing_policy_is_loud_once(caplog) -> None:
    """It is logged as critical at first, and stays in the report."""
    blobs = FakeBlobs()
    status = Status("score_events", blobs, interval=60, has_policy=True)
    for _ in range(3):
        status.policy_missing()
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    assert (await report_of(status, blobs)).retry_policy is False


async def test_silence_is_noted() -> None:
    """When and why, for the health page."""
    blobs = FakeBlobs()
    status = Status("score_events", blobs, interval=60, has_policy=True)
    status.no_place("partition 1")
    report = await report_of(status, blobs)
    assert report.no_place == "partition 1"
    assert report.no_place_at


async def test_it_is_written_at_most_once_in_an_interval() -> None:
    """Busy functions do not write a blob a batch."""
    blobs = FakeBlobs()
    status = Status("score_events", blobs, interval=60, has_policy=False)
    await status.write()
    status.scored(Summary(received=1, stored=1))
    assert (await report_of(status, blobs)).received == 0
    eager = Status("score_events", blobs, interval=0, has_policy=False)
    await eager.write()
    eager.scored(Summary(received=1, stored=1))
    assert (await report_of(eager, blobs)).received == 1


async def test_news_are_written_at_once_and_then_once_in_an_interval() -> None:
    """The first held batch or failure does not wait for a batch that may never come; more of them do."""
    blobs = FakeBlobs()
    status = Status("score_events", blobs, interval=60, has_policy=True)
    await status.write()
    status.scored(Summary(received=1, queued=1, reasons=Counter({"store: a": 1})))
    assert (await report_of(status, blobs)).last_failure == "store: a"
    status.no_place("partition 1")
    assert (await report_of(status, blobs)).no_place == "partition 1"
    status.no_place("partition 2")
    status.scored(Summary(received=1, queued=1, reasons=Counter({"store: b": 1})))
    report = await report_of(status, blobs)
    assert (report.no_place, report.last_failure) == ("partition 1", "store: a")


async def test_news_that_could_not_be_written_are_tried_again_soon_but_not_by_every_call(monkeypatch) -> None:
    """A held batch reaches the health check once blobs answer; while they hang no call but a few waits for them."""
    clock = SimpleNamespace(now=1_000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(status_module, "time", clock)
    blobs = FakeBlobs()
    status = Status("score_events", blobs, interval=60, has_policy=True)
    status.no_place("partition 1")
    with blobs.refusing():
        await status.write()
    status.scored(Summary(received=1, queued=1, reasons=Counter({"store: a": 1})))
    await status.write()
    assert blobs.status == {}
    clock.now += 14
    await status.write()
    assert blobs.status == {}
    clock.now += 2
    report = await report_of(status, blobs)
    assert (report.last_failure, report.no_place) == ("store: a", "partition 1")
    status.no_place("partition 2")
    clock.now += 16
    assert (await report_of(status, blobs)).no_place == "partition 1"
    clock.now += 60
    assert (await report_of(status, blobs)).no_place == "partition 2"


async def test_a_held_retry_message_is_reported(monkeypatch) -> None:
    """What retry_events could not place stands in its report, though the invocation raises."""
    blobs = FakeBlobs()
    status = Status("retry_events", blobs, interval=60, has_policy=False)

    async def held(*_: object, **__: object) -> None:
        status.no_place("the retry queue")
        raise NoPlaceAnswersError("it stays")

    parts = {
        "exporting": SimpleNamespace(telemetry=SimpleNamespace(begin=lambda _: None)),
        "retrying": SimpleNamespace(retry_events=held),
        "settings": SimpleNamespace(storage_timeout_seconds=5.0),
        "retry_status": status,
    }
    monkeypatch.setattr(runtime, "get", lambda: SimpleNamespace(**parts))
    message = SimpleNamespace(get_body=lambda: b"", dequeue_count=1, id="m", insertion_time=None)
    with pytest.raises(NoPlaceAnswersError):
        await runtime.retry_events(message)
    report = await read_status(blobs, "retry_events")
    assert report is not None
    assert report.no_place == "the retry queue"


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({}, []),
        ({"retry_policy": True, "last_failure": "store: a", "last_failure_at": "59"}, []),
        ({"retry_policy": False}, ["retry policy missing"]),
        ({"no_place_at": "59", "no_place": "partition 1"}, ["no destination answered"]),
        ({"no_place_at": "61"}, []),
        ({"retry_policy": False, "no_place_at": "1"}, ["retry policy missing", "no destination answered"]),
    ],
)
def test_what_a_report_shows_to_be_wrong(fields, reasons) -> None:
    """A missing policy, and a held batch of the last hour (times here are minutes ago); a failure is none."""
    now = times.now()
    ago = {
        name: times.milliseconds_text(now - timedelta(minutes=int(value)))
        for name, value in fields.items()
        if name.endswith("_at")
    }
    report = StatusReport("score_events", **{**fields, **ago})
    assert [problem.reason for problem in problems_of(report, now)] == reasons


async def test_what_one_instance_says_is_not_wiped_out_by_another() -> None:
    """The health check sees a held batch, whichever instance was the last to write, and the later of two."""
    blobs = FakeBlobs()
    one, other = (Status("score_events", blobs, interval=0, has_policy=True) for _ in range(2))
    one.no_place("partition 1")
    held = await report_of(one, blobs)
    other.scored(Summary(received=2, stored=1, queued=1, reasons=Counter({"store: a": 1})))
    report = await report_of(other, blobs)
    assert report.no_place_at == held.no_place_at
    assert (report.no_place, report.last_failure, report.received) == ("partition 1", "store: a", 2)
    blobs.status["score_events"] = b'{"function":"score_events","noPlaceAt":"2999","noPlace":"later"}'
    assert (await report_of(one, blobs)).no_place == "later"


async def test_a_model_that_does_not_load_is_a_problem_until_it_does() -> None:
    """Both changes are told at once, and the problem stands however long no batch comes."""
    blobs = FakeBlobs()
    failures: list[Failure | None] = [Transient(Stage.SCORE, "model missing", "no model.onnx")]
    status = Status("score_events", blobs, interval=60, has_policy=True, model_failure=lambda: failures[-1])
    await status.write()
    status.scored(Summary(received=1, queued=1))
    report = await report_of(status, blobs)
    assert report.model_failure == "score: model missing: no model.onnx"
    [problem] = problems_of(report, times.now() + timedelta(days=30))
    assert problem.reason == "the model does not load"
    assert "no model.onnx" in problem.detail
    failures.append(None)
    status.scored(Summary(received=1, stored=1))
    report = await report_of(status, blobs)
    assert report.model_failure is None
    assert problems_of(report, times.now()) == []


async def test_a_status_that_cannot_be_read_is_written_anew() -> None:
    """Whatever lies there does not keep the report from being written."""
    blobs = FakeBlobs()
    blobs.status["score_events"] = b"words"
    report = await report_of(Status("score_events", blobs, interval=0, has_policy=True), blobs)
    assert report.function == "score_events"


@pytest.mark.parametrize("error", [OUT, RuntimeError("closed")])
async def test_a_report_that_cannot_be_written_stops_nothing(error, caplog) -> None:
    """Every event has its place by then: it is logged, and nothing is raised."""
    blobs = FakeBlobs()
    blobs.refuses = error
    await Status("score_events", blobs, interval=0, has_policy=True).write()
    assert "could not be written" in caplog.text


async def test_what_is_no_report_is_refused() -> None:
    """Other bytes raise the decoder's own error, and where they lie in the blob a failure that names the function."""
    with pytest.raises(msgspec.DecodeError):
        decode_status(b"words")
    blobs = FakeBlobs()
    assert await read_status(blobs, "score_events") is None
    blobs.status["score_events"] = b"words"
    with pytest.raises(Configuration, match="score_events"):
        await read_status(blobs, "score_events")


def test_a_summary_is_one_line() -> None:
    """It says what there is, and the worst reasons; what is nothing is left out."""
    summary = Summary(received=3, stored=2, dead_lettered=1, reasons=Counter({"decode: not JSON": 1}))
    assert str(summary) == "3 events, 2 stored, 1 dead-lettered: decode: not JSON (1)"
    assert str(Summary()) == "0 events, 0 stored"
