"""Why an event was not stored, and what follows from it.

The tree, by what the pipeline does with an event that meets it:

    EverscoreError
    ├── SettingError              a start-up mistake: names the setting, what was found, what is expected
    ├── ManifestError             stream.json or a model's manifest is wrong: all mistakes at once
    └── Failure                   one event's, with its stage
        ├── Permanent             can never succeed             → dead letters, at once
        └── Retryable             may succeed later             → retry queue
            ├── Throttled         the service says: slower      → wait in process, then the retry queue
            ├── Transient         outages, time-outs            → retry queue, with back-off
            │   ├── PartitionTransient  of one partition alone  → likewise, and the others go on
            │   ├── OutOfTime     our own time was used up      → likewise; it says nothing of the service
        │   └── Overdue       its batch took too long       → likewise, one event a message
            ├── Configuration     a role or a name is missing   → retry queue, loud
            ├── Conflict          another writer was faster     → compare again, then the retry queue
            └── Unexpected        nobody foresaw it             → retry queue, dead letters after 3 tries

A failure of a whole call (a request, a batch) carries no event: the caller spreads it over the events
of that call. No message holds a payload; what looks like a secret is masked, since some of them quote others.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf
from typing import ClassVar

from everscore.quoting import masked, quote, writable


class Stage(StrEnum):
    """Where in the pipeline a failure happened."""

    DECODE = "decode"
    VALIDATE = "validate"
    SCORE = "score"
    STORE = "store"
    RETRY = "retry"


class FailureClass(StrEnum):
    """The classes of failure, as envelopes, dead letters and metrics name them."""

    THROTTLED = "throttled"
    TRANSIENT = "transient"
    CONFIGURATION = "configuration"
    CONFLICT = "conflict"
    PERMANENT = "permanent"
    UNEXPECTED = "unexpected"


class EverscoreError(Exception):
    """Everything this project raises on purpose."""


class SettingError(EverscoreError):
    """A setting is missing or wrong. The message names it, what was found and what is expected."""


class ManifestError(EverscoreError):
    """A manifest (stream.json or a model's) is missing or wrong. The message lists every mistake."""


class Failure(EverscoreError):  # noqa: N818 - a failure is what it is; the subclasses say which
    """What kept one event from being stored.

    Attributes:
        stage: where it happened.
        reason: a short, stable phrase for grouping, such as ``empty body``.
        detail: one sentence for a person: what was found and what to do.
        field: the JSON Pointer, input or header concerned, or None.
        retry_after: seconds that the service asked to wait, finite and not negative, or None.
    """

    failure_class: ClassVar[FailureClass]

    def __init__(
        self,
        stage: Stage,
        reason: str,
        detail: str = "",
        *,
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        # A field's name, a decoder's reason: whoever wrote them may have written anything.
        reason, detail = writable(reason), masked(writable(detail))
        super().__init__(reason, detail)
        self.stage = stage
        self.reason = reason
        self.detail = detail
        self.field = None if field is None else writable(field)
        # A number out of a header may be anything; what is no wait is no hint.
        self.retry_after = retry_after if retry_after is not None and 0 <= retry_after < inf else None

    def __str__(self) -> str:
        where = f" [{self.field}]" if self.field else ""
        text = f": {self.detail}" if self.detail else ""
        return f"{self.stage}: {self.reason}{where}{text}"


class Permanent(Failure):
    """Can never succeed, however often it is tried."""

    failure_class = FailureClass.PERMANENT


class Retryable(Failure):
    """May succeed later."""


class Throttled(Retryable):
    """The service asks for a slower pace."""

    failure_class = FailureClass.THROTTLED


class Transient(Retryable):
    """An outage, a time-out, a missing model: also when the outcome of a write is unknown."""

    failure_class = FailureClass.TRANSIENT


class PartitionTransient(Transient):
    """One partition of the store cannot answer now: it moves, or lags behind. The others may well."""


class Overdue(Transient):
    """Own code or the model took all of the time that its batch had: the event goes on alone."""


class OutOfTime(Transient):
    """Our own time ended before that of the request: it says nothing of the service that was asked."""


class Configuration(Retryable):
    """A role, a database or a container is missing; retried, since an operator can fix it."""

    failure_class = FailureClass.CONFIGURATION


class Conflict(Retryable):
    """Another writer was faster."""

    failure_class = FailureClass.CONFLICT


class Unexpected(Retryable):
    """An exception that nobody foresaw, narrowed down to the event that causes it."""

    failure_class = FailureClass.UNEXPECTED


def unexpected(stage: Stage, error: BaseException) -> Unexpected:
    """The failure of an event that met an exception nobody foresaw."""
    failure = Unexpected(stage, f"unexpected {type(error).__name__}", quote(str(error)))
    failure.__cause__ = error
    return failure


def describe(error: BaseException) -> str:
    """What a log or a report says of any exception: a sentence of our own whole, any other one quoted."""
    if isinstance(error, EverscoreError):
        return masked(writable(str(error)))
    text = quote(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
