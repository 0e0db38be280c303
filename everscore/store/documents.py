"""The stored document (schema 2): how it is built, when it gives way, and the sizes that the service sets."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec

from everscore.event import storable
from everscore.event.event import Event
from everscore.event.item import Item, Source, Step
from everscore.event.order import Version, supersedes
from everscore.event.scores import Scores
from everscore.failures import EverscoreError
from everscore.ports import Document

SCHEMA = 2
# Failures that a document shows, the last ones.
_HISTORY = 10
# What belongs to the id, whichever version of its event is stored.
_OF_THE_ID = ("outcome",)
# What was made of the content, which a repeat of that content does not make again.
_OF_THE_CONTENT = ("scores", "shadow", "earlierScores")
# What must be read of a document before it is replaced.
READ = ("id", "_etag", "time", "source", "fingerprint", *_OF_THE_ID, *_OF_THE_CONTENT)
# UTF-8 length of the JSON.
ITEM_LIMIT = storable.SIZE_LIMIT
# The service adds its own properties to an item; this much is left for them.
_ROOM = 2_048
# The documented 2 MB of a transactional batch and the SDK's own README (1.2 MB) disagree: stay below both.
BATCH_BYTES = 1_100_000
BATCH_OPERATIONS = 100


class ForeignDocumentError(EverscoreError):
    """A document is none of this pipeline's: it is never overwritten, and settles nothing."""


def build(event: Event, scores: dict[str, Scores], stored_at: str) -> Document:
    """The document of an event.

    Args:
        event: decoded and identified.
        scores: by model.
        stored_at: ISO-8601, UTC, milliseconds.
    """
    item = event.item
    pipeline: Document = {"storedAt": stored_at, "attempts": item.attempts + 1}
    if item.traceparent:
        pipeline["traceparent"] = item.traceparent
    if item.stage:
        pipeline["history"] = _history(item)
    if item.first_failed_at:
        pipeline["firstFailedAt"] = item.first_failed_at
    key, payload = event.key, event.payload
    if event.long_integers:
        key, _ = storable.spell_long_integers(key)
        payload, text_numbers = storable.spell_long_integers(payload)
        if text_numbers:
            pipeline["textNumbers"] = text_numbers
    return {
        "schema": SCHEMA,
        "id": item.id,
        "pk": item.pk,
        "key": key,
        "time": item.time,
        "event": payload,
        "scores": {model: _scores(score) for model, score in scores.items()} | _unscored(item),
        "fingerprint": event.fingerprint,
        "source": source_document(item.source),
        "pipeline": pipeline,
    }


def _unscored(item: Item) -> Document:
    """What stands in place of the scores of models that are not required and gave none."""
    return {model: {"error": reason} for model, reason in (item.unscored or {}).items()}


def _history(item: Item) -> list[Document]:
    """What kept an event from being stored at once, oldest first, the last failure included."""
    last = Step(at=item.failed_at or "", stage=item.stage or "", reason=item.reason or "")
    steps = [*item.history, last][-_HISTORY:]
    return [{"at": step.at, "stage": step.stage, "reason": step.reason} for step in steps]


def in_place_of(existing: Document, document: Document) -> Document:
    """What is written where a newer version of an event replaces an older one.

    Args:
        existing: with the fields of ``READ``, as it was read; of this schema or an older one.
        document: of the newer version, as it was built.
    """
    kept: tuple[str, ...] = _OF_THE_ID
    if existing.get("fingerprint") == document["fingerprint"] and existing.get("scores"):
        # The same content again, later: only time and source move forward.
        kept += _OF_THE_CONTENT
    return {**document, **{name: existing[name] for name in kept if name in existing}}


def _scores(scores: Scores) -> Document:
    return {
        "version": scores.version,
        "sha256": scores.sha256,
        "label": scores.label,
        "value": scores.value,
        "values": scores.values,
    }


def source_document(source: Source) -> Document:
    """A source as the document holds it, unknown parts included."""
    return {
        "namespace": source.namespace,
        "hub": source.hub,
        "partition": source.partition,
        "sequenceNumber": source.sequence_number,
        "offset": source.offset,
        "enqueuedAt": source.enqueued_at,
        "index": source.index,
    }


def gives_way(document: Document, version: Version, clock_ahead: timedelta) -> bool:
    """Whether storing a version of a document's id would replace the document.

    Args:
        document: with ``time``, ``source`` and ``fingerprint``, as it was read.
        version: of the same id.
        clock_ahead: see `everscore.event.order.believed_time`.

    Raises:
        ForeignDocumentError: these fields are missing there, or are no such fields.
    """
    if not document.get("fingerprint") or not document.get("source"):
        raise ForeignDocumentError("it has no fingerprint or source")
    try:
        source = msgspec.convert(document["source"], Source)
        time = msgspec.convert(document.get("time"), str | None)
    except msgspec.ValidationError as error:
        raise ForeignDocumentError(str(error)) from error
    return supersedes(version, Version(time, source), clock_ahead)


_encoder = msgspec.json.Encoder()


def size(document: Document) -> int:
    """Bytes of a document as it is sent: compact JSON in UTF-8, lone surrogates escaped."""
    try:
        return len(_encoder.encode(document))
    except UnicodeEncodeError:  # a lone surrogate somewhere: the escaped form is an upper bound
        return len(json.dumps(document, separators=(",", ":"), allow_nan=False))


def too_large(length: int) -> bool:
    """Whether the service would refuse an item of this many bytes."""
    return length > ITEM_LIMIT - _ROOM
