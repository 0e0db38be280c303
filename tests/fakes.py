"""The outside world in memory: a store with real all-or-nothing and ETag semantics, a queue, blobs, a hub.

Each part has a switch ``refuses``: a failure (or any other exception) that every call then meets.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec

from everscore.clock import deadline, times
from everscore.clock.deadline import Deadline
from everscore.clock.holding import LAST_TRY
from everscore.decode.bodies import BodyLimits
from everscore.decode.decoder import Decoder
from everscore.decode.memory import Memory
from everscore.decode.own_decoder import Hook
from everscore.event.event import Event
from everscore.event.item import Item, Source
from everscore.event.scores import Scores
from everscore.event.stream import Stream
from everscore.event.stream_manifest import StreamManifest
from everscore.failures import Conflict, Failure, Permanent, Stage, Transient
from everscore.flow.brake import Brake
from everscore.flow.housekeeping import Housekeeping
from everscore.flow.limits import Limits, Patience
from everscore.flow.processing import Processing
from everscore.flow.retry_events import RetryEvents
from everscore.flow.score_events import RetryState, ScoreEvents
from everscore.ports import Document, HubEvent, PoisonMessage, StoredBlob, Write, WriteRefusedError
from everscore.retry.claim_checks import ClaimChecks, decode_item, restore
from everscore.retry.dead_letter import DeadLetter, decode_dead_letter
from everscore.retry.envelope import decode_envelope
from everscore.retry.placing import Placing
from everscore.score.used_models import ModelInUse
from everscore.store.breaker import State
from everscore.store.documents import READ
from everscore.store.writer import Writer
from everscore.watch.judging import WINDOW_BODIES, Verdict, Worker
from everscore.watch.judging import State as JudgedState
from everscore.watch.status import Status
from everscore.watch.summary import Summary
from everscore.watch.telemetry import Telemetry
from everscore.watch.verdicts import Judge, Verdicts, decode_verdict

ENDLESS = RetryState(endless=True)
NO_POLICY = RetryState(endless=False)
OUT = Transient(Stage.STORE, "out of reach")
# A field's value that makes an event too large for a message, since no compression helps it.
LARGE = base64.b64encode(random.Random(1).randbytes(45_000)).decode()


class Refusing:
    """Something that can be told to refuse; once the time of the step that asks is used up, it always does."""

    def __init__(self) -> None:
        self.refuses: Exception | None = None

    def check(self) -> None:
        if deadline.cut(1.0) <= 0.0:
            raise Transient(Stage.STORE, "no time left")
        if self.refuses is not None:
            # Raised again and again it would hold the frames of every raise.
            raise self.refuses.with_traceback(None)

    @contextmanager
    def refusing(self, failure: Exception = OUT) -> Iterator[None]:
        """Refuse everything while the context lasts."""
        self.refuses = failure
        try:
            yield
        finally:
            self.refuses = None


class FakeStore(Refusing):
    """Documents by (pk, id). A write is all or nothing; the first operation that fails is named.

    Attributes:
        judge: called before each write with its documents; may return a refusal, or change the store as
            another writer would.
        loses_answers: the next so many writes succeed, and their answer never arrives.
        batches: documents of each write that was tried.
        accepted: (pk, id) of each document that was written, in order, repeats included.
    """

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[tuple[str, str], Document] = {}
        self.judge: Callable[[str, Sequence[Document]], Exception | None] = lambda _pk, _documents: None
        self.loses_answers = 0
        self.batches: list[list[Document]] = []
        self.accepted: list[tuple[str, str]] = []
        self.reads = 0
        self._etag = 0

    def put(self, document: Document) -> None:
        """What another writer wrote."""
        self._etag += 1
        self.documents[document["pk"], document["id"]] = {**document, "_etag": f"e{self._etag}"}

    async def write(self, pk: str, writes: Sequence[Write]) -> float:
        await asyncio.sleep(0)
        documents = [json.loads(json.dumps(write.document, allow_nan=False)) for write in writes]
        self.batches.append(documents)
        if isinstance(self.refuses, Failure):
            raise WriteRefusedError(self.refuses, None)
        self.check()
        if refusal := self.judge(pk, documents):
            raise refusal
        if not 1 <= len(writes) <= 100:
            raise WriteRefusedError(Permanent(Stage.STORE, "refused by the store", "operations"), None)
        before = copy.copy(self.documents)
        for index, (write, document) in enumerate(zip(writes, documents, strict=True)):
            assert document["pk"] == pk, "a document of another partition key"
            existing = self.documents.get((pk, document["id"]))
            problem: Failure | None = None
            if write.etag is None and existing is not None:
                problem = Conflict(Stage.STORE, "already there")
            elif write.etag is not None and existing is None:
                problem = Conflict(Stage.STORE, "gone meanwhile")
            elif write.etag is not None and existing is not None and existing["_etag"] != write.etag:
                problem = Conflict(Stage.STORE, "changed meanwhile")
            if problem is not None:
                self.documents = before
                raise WriteRefusedError(problem, index)
            self.put(document)
        self.accepted += [(pk, document["id"]) for document in documents]
        if self.loses_answers:
            self.loses_answers -= 1
            raise WriteRefusedError(Transient(Stage.STORE, "store timed out"), None)
        return 5.0 * len(writes)

    async def read(self, pk: str, ids: Sequence[str]) -> dict[str, Document]:
        await asyncio.sleep(0)
        self.reads += 1
        self.check()
        return {
            doc_id: {name: document[name] for name in READ if name in document}
            for doc_id in ids
            if (document := self.documents.get((pk, doc_id)))
        }


class FakeQueue(Refusing):
    """Messages with their delays; one over 64 KiB in base64 is refused, as the service does."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[bytes, float]] = []

    async def send(self, message: bytes, delay: float) -> None:
        await asyncio.sleep(0)
        self.check()
        if len(base64.b64encode(message)) > 64 * 1024:
            raise Permanent(Stage.RETRY, "message too large")
        self.messages.append((message, delay))

    @property
    def items(self) -> list[Item]:
        """The items of all messages that can be read."""
        return [item for message, _ in self.messages for item in decode_envelope(message).items]


