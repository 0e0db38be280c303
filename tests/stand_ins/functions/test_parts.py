"""The parts that need no process: delays, time spans, host.json, settings, routes, schedules, trigger data."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.functions.eventhub import EventHubTriggerConverter
from azure.functions.meta import Datum
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from everscore_local.functions.amqp_values import Text
from everscore_local.functions.app_settings import AppSettings
from everscore_local.functions.credit import Credit
from everscore_local.functions.durations import parse_timespan
from everscore_local.functions.errors import ConfigurationError
from everscore_local.functions.event_hub_data import (
    BindingFailedError,
    PartitionIdentity,
    ReceivedEvent,
    build_many,
    build_one,
    time_text,
)
from everscore_local.functions.functions import Binding, Function
from everscore_local.functions.host_json import load_host_json
from everscore_local.functions.queue_message import NotBase64Error, decode, encode
from everscore_local.functions.retry import RetryPolicy
from everscore_local.functions.routes import Router, compile_route
from everscore_local.functions.schedule import parse_schedule
from everscore_local.functions.worker.protos import seconds_of

SOURCE = PartitionIdentity("127.0.0.1", "hub", "group", "3")


def event(
    body: bytes | None, number: int = 7, key: str | None = "k", milliseconds: int = 1_787_394_672_345
) -> ReceivedEvent:
    """Return an event as the receiver makes it."""
    return ReceivedEvent(
        body, number, str(number * 100), milliseconds, key, {b"a": 1, b"b": Text(b"two")}, {}
    )


def test_exponential_delays_are_the_real_hosts():
    """First the minimum, then min + U(0.8, 1.2)·2^(n−2)·min, the maximum once reached, for ever."""
    policy = RetryPolicy("exponential_backoff", -1, 1.0, 60.0)
    highest = [policy.delay(n, uniform=lambda _low, high: high) for n in range(9)]
    lowest = [policy.delay(n, uniform=lambda low, _high: low) for n in range(9)]
    assert highest == pytest.approx([1, 2.2, 3.4, 5.8, 10.6, 20.2, 39.4, 60, 60])
    assert lowest == pytest.approx([1, 1.8, 2.6, 4.2, 7.4, 13.8, 26.6, 52.2, 60])
    assert policy.delay(100_000) == 60
    assert policy.allows(100_000)


def test_bounded_and_fixed_policies():
    """A count of 2 allows two retries; fixed delays stay; a minimum of 0 never waits, as on the real host."""
    policy = RetryPolicy("fixed_delay", 2, 5.0, 5.0)
    assert [policy.allows(n) for n in range(3)] == [True, True, False]
    assert [policy.delay(n) for n in range(3)] == [5.0] * 3
    assert RetryPolicy("exponential_backoff", -1, 0.0, 60.0).delay(30) == 0.0


def test_intervals_from_timedelta_and_duration():
    """Retry intervals are read from either type that releases of the worker library use."""
    assert seconds_of(timedelta(minutes=1, milliseconds=500)) == 60.5
    assert seconds_of(Duration(seconds=60, nanos=500_000_000)) == 60.5
    assert seconds_of(None) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:01:00", 60), ("1.02:03:04.5", 93_784.5), ("00:00:00.8000000", 0.8), ("0:0:1", 1)],
)
def test_time_spans(text, seconds):
    """Time spans of .NET are read with days and fractions."""
    assert parse_timespan(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "60", "1:2", "00:60:00", "24:00:00", "-00:00:01", "a:b:c"])
def test_what_is_no_time_span(text):
    """What .NET would refuse is refused."""
    with pytest.raises(ValueError, match="no time span"):
        parse_timespan(text)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"version": "1.0"}, 'host.json: version must be the text "2.0", found "1.0".'),
        (
            {"extensions": {"eventHubs": {"maxEventBatchSize": 0}}},
            "extensions.eventHubs.maxEventBatchSize must be",
        ),
        (
            {"extensions": {"eventHubs": {"maxEventBatchSize": 5, "minEventBatchSize": 6}}},
            "minEventBatchSize must be no larger than maxEventBatchSize (5), found 6.",
        ),
        ({"extensions": {"eventHubs": {"maxWaitTime": "00:11:00"}}}, "maxWaitTime must be a time span"),
        (
            {"extensions": {"eventHubs": {"batchCheckpointFrequency": 0}}},
            "batchCheckpointFrequency must be a whole number of at least 1, found 0",
        ),
        (
            {"extensions": {"eventHubs": {"initialOffsetOptions": {"type": "late"}}}},
            "one of fromStart, fromEnd",
        ),
        (
            {"extensions": {"eventHubs": {"initialOffsetOptions": {"type": "fromEnqueuedTime"}}}},
            "initialOffsetOptions.enqueuedTimeUtc must be an ISO time",
        ),
        (
            {"extensions": {"queues": {"batchSize": 33}}},
            "batchSize must be a whole number from 1 to 32, found 33.",
        ),
        (
            {"extensions": {"queues": {"messageEncoding": "hex"}}},
            "messageEncoding must be one of base64, none",
        ),
        (
            {"extensions": {"queues": {"visibilityTimeout": 30}}},
            "visibilityTimeout must be a time span hh:mm:ss",
        ),
        ({"functionTimeout": "soon"}, "functionTimeout must be a time span"),
        ({"logging": {"logLevel": {"default": "loud"}}}, "logging.logLevel.default must be one of Trace"),
        ({"extensions": []}, "host.json: extensions must be an object, found []."),
    ],
)
def test_host_json_mistakes_are_named(tmp_path, document, said):
    """Each value that the real host refuses is named with its path, what was found and what is expected."""
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0", **document}))
    with pytest.raises(ConfigurationError) as caught:
        load_host_json(tmp_path)
    assert said in str(caught.value)


def test_hole_51_a_checkpoint_after_several_batches_is_refused(tmp_path):
    """Hole 51: batchCheckpointFrequency above 1 loses events on the real host, and is refused with the reason."""
    document = {"version": "2.0", "extensions": {"eventHubs": {"batchCheckpointFrequency": 3}}}
    (tmp_path / "host.json").write_text(json.dumps(document))
    with pytest.raises(ConfigurationError) as caught:
        load_host_json(tmp_path)
    assert str(caught.value) == (
        "host.json: extensions.eventHubs.batchCheckpointFrequency must be 1, found 3: above 1 the real host "
        "checkpoints the last batch whenever it stops, even one that failed or was cancelled, and its events are "
        "lost."
    )


def test_hole_50_a_receive_returns_what_the_real_client_has_ready():
    """Hole 50: of 1,000 events waiting, the sizes that were measured with the real listener."""

    def sizes(largest: int, prefetch: int) -> list[int]:
        credit, left, found = Credit(prefetch or None), 1_000, []
        while left:
            found.append(min(left, credit.allow(largest)))
            credit.spend(found[-1])
            left -= found[-1]
        return found

    assert sizes(100, 300) == [100] * 10
    assert sizes(256, 300) == [256, 244, 256, 244]
    assert sizes(1_000, 300) == [300, 300, 300, 100]
    assert sizes(1_000, 0) == sizes(1_000, 2_000) == [1_000]
    assert sizes(10, 1) == [1] * 1_000


def test_comments_in_host_json_are_told(tmp_path):
    """The real host takes them; this one says where they are, and what to do."""
    (tmp_path / "host.json").write_text('{\n  // ours\n  "version": "2.0"\n}')
    with pytest.raises(
        ConfigurationError, match=r"host\.json cannot be read as JSON: .* line 2 .* take them out"
    ):
        load_host_json(tmp_path)


def test_host_json_defaults_and_case(tmp_path):
    """Defaults are the real host's; keys ignore case; -1 is no time-out."""
    (tmp_path / "host.json").write_text(
        '{"version": "2.0", "FunctionTimeout": "-1", "extensions": {"EVENTHUBS": {"PrefetchCount": 9}}}'
    )
    options = load_host_json(tmp_path)
    hubs, queues = options.event_hubs, options.queues
    assert (options.function_timeout, hubs.prefetch_count, options.route_prefix) == (None, 9, "api")
    assert (hubs.max_event_batch_size, hubs.min_event_batch_size) == (100, 1)
    assert (hubs.load_balancing_update_interval, hubs.partition_ownership_expiration_interval) == (30, 120)
    assert (queues.batch_size, queues.new_batch_threshold, queues.max_dequeue_count) == (16, 8, 5)
    assert (queues.visibility_timeout, queues.message_encoding) == (0, "base64")


