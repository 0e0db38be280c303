"""From what the worker hands over to items, whatever of the metadata is missing."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest
from azure.functions.eventhub import EventHubTriggerConverter
from azure.functions.meta import Datum
from hypothesis import given
from hypothesis import strategies as st

from everscore.event.item import Source
from everscore.flow.score_events import RetryState
from everscore.retry.envelope import encode_item
from function_app.trigger_data import items_of, retry_state_of


def metadata_of(count: int, **changes: Any) -> dict[str, Datum]:
    """Trigger metadata as the host sends it, as JSON texts; a change of None leaves one out."""
    whole = {
        "PartitionContext": {
            "FullyQualifiedNamespace": "ns.example.net",
            "EventHubName": "events",
            "ConsumerGroup": "everscore",
            "PartitionId": "3",
        },
        "PropertiesArray": [{"key": f"k{number}"} for number in range(count)],
        "SystemPropertiesArray": [
            {
                "SequenceNumber": 100 + number,
                "Offset": str(4_000 + number),
                "PartitionKey": None,
                "EnqueuedTimeUtc": f"2026-11-25T10:00:{number:02d}.1234567Z",
            }
            for number in range(count)
        ],
        "SequenceNumberArray": [100 + number for number in range(count)],
        "EnqueuedTimeUtcArray": [f"2026-11-25T10:00:{number:02d}.123Z" for number in range(count)],
    } | changes
    return {
        name: Datum(type="json", value=json.dumps(value))
        for name, value in whole.items()
        if value is not None
    }


def received(bodies: list[bytes], metadata: dict[str, Datum]) -> list[func.EventHubEvent]:
    """Events as the worker library itself makes them."""
    data = Datum(type="collection_bytes", value=SimpleNamespace(bytes=bodies))
    events = EventHubTriggerConverter.decode(data, trigger_metadata=metadata)
    return events if isinstance(events, list) else [events]


def test_every_event_has_its_bytes_its_properties_and_its_place() -> None:
    """Through the library's own converter each item keeps body, properties and source of its event."""
    bodies = [b"{}", b"\xff\x00", b""]
    items = items_of(received(bodies, metadata_of(3)), "other", "00-of-the-invocation")
    assert [item.body for item in items] == bodies
    assert [item.properties for item in items] == [{"key": "k0"}, {"key": "k1"}, {"key": "k2"}]
    assert items[1].source == Source(
        namespace="ns.example.net",
        hub="events",
        partition="3",
        sequence_number=101,
        offset="4001",
        enqueued_at="2026-11-25T10:00:01.123Z",
    )
    assert {item.traceparent for item in items} == {"00-of-the-invocation"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SYSTEM = st.lists(
    st.fixed_dictionaries({}, optional={"SequenceNumber": JSON, "Offset": JSON, "EnqueuedTimeUtc": JSON}),
    min_size=2,
    max_size=2,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "PartitionContext": JSON
            | st.fixed_dictionaries({}, optional={"PartitionId": JSON, "EventHubName": JSON}),
            "PropertiesArray": JSON,
            "SystemPropertiesArray": JSON | SYSTEM,
        },
    )
)
def test_any_metadata_gives_one_item_an_event(metadata) -> None:
    """Missing, misshapen or misaligned metadata costs knowledge, never an event, and never raises."""
    events = [
        SimpleNamespace(metadata=metadata, get_body=lambda body=body: body, sequence_number=None)
        for body in (b"a", None)
    ]
    items = items_of(events, "events", None)  # type: ignore[arg-type]
    assert [item.body for item in items] == [b"a", b""]
    for item in items:
        encode_item(item)
        assert item.source.hub
        assert item.source.sequence_number is None or isinstance(item.source.sequence_number, int)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '["' + "\\ud8", "9" * 5_000, "\ufeff[]"])
def test_metadata_that_cannot_be_parsed_costs_no_event_of_the_batch(text: str, caplog) -> None:
    """The library parses all of it on first use: where that raises, each event still has its body and its number,
    so that it is scored, or passed on unread, and a log line says what it goes without.
    """
    metadata = metadata_of(2) | {"PropertiesArray": Datum(type="json", value=text)}
    items = items_of(received([b"a", b"b"], metadata), "events", "00-of-the-invocation")
    assert [(item.body, item.source, item.traceparent) for item in items] == [
        (b"a", Source(hub="events", sequence_number=100), "00-of-the-invocation"),
        (b"b", Source(hub="events", sequence_number=101), "00-of-the-invocation"),
    ]
    [record] = caplog.records
    assert "cannot be read" in record.getMessage()


