"""One transactional batch on its way to the store, until every event of it has ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial

import msgspec

from everscore.clock import backoff, times
from everscore.event.event import Done, Event
from everscore.event.order import Version
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


class Pending(msgspec.Struct):
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


class Chunk:
    """One transactional batch, shrinking until every event of it has ended."""

    def __init__(
        self,
        store: DocumentStore,
        pk: str,
        pending: dict[str, Pending],
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

    async def _send(self, pending: Sequence[Pending]) -> float:
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
            charge += await Chunk(self._store, self._pk, dict(part), self._turns, self._clock_ahead).run()
        return charge

    async def _take_in(self, refused: WriteRefusedError, sent: Sequence[Pending]) -> None:
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

    async def _wait(self, failure: Throttled, sent: Sequence[Pending]) -> None:
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
                newer = documents.gives_way(existing, version_of(one.event), self._clock_ahead)
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

    def _fail(self, guilty: Iterable[Pending], failure: Failure) -> None:
        for one in guilty:
            one.event.failure = failure
            del self._pending[one.document["id"]]


def version_of(event: Event) -> Version:
    """What orders an event among the versions of its id."""
    return Version(event.item.time, event.item.source)
