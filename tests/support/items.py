"""Items of all kinds, drawn by hypothesis, and those that an outage leaves in the retry queue."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from everscore.event.item import Braked, Item, Source, Step
from everscore.event.scores import Scores
from tests.support.flights import body, real_flight

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCORES = st.builds(
    Scores,
    version=TEXTS,
    sha256=TEXTS,
    label=st.none() | TEXTS,
    value=FLOATS,
    values=st.dictionaries(TEXTS, FLOATS, max_size=2),
)
PROPERTIES = st.none() | st.dictionaries(
    TEXTS, TEXTS | NUMBERS | st.integers(0, 2**64 - 1) | st.none() | st.booleans(), max_size=3
)
BODIES = st.binary(max_size=200) | st.integers(0, 60_000).map(lambda length: b"x" * length)
ITEMS = st.builds(
    Item,
    body=BODIES | st.integers(0, 2**32).map(lambda seed: incompressible(seed, 60_000)),
    unwrapped=st.booleans(),
    kind=st.sampled_from(["event", "outcome", "message"]),
    record_index=st.none() | st.integers(0, 9),
    properties=PROPERTIES,
    system=PROPERTIES,
    source=st.builds(Source, partition=st.none() | TEXTS, sequence_number=st.none() | NUMBERS),
    id=st.none() | TEXTS,
    scores=st.none() | st.dictionaries(TEXTS, SCORES, max_size=2),
    shadow=st.none() | st.dictionaries(TEXTS, st.dictionaries(TEXTS, FLOATS, max_size=1), max_size=1),
    etag=st.none() | TEXTS,
    stage=st.none() | st.sampled_from(["store", "score"]),
    reason=st.none() | TEXTS,
    exception=st.none() | st.sampled_from(["", "refused", "no answer " * 90]),
    failure_class=st.sampled_from([None, "transient"]),
    first_failed_at=st.sampled_from([None, "t1", "t2"]),
    failed_at=st.sampled_from([None, "t2", "t3"]),
    attempts=st.integers(0, 1000),
    braked=st.none() | st.builds(Braked, at=TEXTS, configuration=TEXTS),
    traceparent=st.none() | TEXTS,
    history=st.lists(st.builds(Step, at=TEXTS, stage=TEXTS, reason=TEXTS), max_size=2),
    dead_letter=st.booleans(),
)


def incompressible(seed: int, size: int) -> bytes:
    """Bytes that no compression makes smaller."""
    return random.Random(seed).randbytes(size)


def waiting(number: int) -> Item:
    """A real flight, scored, as it waits while the store is out of reach."""
    flight = real_flight(number)
    late = (number * 0.6180339887498949) % 1
    return Item(
        body=body(flight),
        source=Source(
            namespace="evhns-everscore-prod.servicebus.windows.net",
            hub="events",
            partition=str(number % 4),
            sequence_number=100_000 + number,
            offset=str(9_000_000_000 + number * 700),
            enqueued_at=f"2026-11-25T10:{number // 60 % 60:02}:{number % 60:02}.{number * 37 % 1000:03}Z",
        ),
        id=flight["id"],
        pk=f"{flight['carrier']}|{flight['date']}",
        time=f"2013-09-01T09:08:00.{number:06}Z",
        scores={
            "flights": Scores("1.0.0", "ab" * 32, "late", late, {"late": late, "on time": 1.0 - late}),
        },
        stage="store",
        reason="store out of reach",
        exception="not asked again before the next probe; last: store: store not reached: Cannot connect to "
        "host 127.0.0.1:8081 ssl:default [Connect call failed ('127.0.0.1', 8081)]",
        failure_class="transient",
        attempts=3,
        first_failed_at="2026-11-25T17:12:48.504Z",
        failed_at="2026-11-25T17:12:58.504Z",
        queued_at="2026-11-25T17:12:48.504Z",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        history=[Step(at="2026-11-25T17:12:48.504Z", stage="store", reason="store not reached")],
    )