def test_an_event_whose_place_cannot_be_read_harms_no_neighbour() -> None:
    """It goes on by what the whole batch says of it."""

    class Odd:
        @property
        def sequence_number(self) -> int:
            raise OverflowError

        def get_body(self) -> bytes:
            return b"odd"

    metadata = {"PartitionContext": {"PartitionId": "3"}}
    first = SimpleNamespace(metadata=metadata, get_body=lambda: b"first", sequence_number=7)
    items = items_of([first, Odd()], "events", None)  # type: ignore[list-item]
    assert [(item.body, item.source.sequence_number) for item in items] == [(b"first", 7), (b"odd", None)]
    assert [item.source.partition for item in items] == ["3", "3"]


def test_no_events_are_no_items() -> None:
    """An empty batch is nothing."""
    assert items_of([], "events", None) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-25T10:00:00.1234567Z", "2026-11-25T10:00:00.123Z"),
        ("2026-11-25T10:00:00.5", "2026-11-25T10:00:00.500Z"),
        ("2026-11-25T10:00:00", "2026-11-25T10:00:00.000Z"),
        ("2026-11-25T10:00:00+00:00", "2026-11-25T10:00:00.000Z"),
        ("2026-11-25T12:00:00+02:00", "2026-11-25T10:00:00.000Z"),
        ("20261125101112123", None),
        ("2026-11-25", None),
        ("25 November", None),
        (1764064800, None),
        (None, None),
    ],
)
def test_enqueued_times_have_one_form(text, expected) -> None:
    """However a host writes it: UTC with milliseconds, cut and not rounded; unknown where it is no time."""
    metadata = {"SystemPropertiesArray": [{"EnqueuedTimeUtc": text}]}
    event = SimpleNamespace(metadata=metadata, get_body=lambda: b"", sequence_number=None)
    [item] = items_of([event], "events", None)  # type: ignore[list-item]
    assert item.source.enqueued_at == expected


@pytest.mark.parametrize("name", ["traceparent", "Diagnostic-Id"])
def test_an_events_own_trace_comes_first(name) -> None:
    """The producer's trace context is kept, under both of its names."""
    events = received([b""], metadata_of(1, PropertiesArray=[{name: "00-own"}]))
    [item] = items_of(events, "events", "00-of-the-invocation")
    assert item.traceparent == "00-own"


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        ({"retry_count": 0, "max_retry_count": -1}, RetryState(0, endless=True)),
        ({"retry_count": 4, "max_retry_count": -1}, RetryState(4, endless=True)),
        ({"retry_count": 1, "max_retry_count": 5}, RetryState(1, endless=False)),
        ({"retry_count": 0, "max_retry_count": 0}, RetryState(0, endless=False)),
        ({"retry_count": None, "max_retry_count": None}, RetryState(0, endless=False)),
    ],
)
def test_only_an_endless_policy_is_endless(retry, expected) -> None:
    """Any other bound counts as no policy at all."""
    context = SimpleNamespace(retry_context=SimpleNamespace(**retry))
    assert retry_state_of(context) == expected  # type: ignore[arg-type]


def test_the_exception_of_the_try_before_is_read() -> None:
    """Its text tells our own hold from a crash."""
    error = SimpleNamespace(message="Result: Failure\nException: NoPlaceAnswersError: no place")
    retry = SimpleNamespace(retry_count=7, max_retry_count=-1, rpc_exception=error)
    state = retry_state_of(SimpleNamespace(retry_context=retry))  # type: ignore[arg-type]
    assert "NoPlaceAnswersError" in state.previous


@pytest.mark.parametrize(("number", "expected"), [(5, 5), (None, 7), (True, 7), ("5", 7)])
def test_a_sequence_number_is_taken_from_where_it_is_one(number, expected) -> None:
    """The batch's metadata count first, then the event's own; what is no whole number is none."""
    metadata = {"SystemPropertiesArray": [{"SequenceNumber": number}]}
    event = SimpleNamespace(metadata=metadata, sequence_number=7, get_body=lambda: b"{}")
    [item] = items_of([event], "events", None)  # type: ignore[list-item]
    assert item.source.sequence_number == expected