class FakeBlobs(Refusing):
    """Blobs by kind and name.

    Attributes:
        reads_refuse, letters_refuse: as ``refuses``, for reading claim checks or for dead letters alone.
        verdicts_refuse: the same for verdicts, which heed nothing else.
        verdicts: with the numbers of their ETags.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dead_letters: dict[str, bytes] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.claim_checks: dict[str, bytes] = {}
        self.status: dict[str, bytes] = {}
        self.reads_refuse: Exception | None = None
        self.letters_refuse: Exception | None = None
        self.verdicts_refuse: Exception | None = None
        self.verdicts: dict[str, tuple[bytes, int]] = {}

    async def get_verdict(self, configuration: str) -> StoredBlob | None:
        await asyncio.sleep(0)
        if self.verdicts_refuse:
            raise self.verdicts_refuse.with_traceback(None)
        found = self.verdicts.get(configuration)
        return found and StoredBlob(found[0], str(found[1]))

    async def put_verdict(self, configuration: str, data: bytes, etag: str | None) -> None:
        await asyncio.sleep(0)
        if self.verdicts_refuse:
            raise self.verdicts_refuse.with_traceback(None)
        _, number = self.verdicts.get(configuration, (b"", 0))
        if etag != (str(number) if number else None):
            raise Conflict(Stage.RETRY, "changed meanwhile")
        self.verdicts[configuration] = (data, number + 1)

    async def put_dead_letter(self, name: str, data: bytes, metadata: Mapping[str, str]) -> None:
        await asyncio.sleep(0)
        self.check()
        if self.letters_refuse:
            raise self.letters_refuse.with_traceback(None)
        for key, text in metadata.items():
            assert text, f"metadata {key} is empty"
            assert text.isascii(), f"metadata {key} is {text!r}"
            assert text.isprintable(), f"metadata {key} is {text!r}"
        self.dead_letters[name] = data
        self.metadata[name] = dict(metadata)

    async def delete_dead_letter(self, name: str) -> None:
        self.check()
        if self.letters_refuse:
            raise self.letters_refuse.with_traceback(None)
        self.dead_letters.pop(name, None)
        self.metadata.pop(name, None)

    async def put_claim_check(self, name: str, data: bytes) -> None:
        await asyncio.sleep(0)
        self.check()
        self.claim_checks[name] = data

    async def get_claim_check(self, name: str) -> bytes | None:
        await asyncio.sleep(0)
        self.check()
        if self.reads_refuse:
            raise self.reads_refuse.with_traceback(None)
        return self.claim_checks.get(name)

    async def put_status(self, name: str, data: bytes) -> None:
        self.check()
        self.status[name] = data

    async def get_status(self, name: str) -> bytes | None:
        self.check()
        return self.status.get(name)

    @property
    def letters(self) -> list[DeadLetter]:
        """All dead letters, in order of their names."""
        return [decode_dead_letter(self.dead_letters[name]) for name in sorted(self.dead_letters)]


class FakeHub(Refusing):
    """Events by partition and sequence number, as the hub still holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[tuple[str | None, int | None], HubEvent] = {}

    async def fetch(self, source: Source) -> HubEvent | None:
        self.check()
        return self.events.get((source.partition, source.sequence_number))