def test_settings_precedence_and_resolution(tmp_path):
    """The environment wins whatever the case of names; %NAME% resolves; what is missing or wrong is named."""
    (tmp_path / "local.settings.json").write_text(
        json.dumps({"Values": {"hub": "file", "Only": "file", "Empty": ""}})
    )
    settings = AppSettings.load(
        tmp_path, None, {"HUB": "environment", "AzureWebJobsSTORE": "prefixed", "ID__x": "y"}
    )
    assert settings.resolve("a-%Hub%-%ONLY%", "it") == "a-environment-file"
    assert settings.as_environment() == {
        "HUB": "environment",
        "Only": "file",
        "Empty": "",
        "AzureWebJobsSTORE": "prefixed",
        "ID__x": "y",
    }
    assert settings.connection("STORE", "it") == "prefixed"
    with pytest.raises(
        ConfigurationError, match="The setting Empty is missing or empty: it asks for %Empty%"
    ):
        settings.resolve("%Empty%", "it")
    with pytest.raises(ConfigurationError, match="is given by identity"):
        settings.connection("ID", "it")
    (tmp_path / "local.settings.json").write_text(json.dumps({"Values": {"COUNT": 5}}))
    with pytest.raises(ConfigurationError, match=r"The setting COUNT in .* must be a text"):
        AppSettings.load(tmp_path, None, {})


