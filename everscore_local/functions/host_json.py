"""host.json: defaults of the real host, and a sentence for every value that it refuses or loses events by.

Keys are case-insensitive. Sections and keys that concern only other triggers are ignored, as the real host
does. Defaults: EventHubOptions.cs (extension 6.x) and QueuesOptions.cs (5.x).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .durations import parse_timespan
from .errors import ConfigurationError
from .json_file import read_json

_FREQUENCY = (
    "above 1 the real host checkpoints the last batch whenever it stops, even one that failed or was "
    "cancelled, and its events are lost"
)


@dataclass(frozen=True, slots=True)
class EventHubsOptions:
    """``extensions.eventHubs``; times in seconds."""

    max_event_batch_size: int = 100
    min_event_batch_size: int = 1
    max_wait_time: float = 60.0
    enable_checkpointing: bool = True
    prefetch_count: int = 300
    prefetch_size_in_bytes: int | None = None
    initial_offset: str = "fromStart"
    initial_enqueued_time: datetime | None = None
    load_balancing_update_interval: float = 30.0
    partition_ownership_expiration_interval: float = 120.0


@dataclass(frozen=True, slots=True)
class QueuesOptions:
    """``extensions.queues``; times in seconds."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    # Core Tools lowers the default of one minute to two seconds.
    max_polling_interval: float = 2.0
    visibility_timeout: float = 0.0
    max_dequeue_count: int = 5
    message_encoding: str = "base64"


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What this host reads of host.json; times in seconds, ``function_timeout`` None for no limit."""

    function_timeout: float | None = 1_800.0
    route_prefix: str = "api"
    log_levels: Mapping[str, str] = field(default_factory=dict)
    event_hubs: EventHubsOptions = field(default_factory=EventHubsOptions)
    queues: QueuesOptions = field(default_factory=QueuesOptions)


class _Section:
    """One object of host.json, read key by key; every complaint names the full path of the key."""

    def __init__(self, path: str, content: Any) -> None:
        if content is None:
            content = {}
        if not isinstance(content, dict):
            raise ConfigurationError(
                f"host.json: {path or 'the file'} must be an object, found {_show(content)}."
            )
        self._path = path
        self._content = {str(name).casefold(): value for name, value in content.items()}

    def _name(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def wrong(self, key: str, expected: str, why: str = "") -> ConfigurationError:
        found = _show(self._content.get(key.casefold())) + (f": {why}" if why else "")
        return ConfigurationError(f"host.json: {self._name(key)} must be {expected}, found {found}.")

    def raw(self, key: str) -> Any:
        return self._content.get(key.casefold())

    def section(self, key: str) -> "_Section":
        return _Section(self._name(key), self.raw(key))

    def integer(self, key: str, default: int, low: int, high: int | None = None) -> int:
        value = self.raw(key)
        if value is None:
            return default
        expected = f"a whole number from {low} to {high}" if high else f"a whole number of at least {low}"
        if isinstance(value, bool) or not isinstance(value, int) or value < low or (high and value > high):
            raise self.wrong(key, expected)
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def span(self, key: str, default: float, low: float, high: float | None = None) -> float:
        value = self.raw(key)
        if value is None:
            return default
        limits = f" of at least {low:g} s" + (f" and at most {high:g} s" if high else "")
        try:
            seconds = parse_timespan(value)
        except (ValueError, AttributeError, TypeError):
            raise self.wrong(key, "a time span hh:mm:ss" + limits) from None
        if seconds < low or (high is not None and seconds > high):
            raise self.wrong(key, "a time span hh:mm:ss" + limits)
        return seconds

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.raw(key)
        if value is None:
            return default
        for name in choices:
            if isinstance(value, str) and value.casefold() == name.casefold():
                return name
        raise self.wrong(key, "one of " + ", ".join(choices))


def load_host_json(app_dir: Path) -> HostOptions:
    """Read host.json of an app.

    Raises:
        ConfigurationError: it is missing, not JSON, or holds a value that the real host refuses.
    """
    path = app_dir / "host.json"
    try:
        document = read_json(path)
    except FileNotFoundError:
        raise ConfigurationError(f"{app_dir} is no function app: it has no host.json.") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error
    except ValueError as error:
        raise ConfigurationError(
            f"{path} cannot be read as JSON: {error} (only the real host takes comments: take them out)."
        ) from error
    root = _Section("", document)
    if root.raw("version") != "2.0":
        raise root.wrong("version", 'the text "2.0"')
    extensions = root.section("extensions")
    return HostOptions(
        function_timeout=_function_timeout(root),
        route_prefix=_route_prefix(extensions.section("http")),
        log_levels=_log_levels(root.section("logging").section("logLevel")),
        event_hubs=_event_hubs(extensions.section("eventHubs")),
        queues=_queues(extensions.section("queues")),
    )


def _function_timeout(root: _Section) -> float | None:
    if str(root.raw("functionTimeout")) == "-1":
        return None
    return root.span("functionTimeout", 1_800.0, 1.0)


def _route_prefix(http: _Section) -> str:
    prefix = http.raw("routePrefix")
    if prefix is None:
        return "api"
    if not isinstance(prefix, str):
        raise http.wrong("routePrefix", "a text")
    return prefix.strip("/")


def _log_levels(section: _Section) -> dict[str, str]:
    levels = ("Trace", "Debug", "Information", "Warning", "Error", "Critical", "None")
    return {key: section.choice(key, levels, "Information") for key in section._content}


def _event_hubs(section: _Section) -> EventHubsOptions:
    largest = section.integer("maxEventBatchSize", 100, 1)
    smallest = section.integer("minEventBatchSize", 1, 1)
    if smallest > largest:
        raise section.wrong("minEventBatchSize", f"no larger than maxEventBatchSize ({largest})")
    offsets = section.section("initialOffsetOptions")
    kind = offsets.choice("type", ("fromStart", "fromEnd", "fromEnqueuedTime"), "fromStart")
    enqueued: datetime | None = None
    if kind == "fromEnqueuedTime":
        try:
            enqueued = datetime.fromisoformat(offsets.raw("enqueuedTimeUtc"))
        except (TypeError, ValueError):
            raise offsets.wrong("enqueuedTimeUtc", "an ISO time such as 2026-08-22T10:00:00Z") from None
        enqueued = enqueued if enqueued.tzinfo else enqueued.replace(tzinfo=UTC)
    if section.integer("batchCheckpointFrequency", 1, 1) > 1:
        raise section.wrong("batchCheckpointFrequency", "1", _FREQUENCY)
    interval = section.span("loadBalancingUpdateInterval", 30.0, 0.001)
    expiration = section.span("partitionOwnershipExpirationInterval", 120.0, 0.001)
    return EventHubsOptions(
        max_event_batch_size=largest,
        min_event_batch_size=smallest,
        max_wait_time=section.span("maxWaitTime", 60.0, 0.0, 600.0),
        enable_checkpointing=section.boolean("enableCheckpointing", default=True),
        prefetch_count=section.integer("prefetchCount", 300, 0),
        prefetch_size_in_bytes=section.integer("prefetchSizeInBytes", 0, 0) or None,
        initial_offset=kind,
        initial_enqueued_time=enqueued,
        load_balancing_update_interval=interval,
        partition_ownership_expiration_interval=expiration,
    )


def _queues(section: _Section) -> QueuesOptions:
    batch_size = section.integer("batchSize", 16, 1, 32)
    # The real host multiplies by the number of cores, which counts as one on Flex Consumption.
    threshold = section.integer("newBatchThreshold", batch_size // 2, 0)
    return QueuesOptions(
        batch_size=batch_size,
        new_batch_threshold=threshold,
        max_polling_interval=section.span("maxPollingInterval", 2.0, 0.1),
        visibility_timeout=section.span("visibilityTimeout", 0.0, 0.0, 7 * 86_400.0),
        max_dequeue_count=section.integer("maxDequeueCount", 5, 1),
        message_encoding=section.choice("messageEncoding", ("base64", "none"), "base64"),
    )


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
