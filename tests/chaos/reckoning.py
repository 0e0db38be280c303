"""What became of every event, by id: read back from hub, store and dead letters, and compared with the oracle."""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, cast

from azure.cosmos.aio import CosmosClient
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from azure.storage.blob.aio import BlobServiceClient

from everscore.clock import times
from everscore.event.item import Source
from everscore.event.order import Version, order
from everscore_cli.clients.hub import read_to
from everscore_cli.observe import HubEnd, last_numbers
from everscore_local.endpoints import Names
from tests.chaos.oracle import Expected, Oracle
from tests.chaos.traffic import NUMBER, Sent

type Place = tuple[str, int, str]
"""Where an event stands in the hub: partition, sequence number, time of enqueuing."""

SHOWN = 5
_PARALLEL = 16


@dataclass(slots=True)
class Row:
    """One row of the table.

    Attributes:
        sent: records of the events sent; messages that a group put into the queue itself included.
        stored: the document of the id was made of this very event.
        superseded: the document was made of a newer version of it, or of the same event again.
        retried: of those stored or dead-lettered, the ones that took more than one try.
        dead_lettered: there is a dead letter of it, with a reason that was to be expected and its exact bytes.
        lost: none of these, or another end than the one it should have.
        doubled: two of these, or two documents.
        stale: the document is of an older version than the newest.
        acted: how often the fault acted.
    """

    sent: int = 0
    stored: int = 0
    superseded: int = 0
    retried: int = 0
    dead_lettered: int = 0
    lost: int = 0
    doubled: int = 0
    stale: int = 0
    acted: int = 0
    problems: list[str] = field(default_factory=list)

    def __add__(self, other: Row) -> Row:
        return Row(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def wrong(self, column: str, problem: str) -> None:
        """Count one in a column that must be 0, and say why."""
        setattr(self, column, getattr(self, column) + 1)
        self.problems.append(f"{column}: {problem}")

    @property
    def good(self) -> bool:
        """Whether every event came to the end that it should have."""
        return self.lost == self.doubled == self.stale == 0 and not self.problems


@dataclass(frozen=True, slots=True)
class HubEvent:
    """An event as it stands in the hub."""

    place: Place
    number: int
    body: bytes
    properties: dict[str, Any]
    source: Source


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter."""

    name: str
    place: Place
    index: int
    reason: str
    body: bytes
    tries: int


async def read_hub(connection: str, names: Names, ends: dict[str, HubEnd]) -> list[HubEvent]:
    """Every event of the hub, up to the ends given."""
    found: list[HubEvent] = []

    def take(partition: str, event: EventData) -> None:
        found.append(_hub_event(partition, event, names.hub))

    client = EventHubConsumerClient.from_connection_string(connection, "$Default", eventhub_name=names.hub)
    async with client:
        await read_to(client, last_numbers(ends), take)
    return found


def _hub_event(partition: str, event: EventData, hub: str) -> HubEvent:
    properties = {_text(name): _text(value) for name, value in (event.properties or {}).items()}
    enqueued = times.milliseconds_text(event.enqueued_time) if event.enqueued_time else ""
    sequence = int(event.sequence_number or 0)
    return HubEvent(
        place=(partition, sequence, enqueued),
        number=int(properties.get(NUMBER, -1)),
        body=b"".join(cast("Iterable[bytes]", event.body)),
        properties=properties,
        source=Source(
            namespace="127.0.0.1",
            hub=hub,
            partition=partition,
            sequence_number=sequence,
            enqueued_at=enqueued,
        ),
    )


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


async def read_documents(connection: str, names: Names) -> list[dict[str, Any]]:
    """Every document of the container."""
    async with CosmosClient.from_connection_string(connection) as client:
        container = client.get_database_client(names.database).get_container_client(names.container)
        return [dict(row) async for row in container.query_items("SELECT * FROM c", max_item_count=2_000)]


async def read_letters(connection: str, names: Names) -> list[Letter]:
    """Every dead letter."""
    slots = asyncio.Semaphore(_PARALLEL)
    async with BlobServiceClient.from_connection_string(connection) as service:
        container = service.get_container_client(names.dead_letters)

        async def read(name: str) -> Letter:
            async with slots:
                content = json.loads(await (await container.download_blob(name)).readall())
            item = content["item"]
            source = item.get("source", {})
            return Letter(
                name=name,
                place=_place(source),
                index=source.get("index", 0),
                reason=item.get("reason", ""),
                body=base64.b64decode(item.get("body", "")),
                tries=item.get("attempts", 0),
            )

        return list(await asyncio.gather(*[read(name) async for name in container.list_blob_names()]))


def _place(source: dict[str, Any]) -> Place:
    return (source.get("partition") or "", source.get("sequenceNumber") or 0, source.get("enqueuedAt") or "")


@dataclass
class Found:
    """Everything that was read back."""

    hub: Sequence[HubEvent]
    documents: Sequence[dict[str, Any]]
    letters: Sequence[Letter]


@dataclass(frozen=True, slots=True)
class _Version:
    """A record that should be in the store; ``lettered``: why it is a dead letter instead."""

    row: Row
    sent: Sent
    event: HubEvent
    expected: Expected
    lettered: str = ""

    @property
    def order(self) -> Any:
        source = self.event.source
        return order(
            Version(
                self.expected.time,
                Source(
                    partition=source.partition,
                    sequence_number=source.sequence_number,
                    enqueued_at=source.enqueued_at,
                    index=self.expected.index,
                ),
            )
        )

    @property
    def key(self) -> tuple[Place, int]:
        return self.event.place, self.expected.index

    def __str__(self) -> str:
        partition, sequence, _ = self.event.place
        return (
            f"event {self.sent.number} ({self.expected.id or self.expected.reason}) at {partition}/{sequence}"
        )


type SameScores = Callable[[_Version, Any], bool]


def scores_of_oracle(version: _Version, scores: Any) -> bool:
    """Whether a document's scores are those of a run without faults."""
    return same(scores, version.expected.scores)


def same(found: Any, expected: Any) -> bool:
    """Equal; numbers to within a float32, since the last bit depends on how many rows one call scores."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[name], expected[name]) for name in found)
    # The store writes 1.0 as 1.
    if isinstance(found, int | float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-5, abs_tol=1e-6)
    return bool(found == expected)


def reckon(
    sent: Sequence[Sent],
    found: Found,
    oracle_of: Callable[[HubEvent], Oracle],
    same_scores: SameScores = scores_of_oracle,
    foreign: Sequence[Sent] = (),
) -> dict[str, Row]:
    """Compare what was sent with what is there.

    Args:
        sent: every event, by its number.
        found: what was read back.
        oracle_of: which oracle knows the end of an event.
        same_scores: whether a version may have these scores.
        foreign: messages of the retry queue that are none of ours; known by their bytes.

    Returns:
        The rows by name, in order of sending; what nobody sent is in the row ``strangers``, if there is any.
    """
    rows: dict[str, Row] = {}
    for each in sent:
        rows.setdefault(each.row, Row())
    letters: dict[tuple[Place, int], list[Letter]] = defaultdict(list)
    for letter in found.letters:
        letters[letter.place, letter.index].append(letter)
    used: set[str] = set()

    stacks: dict[tuple[str, str], list[_Version]] = defaultdict(list)
    seen: Counter[int] = Counter()
    for event, records in _with_records(found.hub, oracle_of):
        if not 0 <= event.number < len(sent):
            rows.setdefault("strangers", Row()).wrong("doubled", f"an event nobody sent at {event.place}")
            continue
        one = sent[event.number]
        seen[event.number] += 1
        row = rows[one.row]
        for expected in records:
            version = _Version(row, one, event, expected)
            row.sent += 1
            its_letters = letters.get(version.key, [])
            used.update(letter.name for letter in its_letters)
            if one.reasons_of(expected.index):
                _judge_letter(version, its_letters)
            elif expected.reason:
                row.wrong("lost", f"{version}: the oracle says it cannot be stored")
            else:
                if its_letters:
                    version = _Version(row, one, event, expected, its_letters[0].reason)
                stacks[expected.pk, expected.id].append(version)
    for one in sent:
        if not seen[one.number]:
            rows[one.row].wrong("lost", f"event {one.number} is not in the hub")
    _judge_documents(stacks, found.documents, rows, same_scores)
    used |= _judge_foreign(foreign, found.letters, rows)
    for letter in found.letters:
        if letter.name not in used:
            rows.setdefault("strangers", Row()).wrong(
                "doubled", f"a dead letter of nothing that was sent: {letter.name} ({letter.reason})"
            )
    return rows


def _judge_foreign(foreign: Sequence[Sent], letters: Sequence[Letter], rows: dict[str, Row]) -> set[str]:
    used: set[str] = set()
    for one in foreign:
        row = rows.setdefault(one.row, Row())
        row.sent += 1
        mine = [letter for letter in letters if letter.body == one.body]
        used |= {letter.name for letter in mine}
        if not mine:
            row.wrong("lost", f"no dead letter of the message {one.body[:60]!r}")
        elif len(mine) > 1:
            row.wrong("doubled", f"{len(mine)} dead letters of the message {one.body[:60]!r}")
        elif mine[0].reason not in one.reasons:
            row.wrong("lost", f"{one.body[:60]!r}: dead-lettered for {mine[0].reason!r}")
        else:
            row.dead_lettered += 1
    return used


def _with_records(
    hub: Sequence[HubEvent], oracle_of: Callable[[HubEvent], Oracle]
) -> Iterable[tuple[HubEvent, list[Expected]]]:
    by_oracle: dict[int, tuple[Oracle, list[HubEvent]]] = {}
    for event in hub:
        oracle = oracle_of(event)
        by_oracle.setdefault(id(oracle), (oracle, []))[1].append(event)
    for oracle, events in by_oracle.values():
        known = oracle.of([(event.body, event.source, event.properties) for event in events])
        yield from zip(events, known, strict=True)


def _judge_letter(version: _Version, letters: Sequence[Letter]) -> None:
    row, reasons = version.row, version.sent.reasons_of(version.expected.index)
    if not letters:
        row.wrong("lost", f"{version}: no dead letter, expected one for {' or '.join(sorted(reasons))}")
        return
    letter = letters[0]
    if len(letters) > 1:
        row.wrong("doubled", f"{version}: {len(letters)} dead letters")
    elif letter.reason not in reasons:
        row.wrong("lost", f"{version}: dead-lettered for {letter.reason!r}, expected {sorted(reasons)}")
    elif letter.body != version.expected.body:
        row.wrong("lost", f"{version}: the dead letter has other bytes")
    else:
        row.dead_lettered += 1
        row.retried += letter.tries > 0


def _judge_documents(
    stacks: dict[tuple[str, str], list[_Version]],
    documents: Sequence[dict[str, Any]],
    rows: dict[str, Row],
    same_scores: SameScores,
) -> None:
    by_key: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for document in documents:
        by_key[document["pk"], document["id"]].append(document)
    for key, versions in stacks.items():
        newest = max(versions, key=lambda version: version.order)
        mine = by_key.pop(key, [])
        for version in versions:
            if version.lettered:
                column = "doubled" if mine else "lost"
                what = f"dead-lettered for {version.lettered!r}, though it can be stored"
                version.row.wrong(column, f"{version}: {what}")
            elif not mine:
                version.row.wrong("lost", f"{version}: no document")
        if not mine:
            continue
        if len(mine) > 1:
            newest.row.wrong("doubled", f"{newest}: {len(mine)} documents")
            continue
        (document,) = mine
        made_of = (_place(document["source"]), document["source"]["index"])
        origin = next((version for version in versions if version.key == made_of), None)
        if origin is None:
            newest.row.wrong(
                "lost", f"{newest}: its document was made of {made_of}, which is no version of it"
            )
            continue
        if origin is not newest:
            newest.row.wrong("stale", f"{newest}: the document is of the older {origin}")
        elif document["event"] != origin.expected.event:
            newest.row.wrong("lost", f"{newest}: its document holds another event")
        elif not same_scores(origin, document["scores"]):
            newest.row.wrong("lost", f"{newest}: its document has other scores")
        else:
            origin.row.stored += 1
            origin.row.retried += document["pipeline"]["attempts"] > 1
        for version in versions:
            version.row.superseded += version is not origin and not version.lettered
    for key, strangers in by_key.items():
        row = rows.setdefault("strangers", Row())
        for _ in strangers:
            row.wrong("doubled", f"a document that nothing sent can have become: {key}")