def http_function(route: str, methods: list[str] | None = None) -> Function:
    """Return an HTTP function of this route."""
    trigger = Binding("httpTrigger", "req", "IN", {"route": route, "methods": methods})
    return Function(route, route, trigger, (), None)


def test_routes():
    """Parameters, constraints, optional and catch-all parts; literals win; 404 and 405 are told apart."""
    templates = ["a/{x}", "a/b", "n/{id:int}", "o/{x?}", "f/{*path}", "m/{name}.{ext}"]
    router = Router(
        compile_route(http_function(t, ["GET"] if t == "a/b" else None), "api") for t in templates
    )

    def found(path: str, method: str = "GET"):
        match = router.find(method, path)
        return match if isinstance(match, int) else (match[0].function.name, match[1])

    assert found("/api/a/b") == ("a/b", {})
    assert found("/api/a/z%2Fy") == ("a/{x}", {"x": "z/y"})
    assert found("/api/n/12") == ("n/{id:int}", {"id": "12"})
    assert found("/api/n/x") == 404
    assert found("/api/o") == ("o/{x?}", {})
    assert found("/api/f/p/q.txt") == ("f/{*path}", {"path": "p/q.txt"})
    assert found("/api/m/file.txt") == ("m/{name}.{ext}", {"name": "file", "ext": "txt"})
    assert Router([compile_route(http_function("a/b", ["GET"]), "")]).find("POST", "/a/b") == 405
    with pytest.raises(ConfigurationError, match="constraint 'odd'"):
        compile_route(http_function("{x:odd}"), "api")


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("*/10 * * * * *", "2026-08-22T10:11:20"),
        ("0 */5 * * * *", "2026-08-22T10:15:00"),
        ("*/5 * * * *", "2026-08-22T10:15:00"),
        ("0 0 3 * * 0", "2026-08-23T03:00:00"),
        ("0 0 9 1-7 * Mon", "2026-09-07T09:00:00"),
        ("0 0 9 1 * 1", "2027-02-01T09:00:00"),
        ("0 0 17-9 * September wed", "2026-09-02T09:00:00"),
        ("0 5/20 10 * * *", "2026-08-22T10:25:00"),
        ("00:00:30", "2026-08-22T10:11:43"),
    ],
)
def test_schedules(schedule, following):
    """NCRONTAB with seconds first or with five fields, days that match twice, full names; time spans; always UTC."""
    after = datetime(2026, 8, 22, 10, 11, 13, tzinfo=UTC)
    assert parse_schedule(schedule, "f")(after) == datetime.fromisoformat(following).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "schedule",
    [
        *("", "* * *", "61 * * * * *", "soon", "00:00:00", ", * * * * *", "0 0 0 31 2 *"),
        *("0 0 0 L * *", "0 0 0 ? * *", "0 0 0 * * 7", "0 0 0 * * 1#1", "@daily", "H 0 * * *"),
    ],
)
def test_what_is_no_schedule(schedule):
    """What the real host would not index, such as forms that only other crons know, is refused in a sentence."""
    with pytest.raises(ConfigurationError, match="The schedule of function f must be"):
        parse_schedule(schedule, "f")


@given(st.integers(0, 4_000_000_000_000))
def test_times_are_written_as_json_net_writes_them(milliseconds):
    """No zone, no zeros at the end of the fraction, the same moment."""
    text = time_text(milliseconds)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert datetime.fromisoformat(text) == moment.replace(tzinfo=None)
    assert not ("." in text and text.endswith("0"))


def decoded(trigger):
    """Return what the worker library's converter makes of trigger data."""

    def datum(kind, value):
        from types import SimpleNamespace

        field = {
            "collection_bytes": "bytes",
            "collection_string": "string",
            "collection_sint64": "sint64",
        }.get(kind)
        return Datum(SimpleNamespace(**{field: value}) if field else value, kind)

    ((_, kind, value),) = trigger.inputs
    metadata = {name: datum(*rest) for name, *rest in trigger.metadata}
    return EventHubTriggerConverter.decode(datum(kind, value), trigger_metadata=metadata)


