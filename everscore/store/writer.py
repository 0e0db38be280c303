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

from everscore.clock.deadline import Deadline
from everscore.event.event import Done, Event
from everscore.event.order import CLOCK_AHEAD, order
from everscore.failures import (
    Permanent,
    Stage,
    Transient,
    Unexpected,
    unexpected,
)
from everscore.ports import DocumentStore
from everscore.store import documents
from everscore.store.chunk import Chunk, Pending, version_of
from everscore.store.turns import Turns


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
            Chunk(self._store, pk, pending, Turns(self._slots, self._patience, deadline), self._clock_ahead)
            for pending in _chunks(list(_build(events)))
        ]
        return sum(await asyncio.gather(*(chunk.run() for chunk in chunks)))


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
            versions.sort(key=lambda event: order(version_of(event), clock_ahead), reverse=True)
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


def _build(events: Sequence[Event]) -> Iterable[Pending]:
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
        yield Pending(event, document, document, length)


def _chunks(pending: Sequence[Pending]) -> list[dict[str, Pending]]:
    """Split by the limits of a transactional batch; ids are unique within one partition key here."""
    chunks: list[dict[str, Pending]] = []
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
