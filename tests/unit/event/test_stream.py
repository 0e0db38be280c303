"""stream.json: what an event is."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from everscore.clock import times
from everscore.event import stream as stream_module
from everscore.event.item import Source
from everscore.event.stream import load_stream
from everscore.event.stream_manifest import stream_schema
from everscore.failures import ManifestError, Permanent
from tests.fakes import stream_of

GOOD = {"schema": 1, "unwrap": "object", "partitionKey": ["/pk"], "model": "toy"}


def identify(payload, properties=None, source=None, **fields):
    """The identity of a payload under a stream."""
    return stream_of(**fields).identify(payload, source or Source(), properties, b"body")


def test_the_committed_schema_is_the_generated_one() -> None:
    """Editors check stream.json against the very rules that the app has."""
    committed = Path(stream_module.__file__).parents[1] / "schemas" / "stream.schema.json"
    assert json.loads(committed.read_text()) == json.loads(json.dumps(stream_schema()))


def test_the_manifest_of_this_repository_is_valid() -> None:
    """The committed stream.json loads, and names its schema."""
    path = Path(stream_module.__file__).parents[2] / "stream.json"
    stream = load_stream(path)
    assert (path.parent / str(stream.manifest.schema_uri)).is_file()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": 3}, "schema"),
        ({"unwrap": "lines"}, "unwrap"),
        ({"id": "id"}, "must start with '/'"),
        ({"id": {"property": ""}}, "property"),
        ({"partitionKey": []}, "at least one field"),
        ({"partitionKey": ["pk"]}, "must start with '/'"),
        ({"partitionKey": {"of": "/a", "buckets": 0, "day": "/b"}}, "buckets"),
        ({"partitionKey": {"of": "/a", "buckets": 5, "day": "b"}}, "must start with '/'"),
        ({"time": {"pointer": "/t", "unit": "us"}}, "unit"),
        ({"time": "t"}, "must start with '/'"),
        ({"model": "../x"}, "model"),
        ({"modle": "x"}, "'modle' is unknown"),
        ({"model": None}, "name the model that scores these events"),
        ({"models": ["toy"]}, "both 'model' and 'models'"),
        ({"model": None, "models": ["a", "b"]}, 'models is of schema 2: set "schema": 2'),
        ({"schema": 2, "model": None, "models": []}, "models"),
        ({"schema": 2, "model": None, "models": ["a", "a"]}, "'a' stands 2 times in models"),
        ({"schema": 2, "model": None, "models": ["a/b"]}, "models"),
        (
            {"schema": 2, "model": None, "models": [{"name": "a", "required": False}]},
            "none of them is required",
        ),
        ({"id": {"property": "key"}, "unwrap": "array"}, "JSON Pointer into each record"),
        ({"id": {"property": "key"}, "unwrap": "records"}, "JSON Pointer into each record"),
    ],
)
def test_a_mistake_is_named(tmp_path, change, sentence) -> None:
    """Each mistake is a sentence that names the file and the field."""
    path = tmp_path / "stream.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(ManifestError, match=r"stream\.json") as raised:
        load_stream(path)
    assert sentence in str(raised.value)


def test_the_models_of_a_stream() -> None:
    """One model by its name, or several, each with whether it is required."""
    assert [(each.name, each.required) for each in stream_of().models] == [("toy", True)]
    several = stream_of(schema=2, model=None, models=["toy", {"name": "odd", "required": False}])
    assert [(each.name, each.required) for each in several.models] == [("toy", True), ("odd", False)]


def test_all_mistakes_come_at_once(tmp_path) -> None:
    """Several mistakes are reported together, a line each."""
    path = tmp_path / "stream.json"
    path.write_text(json.dumps({"schema": 1, "unwrap": "x", "id": "y", "partitionKey": [], "extra": 1}))
    with pytest.raises(ManifestError) as raised:
        load_stream(path)
    for field in ("unwrap", "id", "partitionKey", "extra", "model"):
        assert field in str(raised.value)


def test_a_missing_file_is_a_sentence(tmp_path) -> None:
    """Without a stream.json the message says what it is for."""
    with pytest.raises(ManifestError, match=r"stream\.json cannot be read"):
        load_stream(tmp_path / "stream.json")


def test_key_fields_are_encoded_and_joined() -> None:
    """A partition key of several fields joins their encoded forms; the originals stay in the key."""
    found = identify(
        {"a": "x|y", "b": {"c": 5}, "id": "ü", "time": "2026-11-25T10:00:00+02:00"},
        partitionKey=["/a", "/b/c"],
    )
    assert (found.pk, found.id) == ("x~7cy|~n5", "~c3~bc")
    assert found.key == {"pk": ["x|y", 5], "id": "ü"}
    assert found.time == "2026-11-25T08:00:00.000000Z"


def test_buckets_are_by_day() -> None:
    """A hashed bucket a day: the day in UTC, then the bucket's number."""
    rule = {"of": "/user", "buckets": 8, "day": "/at"}
    payload = {"user": "u", "at": "2026-11-25T23:30:00-02:00", "id": 1, "time": "2026-11-25T00:00:00Z"}
    found = identify(payload, partitionKey=rule)
    day, bucket = found.pk.split("|")
    assert day == "2026-11-26"
    assert 0 <= int(bucket) < 8
    assert found.pk == identify(payload | {"at": "2026-11-26"}, partitionKey=rule).pk