def test_binary_batches_keep_every_body():
    """BINARY: bodies byte for byte, empty ones too; missing partition keys leave the others where they are."""
    events = [event(b"\x00\xff", 1), event(b"", 2, None), event(b"x", 3, 'q"\\é')]
    trigger = build_many(events, "events", "BINARY", SOURCE)
    got = decoded(trigger)
    assert [e.get_body() for e in got] == [b"\x00\xff", b"", b"x"]
    assert [(e.sequence_number, e.partition_key) for e in got] == [(1, "k"), (2, None), (3, 'q"\\é')]
    assert [str(e.offset) for e in got] == ["100", "200", "300"]
    assert got[0].enqueued_time == datetime(2026, 8, 22, 10, 31, 12, 345_000)  # noqa: DTZ001 - naive, as on the real host
    metadata = {name: value for name, _, value in trigger.metadata}
    assert metadata["PartitionKeyArray"] == ["k", 'q"\\é']
    assert json.loads(metadata["PropertiesArray"]) == [{"a": 1, "b": "two"}] * 3
    assert json.loads(metadata["PartitionContext"])["PartitionId"] == "3"


@pytest.mark.parametrize("data_type", ["BINARY", "STRING", ""])
def test_hole_50_a_body_that_is_no_bytes_fails_its_batch(data_type):
    """Hole 50: an AMQP value or sequence cannot be bound, whatever the type of data, nor can its neighbours."""
    said = "the body of event 9 is an AMQP value or sequence"
    with pytest.raises(BindingFailedError, match=said):
        build_many([event(b"1", 8), event(None, 9)], "events", data_type, SOURCE)
    with pytest.raises(BindingFailedError, match=said):
        build_one(event(None, 9), "events", data_type, SOURCE)


def test_properties_that_no_json_number_can_hold_are_texts():
    """NaN and the infinities arrive as Json.NET writes them, in quotation marks."""
    odd = {"nan": float("nan"), "high": float("inf"), "low": [float("-inf")], "number": 1.5}
    (metadata,) = (
        value
        for name, _, value in build_many(
            [replace(event(b""), properties=odd)], "e", "BINARY", SOURCE
        ).metadata
        if name == "PropertiesArray"
    )
    assert json.loads(metadata, parse_constant=pytest.fail) == [
        {"nan": "NaN", "high": "Infinity", "low": ["-Infinity"], "number": 1.5}
    ]


def test_text_batches_drop_empty_bodies_and_fail():
    """STRING: an empty body is dropped by the host, so that the library finds counts that differ and fails the batch."""
    assert [e.get_body() for e in decoded(build_many([event(b"a"), event(b"b")], "e", "STRING", SOURCE))] == [
        b"a",
        b"b",
    ]
    with pytest.raises(AssertionError, match="mismatched"):
        decoded(build_many([event(b"a"), event(b"")], "e", "STRING", SOURCE))


def test_json_batches_rewrite_numbers_and_refuse_what_is_no_json():
    """Unset data type: bodies go through JSON, 1.50 comes out as 1.5, and one that is no JSON fails the batch."""
    trigger = build_many([event(b'{"a": 1.50}'), event(b"[1]")], "e", "", SOURCE)
    assert trigger.inputs[0][1:] == ("json", '[{"a": 1.5},[1]]')
    for body in (b"no", b"[" * 100_000):
        with pytest.raises(BindingFailedError, match="event 9 is not JSON"):
            build_many([event(b"{}"), event(body, 9)], "e", "", SOURCE)


def test_single_events():
    """Cardinality one: one event with its own metadata."""
    got = decoded(build_one(event(b"\xff"), "e", "BINARY", SOURCE))
    assert (got.get_body(), got.sequence_number, got.partition_key) == (b"\xff", 7, "k")


@given(st.binary(max_size=300))
def test_queue_bodies_survive_base64(body):
    """What is encoded comes back byte for byte."""
    assert decode(encode(body, "base64"), "base64") == body


@pytest.mark.parametrize("text", ["not base64!", "abc", "YQ", "YQ==\n x"])
def test_what_is_not_base64_is_told(text):
    """Text that .NET would not decode is not decoded; white space it passes over."""
    assert decode(" YQ=\r\n=\t", "base64") == b"a"
    with pytest.raises(NotBase64Error):
        decode(text, "base64")