class FakePoison(Refusing):
    """The poison queue: messages as texts, hidden once received, until their lease ends."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[PoisonMessage] = []
        self.deleted: list[PoisonMessage] = []
        self.released: list[PoisonMessage] = []
        self.page = 32
        self._hidden: set[str] = set()

    def put(self, text: str) -> PoisonMessage:
        message = PoisonMessage(f"m{len(self.messages)}", text, "r", "")
        self.messages.append(message)
        return message

    def end_leases(self) -> None:
        """What was received and not deleted appears again."""
        self._hidden.clear()

    @property
    def left(self) -> list[PoisonMessage]:
        """All messages that were not deleted, the hidden ones included."""
        return [message for message in self.messages if message not in self.deleted]

    async def receive(self) -> list[PoisonMessage]:
        self.check()
        found = [message for message in self.left if message.id not in self._hidden][: self.page]
        self._hidden |= {message.id for message in found}
        return found

    async def delete(self, message: PoisonMessage) -> None:
        self.check()
        self.deleted.append(message)

    async def release(self, message: PoisonMessage) -> None:
        self.check()
        self.released.append(message)


class FakeModel:
    """Scores an event by its field ``n``.

    ``"bomb": true`` makes a whole call raise, ``"nan": true`` is the event's own permanent failure.
    """

    name = "toy"
    version = "1"
    sha256 = "0" * 64
    threads = 1
    manifest = None

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.breaks: Exception | None = None

    def score(self, payloads: Sequence[object], until: Deadline | None = None) -> list[Scores | Failure]:
        self.calls.append(len(payloads))
        if self.breaks:
            raise self.breaks
        if any(payload.get("bomb") for payload in payloads):  # type: ignore[attr-defined]
            raise ValueError("boom")
        return [self._one(payload) for payload in payloads]

    def _one(self, payload: Any) -> Scores | Failure:
        if payload.get("nan"):
            return Permanent(Stage.SCORE, "score not finite", field="value")
        return Scores(self.version, self.sha256, None, float(payload.get("n", 0)), {})


class FakeModels(Refusing):
    """Gives the model, or refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.model = FakeModel()

    async def get(self) -> FakeModel:
        self.check()
        return self.model


def stream_of(**fields: Any) -> Stream:
    """A stream whose events have ``id``, ``pk`` and ``time`` on top."""
    manifest = {
        "schema": 1,
        "unwrap": "object",
        "id": "/id",
        "partitionKey": ["/pk"],
        "time": "/time",
        "model": "toy",
    }
    return Stream(StreamManifest.model_validate(manifest | fields))


def payload_of(number: int, **fields: Any) -> dict[str, Any]:
    """An event's payload; its id and time follow from the number."""
    return {
        "id": f"id-{number}",
        "pk": "p",
        "time": f"2026-11-25T10:00:{number % 60:02d}Z",
        "n": number,
        **fields,
    }


