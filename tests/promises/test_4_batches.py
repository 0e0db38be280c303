"""Promise 4: one ONNX call a batch, and one transactional batch for each partition key."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import onnxruntime
import pytest

from everscore.event.item import Item, Source
from everscore.event.stream import load_stream
from everscore.flow.score_events import RetryState
from everscore.score.golden import GOLDEN_ROWS
from tests.support.flights import body, flight, real_flights
from tests.support.read_back import documents
from tests.support.services import Services


def items_of(flights: list[dict[str, Any]]) -> list[Item]:
    """Items as the trigger makes them."""
    return [
        Item(
            body=body(each),
            source=Source(
                namespace="here",
                hub="events",
                partition="0",
                sequence_number=number,
                offset=str(number),
                enqueued_at="2026-01-01T00:00:00.000Z",
            ),
        )
        for number, each in enumerate(flights)
    ]


@pytest.fixture
async def app(services: Services, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """The real app's runtime in this process, on the stand-ins."""
    for name, value in services.settings().items():
        monkeypatch.setenv(name, value)
    from function_app import runtime

    yield runtime.get()
    await runtime.close()


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each call of onnxruntime."""
    calls: list[int] = []
    original = onnxruntime.InferenceSession.run

    def run(self: Any, names: Any, inputs: dict[str, Any], *rest: Any) -> Any:
        calls.append(len(next(iter(inputs.values()))))
        return original(self, names, inputs, *rest)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", run)
    return calls


def models() -> int:
    """How many models score each event."""
    from function_app import composition

    return len(load_stream(composition.ROOT / "stream.json").models)


async def test_a_batch_is_scored_in_one_call_and_written_key_by_key(
    app: Any, services: Services, scored: list[int]
) -> None:
    """300 real flights of several carriers are one call of each model and one write request a partition key."""
    flights = list(real_flights(300))
    await app.pipeline.score_events(
        items_of([flight(-1)]), RetryState(endless=True)
    )  # loads model and client
    keys = Counter((each["carrier"], each["date"]) for each in flights)
    scored.clear()
    before = services.gateway.state()["requests"]
    summary = await app.pipeline.score_events(items_of(flights), RetryState(endless=True))
    after = services.gateway.state()["requests"]
    assert summary.stored == 300
    assert scored == [300] * models()
    assert max(keys.values()) <= 100 < len(flights)
    assert len(keys) > 3
    assert {
        name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name)
    } == {"batch": len(keys)}


async def test_a_key_with_many_events_is_split_by_the_services_limit(app: Any, services: Services) -> None:
    """250 events of one partition key are three transactional batches, of at most 100 operations each."""
    await app.pipeline.score_events(items_of([flight(-1)]), RetryState(endless=True))
    before = services.gateway.requests("batch")
    summary = await app.pipeline.score_events(
        items_of([flight(number) for number in range(250)]), RetryState(endless=True)
    )
    assert summary.stored == 250
    assert services.gateway.requests("batch") - before == 3


async def test_a_repeat_costs_one_read_a_key(app: Any, services: Services, scored: list[int]) -> None:
    """A batch that comes again is one refused write and one query for each key, and writes nothing."""
    flights = [flight(number) for number in range(50)]
    await app.pipeline.score_events(items_of(flights), RetryState(endless=True))
    before, etags = services.gateway.state(), {each["id"]: each["_etag"] for each in documents(services)}
    summary = await app.pipeline.score_events(items_of(flights), RetryState(endless=True))
    after = services.gateway.state()
    assert (summary.stored, summary.superseded) == (0, 50)
    assert after["requests"]["batch"] - before["requests"]["batch"] == 1
    assert after["acceptedWrites"] == before["acceptedWrites"]
    assert {each["id"]: each["_etag"] for each in documents(services)} == etags
    # A model's own rows first, when it was loaded.
    assert sorted(scored) == sorted([GOLDEN_ROWS, 50, 50] * models())
