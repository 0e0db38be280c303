"""Writes events to the store so that nothing is doubled and nothing newer is overwritten by something older.

All writes of a partition key go out as transactional batches of creates, which cost no more than upserts.
Only where one meets a 409 are the documents there read and compared; then creates (absent) and replaces by
ETag (older) go out as one batch. A 409 is first of all our own write come back: the SDK sends again after a
time-out.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial

import msgspec

from everscore.clock import backoff, times
from everscore.clock.deadline import Deadline
from everscore.event.event import Done, Event
from everscore.event.order import CLOCK_AHEAD, Version, order
from everscore.failures import (
    Conflict,
    Failure,
    Permanent,
    Stage,
    Throttled,
    Transient,
    Unexpected,
    unexpected,
)
from everscore.ports import Document, DocumentStore, Write, WriteRefusedError
from everscore.store import documents
from everscore.store.turns import Turns

# Comparisons that one event may lose to other writers before it goes to the retry queue.
CONFLICT_ROUNDS = 3


class Writer:
    """The policy of writing, above a document store.

    Args:
        store: where documents go.
        parallel: requests under way at once, over all invocations of this process.
        patience: seconds that the store may take for a transactional batch, with its answers and with the
            waits that it asks for. Time in which a batch waits for its turn among our own does not count.
        clock_ahead: see `everscore.event.order.believed_time`.
    """

    def __init__(
        self,
        store: DocumentStore,
        *,
        parallel: int,
        patience: float,
        clock_ahead: timedelta = CLOCK_AHEAD,
    ) -> None:
        self._store = store
        self._clock_ahead = clock_ahead
        self._patience = patience
        self._slots = asyncio.Semaphore(parallel)

    async def store(self, events: Sequence[Event], deadline: Deadline) -> float:
        """Store events that have an identity and scores; each ends ``done`` or with a ``failure``.

        Of several versions of one id only the newest is sent: the older are superseded once it is stored,
        fail with it when it may be stored later, and take its place when it never can be.

        Args:
            events: of one invocation.
            deadline: for all of them together, whatever the time is spent on.

        Returns:
            Request units that the accepted writes cost.
        """
        stacks = _versions(events, self._clock_ahead)
        charge = 0.0
        while stacks:
            heads: dict[str, list[Event]] = defaultdict(list)
            for (pk, _), versions in stacks.items():
                heads[pk].append(versions[0])
            charge += sum(
                await asyncio.gather(*(self._store_key(pk, group, deadline) for pk, group in heads.items()))
            )
            stacks = {key: rest for key, versions in stacks.items() if (rest := _settle_older(versions))}
        return charge

    async def _store_key(self, pk: str, events: Sequence[Event], deadline: Deadline) -> float:
        chunks = [
            _Chunk(self._store, pk, pending, Turns(self._slots, self._patience, deadline), self._clock_ahead)
            for pending in _chunks(list(_build(events)))
        ]
        return sum(await asyncio.gather(*(chunk.run() for chunk in chunks)))


class _Pending(msgspec.Struct):
    """An event whose document is still to be written.

    Attributes:
        built: its document by itself.
        document: what is sent: that, with what it takes over from the one whose place it takes.
    """

    event: Event
    built: Document
    document: Document
    size: int
    etag: str | None = None
    conflicts: int = 0


class _Chunk:
    """One transactional batch on its way, shrinking until every event of it has ended."""

    def __init__(
        self,
        store: DocumentStore,
        pk: str,
        pending: dict[str, _Pending],
        turns: Turns,
        clock_ahead: timedelta,
    ) -> None:
        self._store = store
        self._pk = pk
        self._pending = pending
        self._turns = turns
        self._clock_ahead = clock_ahead
        self._waits = 0

    async def run(self) -> float:
        """Write until every event has ended; returns request units. Nothing is raised."""
        try:
            return await self._write()
        except Exception as error:  # noqa: BLE001 - bisected to the guilty event: its neighbours go on
            if len(self._pending) > 1:
                return await self._run_halves()
            self._fail(list(self._pending.values()), unexpected(Stage.STORE, error))
            return 0.0

    async def _write(self) -> float:
        while self._pending:
            sent = list(self._pending.values())
            if self._turns.patience_is_over:
                detail = "the store took longer than BATCH_DEADLINE_SECONDS for this batch"
                self._fail(sent, Transient(Stage.STORE, "deadline passed", detail))
                break
            try:
                charge = await self._turns.ask(partial(self._send, sent))
            except WriteRefusedError as refused:
                if self._is_to_halve(refused):
                    return await self._run_halves()
                await self._take_in(refused, sent)
            except Failure as failure:
                self._fail(sent, failure)
            else:
                for one in sent:
                    one.event.done = Done.STORED
                return charge
        return 0.0

    async def _send(self, pending: Sequence[_Pending]) -> float:
        stored_at = times.milliseconds_text(times.now())
        for one in pending:
            one.document["pipeline"]["storedAt"] = stored_at
        return await self._store.write(self._pk, [Write(one.document, one.etag) for one in pending])

    def _is_to_halve(self, refused: WriteRefusedError) -> bool:
        """Whether the request as a whole was refused for what one of several documents may be guilty of."""
        return (
            refused.index is None
            and isinstance(refused.failure, Permanent | Unexpected)
            and len(self._pending) > 1
        )

    async def _run_halves(self) -> float:
        pairs = list(self._pending.items())
        half = len(pairs) // 2
        charge = 0.0
        for part in (pairs[:half], pairs[half:]):
            charge += await _Chunk(self._store, self._pk, dict(part), self._turns, self._clock_ahead).run()
        return charge

    async def _take_in(self, refused: WriteRefusedError, sent: Sequence[_Pending]) -> None:
        failure = refused.failure
        if isinstance(failure, Throttled):
            await self._wait(failure, sent)
        elif refused.index is None:
            self._fail(sent, failure)
        elif isinstance(failure, Permanent | Unexpected):
            self._fail([sent[refused.index]], failure)
        elif isinstance(failure, Conflict):
            guilty = sent[refused.index]
            guilty.conflicts += 1
            if guilty.conflicts > CONFLICT_ROUNDS:
                self._fail([guilty], failure)
            else:
                await self._compare()
        else:
            self._fail(sent, failure)

    async def _wait(self, failure: Throttled, sent: Sequence[_Pending]) -> None:
        pause = backoff.in_process(self._waits, failure.retry_after)
        if pause >= self._turns.left:
            self._fail(sent, failure)
            return
        self._waits += 1
        await self._turns.pause(pause)

    async def _compare(self) -> None:
        """Read what stands in the way and keep only what is newer than it."""
        try:
            found = await self._turns.ask(partial(self._store.read, self._pk, list(self._pending)))
        except Throttled as failure:
            await self._wait(failure, list(self._pending.values()))
            return
        except Failure as failure:
            self._fail(list(self._pending.values()), failure)
            return
        for doc_id, one in list(self._pending.items()):
            existing = found.get(doc_id)
            if existing is None:
                one.etag, one.document = None, one.built
                continue
            try:
                newer = documents.gives_way(existing, _version(one.event), self._clock_ahead)
            except documents.ForeignDocumentError as error:
                detail = f"the document there is none of this pipeline's, and is not overwritten: {error}"
                self._fail([one], Conflict(Stage.STORE, "foreign document", detail))
                continue
            if not newer:
                one.event.done = Done.SUPERSEDED
                del self._pending[doc_id]
                continue
            one.etag = existing["_etag"]
            one.document = documents.in_place_of(existing, one.built)

    def _fail(self, guilty: Iterable[_Pending], failure: Failure) -> None:
        for one in guilty:
            one.event.failure = failure
            del self._pending[one.document["id"]]


def _version(event: Event) -> Version:
    return Version(event.item.time, event.item.source)


def _versions(events: Sequence[Event], clock_ahead: timedelta) -> dict[tuple[str, str], list[Event]]:
    """Events by (pk, id), of each the newest version first."""
    stacks: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        item = event.item
        if item.pk is None or item.id is None:
            raise ValueError("an event without an identity cannot be stored")
        stacks.setdefault((item.pk, item.id), []).append(event)
    for versions in stacks.values():
        if len(versions) > 1:
            versions.sort(key=lambda event: order(_version(event), clock_ahead), reverse=True)
    return stacks


def _settle_older(versions: list[Event]) -> list[Event]:
    """Give the older versions the fate of the newest; what is returned is to be tried in its place."""
    newest, older = versions[0], versions[1:]
    if newest.done:
        for event in older:
            event.done = Done.SUPERSEDED
        return []
    if isinstance(newest.failure, Permanent):
        return older
    failure = newest.failure or Transient(Stage.STORE, "not written")
    newest.failure = failure
    if isinstance(failure, Unexpected):
        # Not the older versions' own: they wait, and take its place once it is a dead letter.
        failure = Transient(Stage.STORE, "newer version failed", str(failure))
    for event in older:
        event.failure = failure
    return []


def _build(events: Sequence[Event]) -> Iterable[_Pending]:
    for event in events:
        try:
            document = documents.build(event, event.item.scores or {}, "")
            length = documents.size(document)
        except Exception as error:  # noqa: BLE001 - this one event's own: its neighbours go on
            event.failure = unexpected(Stage.STORE, error)
            continue
        if documents.too_large(length):
            event.failure = Permanent(
                Stage.STORE,
                "document too large",
                f"its JSON has {length} bytes, and the store takes {documents.ITEM_LIMIT}",
            )
            continue
        yield _Pending(event, document, document, length)


def _chunks(pending: Sequence[_Pending]) -> list[dict[str, _Pending]]:
    """Split by the limits of a transactional batch; ids are unique within one partition key here."""
    chunks: list[dict[str, _Pending]] = []
    size = 0
    for one in pending:
        if (
            not chunks
            or len(chunks[-1]) >= documents.BATCH_OPERATIONS
            or size + one.size > documents.BATCH_BYTES
        ):
            chunks.append({})
            size = 0
        chunks[-1][one.document["id"]] = one
        size += one.size
    return chunks