def body_of(number: int, **fields: Any) -> bytes:
    """The payload as bytes."""
    return json.dumps(payload_of(number, **fields)).encode()


def source_of(number: int, **fields: Any) -> Source:
    """The place of an event in its hub."""
    place: dict[str, Any] = {
        "namespace": "ns",
        "hub": "events",
        "partition": "0",
        "sequence_number": number,
        "offset": str(number * 100),
        "enqueued_at": "2026-11-25T10:30:00.000Z",
    }
    return Source(**(place | fields))


def item_of(number: int, body: bytes | None = None, **fields: Any) -> Item:
    """A fresh item as the trigger makes it; fields go into its payload."""
    return Item(body=body_of(number, **fields) if body is None else body, source=source_of(number))


SCORES = Scores("1", "0" * 64, None, 0.5, {})


def event_of(number: int, *, source: Source | None = None, scores: Scores = SCORES, **fields: Any) -> Event:
    """An event that is decoded and scored."""
    item = Item(body=body_of(number, **fields), source=source or source_of(number))
    [event] = Decoder(stream_of()).decode([item])
    assert event.failure is None
    event.item.scores = {"toy": scores}
    return event


def ago(**duration: float) -> str:
    """A moment that long ago, as items hold it."""
    return times.milliseconds_text(times.now() - timedelta(**duration))