def test_ids_from_a_property() -> None:
    """An application property can be the id; a large number in it loses no digit, not even in the key."""
    rule = {"id": {"property": "key"}}
    payload = {"pk": "p", "time": "2026-11-25T00:00:00Z"}
    assert identify(payload, {"key": "a/b"}, **rule).id == "a~2fb"
    large = identify(payload, {"key": 2**60}, **rule)
    assert (large.id, large.key["id"]) == (f"~n{2**60}", str(2**60))
    for properties in (None, {}, {"key": None}, {"key": ""}, {"key": True}, {"key": ["x"]}):
        with pytest.raises(Permanent) as raised:
            identify(payload, properties, **rule)
        assert raised.value.field == "property key"


@pytest.mark.parametrize(
    ("payload", "reason", "field"),
    [
        ({}, "partition key missing", "/pk"),
        ({"pk": None}, "partition key is null", "/pk"),
        ({"pk": ""}, "partition key is empty", "/pk"),
        ({"pk": False}, "partition key of the wrong type", "/pk"),
        ({"pk": {}}, "partition key of the wrong type", "/pk"),
        ({"pk": "x" * 2001}, "partition key too long", "/pk"),
        ({"pk": "ü" * 334}, "partition key too long", "/pk"),
        ({"pk": "p"}, "id missing", "/id"),
        ({"pk": "p", "id": []}, "id of the wrong type", "/id"),
        ({"pk": "p", "id": 1}, "time missing", "/time"),
        ({"pk": "p", "id": 1, "time": None}, "time missing", "/time"),
        ({"pk": "p", "id": 1, "time": 5}, "time of the wrong type", "/time"),
        ({"pk": "p", "id": 1, "time": ""}, "time not readable", "/time"),
        ({"pk": "p", "id": 1, "time": "2026-13-01T00:00:00Z"}, "time not readable", "/time"),
        ({"pk": "p", "id": 1, "time": "0001-01-01T00:00:00+14:00"}, "time not readable", "/time"),
    ],
)
def test_what_names_no_event_is_permanent(payload, reason, field) -> None:
    """A missing, null, empty or wrong field is permanent, and named."""
    with pytest.raises(Permanent) as raised:
        identify(payload)
    assert (raised.value.reason, raised.value.field) == (reason, field)


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("s", 0, "1970-01-01T00:00:00.000000Z"),
        ("s", 1764064800.5, "2025-11-25T10:00:00.500000Z"),
        ("ms", 1764064800123, "2025-11-25T10:00:00.123000Z"),
        ("ms", -1, "1969-12-31T23:59:59.999000Z"),
    ],
)
def test_times_as_numbers(unit, value, expected) -> None:
    """Seconds or milliseconds since 1970, as stream.json says."""
    rule = {"pointer": "/t", "unit": unit}
    assert identify({"pk": "p", "id": "i", "t": value}, time=rule).time == expected


