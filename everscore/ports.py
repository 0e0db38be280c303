"""What the pipeline needs of the outside world: small interfaces that the adapters fill.

Every method raises only the failures of everscore.failures, and ends within its own time-out and within the
deadline of the step that calls it (``everscore.clock.deadline.within``), whatever the service does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from everscore.event.item import Source
from everscore.failures import EverscoreError, Failure

type Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """One operation of a transactional batch: create, or replace where an ETag is given."""

    document: Document
    etag: str | None = None


class WriteRefusedError(EverscoreError):
    """A transactional batch was refused; nothing of it was written.

    Attributes:
        failure: why.
        index: the guilty operation, or None where the request as a whole was refused.
    """

    def __init__(self, failure: Failure, index: int | None) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.index = index


class DocumentStore(Protocol):
    """The store of scored events."""

    async def write(self, pk: str, writes: Sequence[Write]) -> float:
        """Write all or nothing, at most 100, all with this partition key; returns request units.

        Raises:
            WriteRefusedError: nothing was written, or (a transient failure) the outcome is unknown.
        """
        ...

    async def read(self, pk: str, ids: Sequence[str]) -> dict[str, Document]:
        """The documents with these ids: of each, where it is there, what a newer version must know of it.

        That is id, _etag, time, source, fingerprint, scores, shadow, earlierScores and outcome.

        Raises:
            Failure: they could not be read.
        """
        ...


class RetryQueue(Protocol):
    """The queue of events that wait for another try."""

    async def send(self, message: bytes, delay: float) -> None:
        """Put a message that appears after ``delay`` seconds and never expires.

        Raises:
            Failure: it may not be in the queue.
        """
        ...


@dataclass(frozen=True, slots=True)
class HubEvent:
    """An event as it lies in the hub."""

    body: bytes
    properties: dict[str, Any]
    source: Source


class Hub(Protocol):
    """The hub, read beside the trigger."""

    async def fetch(self, source: Source) -> HubEvent | None:
        """The event with that source; None where the hub no longer holds it.

        Raises:
            Failure: the hub cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class PoisonMessage:
    """A message of the poison queue, its text as it lies there."""

    id: str
    text: str
    receipt: str
    inserted_at: str


class PoisonQueue(Protocol):
    """The queue that the Functions host moves messages to when it gives up on them."""

    async def receive(self) -> list[PoisonMessage]:
        """The next messages, hidden for some minutes; none when it is empty.

        Raises:
            Failure: it could not be read.
        """
        ...

    async def delete(self, message: PoisonMessage) -> None:
        """Take a message out for good.

        Raises:
            Failure: it may still be there.
        """
        ...

    async def release(self, message: PoisonMessage) -> None:
        """Let a message appear again in time for the next run, not only after some minutes.

        Raises:
            Failure: it stays hidden until then.
        """
        ...


class Blobs(Protocol):
    """Dead letters, claim checks and status, each in its container."""

    async def put_dead_letter(self, name: str, data: bytes, metadata: Mapping[str, str]) -> None:
        """Write or overwrite a dead letter.

        Raises:
            Failure: it may not be there.
        """
        ...

    async def delete_dead_letter(self, name: str) -> None:
        """Remove a dead letter; one that is gone already is no failure.

        Raises:
            Failure: it may still be there.
        """
        ...

    async def put_claim_check(self, name: str, data: bytes) -> None:
        """Write a claim-check blob.

        Raises:
            Failure: it may not be there.
        """
        ...

    async def get_claim_check(self, name: str) -> bytes | None:
        """Read a claim-check blob; None when it is gone.

        Raises:
            Failure: it could not be read.
        """
        ...

    async def put_status(self, name: str, data: bytes) -> None:
        """Write or overwrite a status blob.

        Raises:
            Failure: it may not be there.
        """
        ...

    async def get_status(self, name: str) -> bytes | None:
        """Read a status blob; None when there is none.

        Raises:
            Failure: it could not be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What a blob holds, and its ETag."""

    data: bytes
    etag: str


class VerdictBlobs(Protocol):
    """Verdicts on configurations, one blob each."""

    async def get_verdict(self, configuration: str) -> StoredBlob | None:
        """Read a configuration's verdict; None when there is none.

        Raises:
            Failure: it could not be read.
        """
        ...

    async def put_verdict(self, configuration: str, data: bytes, etag: str | None) -> None:
        """Write a verdict over the one with that ETag; None: where there is none yet.

        Raises:
            Conflict: another was written meanwhile.
            Failure: it may not be there.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message seen in a queue without being taken: its text as it lies there, and when it was sent."""

    text: str
    inserted_at: str


class QueueDepth(Protocol):
    """How much is in a queue."""

    async def depth(self) -> int:
        """About how many messages there are, the hidden ones included.

        Raises:
            Failure: it cannot be read.
        """
        ...


class RetryBacklog(QueueDepth, Protocol):
    """The retry queue, looked at."""

    async def peek(self) -> list[QueuedMessage]:
        """The messages at its head that are due, 32 at most; those that wait for their time are not seen.

        Raises:
            Failure: they cannot be read.
        """
        ...


class PartitionRange(Protocol):
    """What a partition of the hub holds: sequence numbers of its oldest and newest event."""

    @property
    def first(self) -> int:
        """Of the oldest."""

    @property
    def last(self) -> int:
        """Of the newest."""

    @property
    def is_empty(self) -> bool:
        """Whether there is neither."""


class HubRanges(Protocol):
    """What the hub holds."""

    async def partitions(self) -> Mapping[str, PartitionRange]:
        """Every partition by its id.

        Raises:
            Failure: the hub cannot be reached.
        """
        ...


class Checkpoints(Protocol):
    """How far the Functions host has come."""

    async def read(self) -> Mapping[str, int]:
        """Sequence number of the last event passed, by partition; those without a checkpoint are missing.

        Raises:
            EverscoreError: they cannot be read.
        """
        ...