class World:
    """The whole pipeline above the parts in memory.

    Args:
        budget: seconds for which it holds what no place takes; there is time for a try besides.
        time_budget: in place of that, seconds after which an invocation ends.
        second: there is a second model beside the first, which is required or not.
    """

    def __init__(
        self,
        *,
        stream: Stream | None = None,
        hook: Hook | None = None,
        configuration: str = "c",
        proven: bool = True,
        beside: World | None = None,
        budget: float = 0.0,
        time_budget: float | None = None,
        batch_deadline: float = 5.0,
        give_up: timedelta = timedelta(days=7),
        brake: timedelta = timedelta(hours=24),
        unexpected: timedelta = timedelta(0),
        telemetry: Telemetry | None = None,
        linger: float = 0.0,
        memory: int = 1 << 30,
        records: int = 5_000,
        claimed: int = 24 * 1024 * 1024,
        second: bool | None = None,
    ) -> None:
        self.breaker = State.CLOSED  # what the pipeline is told; there is none before this store
        telemetry = telemetry or Telemetry(None)
        recorders = {
            name: telemetry.of(name, breaker=lambda: self.breaker)
            for name in ("score_events", "retry_events")
        }
        self.store: FakeStore = beside.store if beside else FakeStore()
        self.queue: FakeQueue = beside.queue if beside else FakeQueue()
        self.blobs: FakeBlobs = beside.blobs if beside else FakeBlobs()
        self.hub: FakeHub = beside.hub if beside else FakeHub()
        self.poison: FakePoison = beside.poison if beside else FakePoison()
        self.configuration = configuration
        if proven:
            self.blobs.verdicts.setdefault(configuration, (msgspec.json.encode(proven_by(configuration)), 1))
        self.judge = Judge(self.blobs, configuration, interval=60, fresh=0)
        self.models = FakeModels()
        self.second = FakeModels()
        self.in_use = [ModelInUse("toy", self.models)]  # type: ignore[arg-type]
        if second is not None:  # before the other: the order in which they are named decides nothing
            self.in_use.insert(0, ModelInUse("second", self.second, required=second))  # type: ignore[arg-type]
        self.status = Status("score_events", self.blobs, interval=60, has_policy=True)
        self.claimed = Memory(claimed)
        self.placing = Placing(self.queue, self.blobs, claimed_limit=claimed // 4)
        self.memory = Memory(memory)
        limits_of_body = BodyLimits(unpacked=1_000_000, records=records)
        decoder = Decoder(stream or stream_of(), limits=limits_of_body, hook=hook)
        writer = Writer(self.store, parallel=4, patience=batch_deadline)
        processings = {
            name: Processing(
                decoder=decoder,
                memory=self.memory,
                models=self.in_use,
                writer=writer,
                recorder=recorder,
            )
            for name, recorder in recorders.items()
        }
        limits = Limits(
            time_budget=budget + LAST_TRY if time_budget is None else time_budget,
            linger=linger,
        )
        patience = Patience(give_up=give_up, brake=brake, unexpected=unexpected)
        self.brake = Brake(Verdicts(self.blobs, configuration, fresh=0), patience)
        claim_checks = ClaimChecks(self.blobs, self.hub)
        self.pipeline = ScoreEvents(
            processing=processings["score_events"],
            placing=self.placing,
            status=self.status,
            judge=self.judge,
            limits=limits,
            patience=patience,
            recorder=recorders["score_events"],
            store_is_out=lambda: self.breaker is not State.CLOSED,
        )
        self.retrying = RetryEvents(
            processing=processings["retry_events"],
            recorder=recorders["retry_events"],
            placing=self.placing,
            queue=self.queue,
            blobs=self.blobs,
            claim_checks=claim_checks,
            memory=self.claimed,
            status=Status("retry_events", self.blobs, interval=60, has_policy=False),
            brake=self.brake,
            limits=limits,
            patience=patience,
            store_refuses=lambda: self.breaker is State.OPEN,
        )
        self.keeper = Housekeeping(
            poison=self.poison,
            queue=self.queue,
            placing=self.placing,
            claim_checks=claim_checks,
            patience=patience,
            brake=self.brake,
            recorder=telemetry.of("housekeeping"),
        )

    async def score(self, *items: Item, retry: RetryState = ENDLESS) -> Summary:
        """A batch from the hub; each event is accounted for, or the call raises."""
        summary = await self.pipeline.score_events(items, retry)
        assert_adds_up(summary)
        return summary

    async def retry(self, *, dequeue_count: int = 1) -> list[Summary]:
        """Deliver every message that is in the queue now, once; one whose handling raises stays."""
        messages, self.queue.messages = self.queue.messages, []
        summaries = []
        for number, (message, delay) in enumerate(messages):
            try:
                summaries.append(
                    await self.retrying.retry_events(
                        message, dequeue_count=dequeue_count, message_id=f"m{number}"
                    )
                )
            except BaseException:
                self.queue.messages += [(message, delay), *messages[number + 1 :]]
                raise
            assert_adds_up(summaries[-1])
        return summaries

    async def keep(self, seconds: float = 60.0) -> Summary:
        """One run of housekeeping."""
        return await self.keeper.empty_poison_queue(Deadline.after(seconds))

    @property
    def verdict(self) -> Verdict:
        """What was last written on this world's configuration."""
        return decode_verdict(self.blobs.verdicts[self.configuration][0])

    @property
    def stored(self) -> dict[str, Document]:
        """Documents by id."""
        return {doc_id: document for (_, doc_id), document in self.store.documents.items()}

    @property
    def queued(self) -> list[Item]:
        """The items of the queue, their claim checks read."""
        return [
            restore(item, decode_item(self.blobs.claim_checks[item.blob])) if item.blob else item
            for item in self.queue.items
        ]

    def sequence_numbers(self) -> dict[str, list[int | None]]:
        """Where each event is, by its sequence number."""
        return {
            "stored": sorted(doc["source"]["sequenceNumber"] for doc in self.stored.values()),
            "queued": sorted(item.source.sequence_number or 0 for item in self.queue.items),
            "dead": sorted(letter.item.source.sequence_number or 0 for letter in self.blobs.letters),
        }


def proven_by(configuration: str) -> Verdict:
    """A verdict of well, from another worker's 200 bodies."""
    at = times.milliseconds_text(times.now())
    other = Worker(at=at, bodies=WINDOW_BODIES, scored=True)
    return Verdict(
        configuration=configuration,
        state=JudgedState.WELL,
        since=at,
        at=at,
        proven=True,
        workers={"other": other},
    )


def assert_adds_up(summary: Summary) -> None:
    """Every event that came in is counted exactly once."""
    ends = summary.stored + summary.superseded + summary.queued + summary.dead_lettered
    assert summary.received == ends, str(summary)