@pytest.mark.parametrize("value", [10**30, -(10**18), "5", True, None, [], float("1e300")])
def test_numbers_that_are_no_time_are_permanent(value) -> None:
    """A number beyond the years 1 to 9999, or no number at all, is the event's own failure."""
    with pytest.raises(Permanent, match="time"):
        identify({"pk": "p", "id": "i", "t": value}, time={"pointer": "/t", "unit": "s"})


def test_without_a_time_the_enqueued_time_counts() -> None:
    """A stream that maps no time orders by when events were enqueued; unknown is the earliest."""
    payload = {"pk": "p", "id": "i"}
    known = identify(payload, source=Source(enqueued_at="2026-11-25T10:00:00.123Z"), time=None)
    assert known.time == "2026-11-25T10:00:00.123000Z"
    assert identify(payload, time=None).time < known.time


@pytest.mark.parametrize("enqueued", ["2026-11-25T10:00:00.123Z", "2026-11-25T10:00:00Z"])
def test_hole_01_under_schema_2_the_second_of_enqueuing_counts(enqueued) -> None:
    """A version out of an archive, which keeps whole seconds, is no older than one of the same second that the
    hub has delivered.
    """
    payload = {"pk": "p", "id": "i"}
    found = identify(payload, source=Source(enqueued_at=enqueued), schema=2, time=None)
    assert found.time == "2026-11-25T10:00:00.000000Z"


@pytest.mark.parametrize("number", [2**53 + 1, 2**64 + 1, -(10**30)])
def test_hole_07_identity_and_time_read_the_number_that_was_sent(number) -> None:
    """A long integer is a number to id, key and time: its identity is not that of the same digits in a text."""
    payload = {"id": number, "pk": number, "time": "2026-11-25T10:00:00Z"}
    found = stream_of().identify(payload, Source(), None, b"")
    assert (found.id, found.pk) == (f"~n{number}", f"~n{number}")
    as_text = stream_of().identify(payload | {"id": str(number), "pk": str(number)}, Source(), None, b"")
    assert (as_text.id, as_text.pk) == (str(number), str(number))
    epoch = stream_of(time={"pointer": "/id", "unit": "ms"})
    with pytest.raises(Permanent, match="time not readable"):
        epoch.identify(payload, Source(), None, b"")


def test_hole_10_without_a_time_of_enqueuing_the_present_counts() -> None:
    """A time far beyond the present is not believed either; the earliest stands in, which replaces nothing."""
    payload = {"pk": "p", "id": "i", "time": "2999-01-01T00:00:00Z"}
    found = identify(payload)
    assert (found.time, found.clock_ahead) == ("0001-01-01T00:00:00.000000Z", True)
    soon = times.microseconds_text(times.now() + timedelta(hours=23))
    found = identify({**payload, "time": soon})
    assert (found.time, found.clock_ahead) == (soon, False)


def test_hole_10_the_day_of_a_bucket_is_the_one_that_was_sent() -> None:
    """A time that is not believed changes no partition key: the same event finds the same place."""
    payload = {"pk": "p", "id": "i", "time": "2999-01-01T00:00:00Z"}
    source = Source(enqueued_at="2026-11-25T10:00:00.000Z")
    found = identify(payload, source=source, partitionKey={"of": "/pk", "buckets": 1, "day": "/time"})
    assert found.pk == "2999-01-01|0"
    assert (found.time, found.clock_ahead) == ("2026-11-25T10:00:00.000000Z", True)
