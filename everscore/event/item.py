"""An event with all that is known of it: its source, what finished stages made of it, what stopped it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from everscore.event.scores import Scores
from everscore.failures import Stage

_TEXT_LIMIT = 1_000
_HISTORY_LIMIT = 20
_SECOND = len("2026-11-25T10:11:12")

# What every reader of a message can hold.
type Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
type Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Place(NamedTuple):
    """What tells an event of a hub from every other: all parts of its `Source` that are needed for that.

    Attributes:
        hub: its name, in lower case: Event Hubs takes it in any.
        partition: its id.
        sequence_number: within the partition.
        enqueued: see `Source.enqueued_second`.
    """

    hub: str
    partition: str
    sequence_number: int
    enqueued: str


class Source(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where an event came from; any part may be unknown.

    Attributes:
        namespace: host name of the Event Hubs namespace.
        hub: name of the hub.
        partition: its id.
        sequence_number: within the partition.
        offset: within the partition, a text.
        enqueued_at: ISO-8601, UTC, milliseconds; out of an archive of the hub, seconds.
        index: of the record within the event's body.
    """

    namespace: str | None = None
    hub: str | None = None
    partition: str | None = None
    sequence_number: Number | None = None
    offset: str | None = None
    enqueued_at: str | None = None
    index: Count = 0

    @property
    def enqueued_second(self) -> str | None:
        """``2026-11-25T10:11:12``: the time of enqueuing as an archive of the hub keeps it, for comparing."""
        return self.enqueued_at[:_SECOND] if self.enqueued_at else None

    @property
    def place(self) -> Place | None:
        """Where the event lies in the world's hubs; None unless every part of it is known.

        A part that is missing would make two events one: partitions count alike, and a hub made anew counts
        from 0 again.
        """
        enqueued = self.enqueued_second
        if not self.hub or not self.partition or self.sequence_number is None or not enqueued:
            return None
        return Place(self.hub.lower(), self.partition, self.sequence_number, enqueued)


class Step(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One earlier failure of an item.

    Attributes:
        at: when it was last met.
        stage, reason: what it was.
    """

    at: str
    stage: str
    reason: str


class Braked(msgspec.Struct, frozen=True, rename="camel"):
    """Why an item waits whose failure is one for the dead letters: the configuration is held to be wrong.

    Attributes:
        at: since when; BRAKE_HOURS count from here.
        configuration: hash of the one that is at fault; empty where it is not known.
    """

    at: str
    configuration: str


class Item(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """One event with what finished stages made of it and what kept it from being stored.

    Attributes:
        body: the exact bytes: of the event, or of the one record where ``unwrapped``.
        blob: name of the claim-check blob that holds body, properties and system properties, when too large.
        blob_size: its bytes, where they are known.
        kind: an event; an outcome, which names its event; or a message of the retry queue that this release
            cannot read, whole, as a body.
        unwrapped: the body is one record, taken out of an event that held several.
        record_index: of a body that only an own decoder reads, the item is the record in this place alone:
            one that has no form in JSON, and so no bytes of its own.
        properties: the event's application properties.
        system: its system properties and annotations, content type among them.
        source: where it came from.
        id, pk, time: its identity and time, once validation passed.
        scores: by model, once all are finite.
        unscored: by model that is not required, why it gave no scores.
        shadow: what challengers said, by model and version; it decides nothing.
        etag: of the stored document, where all that is left to do is to publish it.
        stage, reason, field, exception: the last failure.
        failure_class: of the last failure.
        failed_at: when the last failure was met.
        attempts: times that it was tried.
        unexpected: times that it met an exception nobody foresaw.
        crashes: times that it is held to have killed the worker.
        braked: queued by the brake, since a configuration is taken to be at fault.
        first_failed_at: when it first failed.
        queued_at: when it entered the retry queue; its age counts from here.
        traceparent: W3C trace context of the invocation that first met it.
        history: earlier failures, oldest first, each stage and reason once, bounded.
        dead_letter: it is a dead letter that waits for the blobs to answer.
        letter: name of the dead letter that it was redriven from; removed once it has a new end.
    """

    body: bytes = b""
    blob: str | None = None
    blob_size: Count | None = None
    kind: Literal["event", "outcome", "message"] = "event"
    unwrapped: bool = False
    record_index: Count | None = None
    properties: dict[str, Any] | None = None
    system: dict[str, Any] | None = None
    source: Source = Source()
    id: str | None = None
    pk: str | None = None
    time: str | None = None
    scores: dict[str, Scores] | None = None
    unscored: dict[str, str] | None = None
    shadow: dict[str, dict[str, Any]] | None = None
    etag: str | None = None
    stage: str | None = None
    reason: str | None = None
    field: str | None = None
    exception: str | None = None
    failure_class: str | None = None
    failed_at: str | None = None
    attempts: Count = 0
    unexpected: Count = 0
    crashes: Count = 0
    braked: Braked | None = None
    first_failed_at: str | None = None
    queued_at: str | None = None
    traceparent: str | None = None
    history: list[Step] = []
    dead_letter: bool = False
    letter: str | None = None

    @property
    def is_pointer(self) -> bool:
        """Its body lies in a blob that was not read: alone, this item is not the event."""
        return self.blob is not None and not self.body

    def record(
        self, *, at: str, stage: Stage, reason: str, field: str | None, exception: str, failure_class: str
    ) -> None:
        """Note a failure as the last one; the one before it goes into the history."""
        if self.stage and self.reason and (self.stage, self.reason) != (stage, reason):
            step = Step(at=self.failed_at or at, stage=self.stage, reason=self.reason)
            # Two that alternate, as in an outage, would otherwise fill it, and push out all that came before.
            others = [each for each in self.history if (each.stage, each.reason) != (step.stage, step.reason)]
            self.history = [*others, step][-_HISTORY_LIMIT:]
        self.first_failed_at = self.first_failed_at or at
        self.failed_at = at
        self.stage, self.reason, self.field = str(stage), reason[:_TEXT_LIMIT], field
        self.exception, self.failure_class = exception[:_TEXT_LIMIT] or None, failure_class
