"""One batch, or one retry message, through the whole pipeline in memory, and the verdict on how it ended.

The stream and the model are the project's own; store, queue and blobs are those of tests/fakes.py. The brake is
off: it would put off what a permanent fault should end at once.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from everscore.clock import times
from everscore.decode.packing import GZIP_MAGIC
from everscore.event.item import Item
from everscore.event.stream import Stream
from everscore.event.stream_manifest import StreamManifest
from everscore.failures import FailureClass
from everscore.flow.ending import NoPlaceAnswersError
from everscore.score.loading import load_model
from everscore.score.model import Model
from tests.fakes import OUT, World, source_of

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("store", "queue", "blobs", "letters")
# More rounds than any item may take once everything answers: 3 tries of what is unexpected, and then some.
_ROUNDS = 8


class BrokenPromiseError(AssertionError):
    """What no input may bring about."""


@cache
def model() -> Model:
    """The flights' model, loaded once."""
    return load_model(ROOT / "models" / "flights", threads=1)


@cache
def stream(unwrap: str) -> Stream:
    """The flights' stream with another rule of unwrapping."""
    manifest = json.loads((ROOT / "models" / "flights" / "stream.json").read_bytes())
    manifest.pop("$schema")
    return Stream(StreamManifest.model_validate({**manifest, "unwrap": unwrap}))


def neighbour(number: int, unwrap: str = "object") -> bytes:
    """A good event that no input can harm by being newer: its time is the last there is."""
    flight = {
        "id": f"neighbour-{number}",
        "carrier": "ZZ",
        "date": "9999-12-31",
        "time": "9999-12-31T23:59:59Z",
        "origin": "EWR",
        "dest": "IAH",
        "distance": 1400,
        "month": 9,
        "hour": 5,
        "dep_delay": number % 60,
        "cancelled": False,
    }
    text = json.dumps(flight)
    return {"object": text, "array": f"[{text}]", "records": f'{{"records":[{text}]}}'}[unwrap].encode()


def world(unwrap: str = "object") -> World:
    """The pipeline, its brake off and its patience short, so that a drained one shows where everything ended."""
    made = World(stream=stream(unwrap), give_up=timedelta(0), brake=timedelta(0), budget=0.0)
    made.models.model = model()  # type: ignore[assignment]
    return made


@dataclass
class Ends:
    """Where the events of a batch ended: counts by end, and dead letters by reason."""

    stored: int = 0
    superseded: int = 0
    dead_lettered: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


async def batch(
    bodies: Sequence[bytes], *, unwrap: str = "object", refusing: Sequence[str] = (), every: int = 1
) -> Ends:
    """Events among good neighbours, one to each ``every``; then the retry queue, until it is empty.

    Args:
        bodies: of the events.
        unwrap: as stream.json has it.
        refusing: of `PARTS`, those that answer nothing at the first try.
        every: events to one neighbour.

    Raises:
        BrokenPromiseError: an exception came out, an event is in no place or in two, a neighbour was harmed,
            a permanent fault was tried again, or a dead letter does not hold the event's bytes.
    """
    made = world(unwrap)
    sent: list[bytes] = []
    neighbours: set[int] = set()
    for start in range(0, len(bodies), every):
        neighbours.add(len(sent))
        sent += [neighbour(start, unwrap), *bodies[start : start + every]]
    items = [Item(body=each, source=source_of(number)) for number, each in enumerate(sent)]
    ends = Ends()
    _refuse(made, refusing)
    try:
        summaries = [await made.score(*items)]
    except NoPlaceAnswersError:
        _demand("queue" in refusing, "no place answered, though the queue did")
        _refuse(made, ())
        # The host brings the batch again: its events as the hub holds them.
        items = [Item(body=each, source=source_of(number)) for number, each in enumerate(sent)]
        summaries = [await made.score(*items)]
    _refuse(made, ())
    if not refusing:
        waiting = [f"{item.stage}: {item.reason}" for item in made.queue.items]
        _demand(not waiting, f"tried again though nothing refused: {waiting[:3]}")
    for _ in range(_ROUNDS):
        summaries += await made.retry()
    _demand(not made.queue.messages, "the retry queue does not run dry")
    # An older version that a retry stored before the newer one came was superseded as well.
    overwritten = sum(each.stored for each in summaries) - len(made.store.documents)
    ends.superseded = sum(each.superseded for each in summaries) + overwritten
    _judge(made, sent, neighbours, ends, unwrap)
    return ends


async def message(data: bytes, *, dequeue_count: int = 1) -> None:
    """One message of the retry queue, whatever is in it.

    Raises:
        BrokenPromiseError: it is neither put back as a newer release's, nor ends within a bounded number of tries.
    """
    made = world()
    made.queue.messages.append((data, 0.0))
    await made.retry(dequeue_count=dequeue_count)
    for _ in range(_ROUNDS):
        await made.retry()
    left = [text for text, _ in made.queue.messages]
    _demand(left in ([], [data]), "a retry message does not end")
    _demand(not left or _is_newer(data), "a message that is no newer release's was put back")


async def poison(text: str) -> None:
    """One message of the poison queue, whatever is in it.

    Raises:
        BrokenPromiseError: it was neither moved nor buried, or what it became does not end.
    """
    made = world()
    made.poison.put(text)
    await made.keep()
    _demand(not made.poison.left, "a poison message stays where it is")
    _demand(bool(made.queue.messages or made.blobs.dead_letters), "a poison message is nowhere")
    before = [each for each, _ in made.queue.messages]
    for _ in range(_ROUNDS):
        await made.retry()
    left = [each for each, _ in made.queue.messages]
    _demand(
        not left or (left == before and _is_newer(left[0])), "a message from the poison queue does not end"
    )


def _refuse(made: World, parts: Sequence[str]) -> None:
    made.store.refuses = OUT if "store" in parts else None
    made.queue.refuses = OUT if "queue" in parts else None
    made.blobs.refuses = OUT if "blobs" in parts else None
    made.blobs.letters_refuse = OUT if "letters" in parts else None


def _demand(met: bool, otherwise: str) -> None:
    if not met:
        raise BrokenPromiseError(otherwise)


def _judge(made: World, sent: list[bytes], neighbours: set[int], ends: Ends, unwrap: str) -> None:
    sources = [document["source"] for document in made.store.documents.values()]
    stored: list[tuple[int, int]] = [(each["sequenceNumber"], each["index"]) for each in sources]
    letters = made.blobs.letters
    buried = [(letter.item.source.sequence_number or 0, letter.item.source.index) for letter in letters]
    places = Counter([*stored, *buried])
    twice = [place for place, count in places.items() if count > 1]
    _demand(not twice, f"in two places: {twice}")
    ends.stored, ends.dead_lettered = len(stored), len(buried)
    for number in neighbours:
        _demand((number, 0) in stored, f"neighbour {number} is not stored")
    _count(sent, places, ends, unwrap)
    for letter in letters:
        item = letter.item
        ends.reasons[f"{item.stage}: {item.reason}"] += 1
        _demand(item.failure_class == FailureClass.PERMANENT, f"{item.failure_class}: {item.exception}")
        whole = sent[item.source.sequence_number or 0]
        if unwrap == "object":
            _demand(item.body == whole, "a dead letter with other bytes than the event's")
        elif not whole.startswith(GZIP_MAGIC):
            _demand(item.body in whole, "a dead letter with other bytes than its record's")
    if unwrap == "object":
        for document in made.store.documents.values():
            _same_payload(document, sent[document["source"]["sequenceNumber"]])
    moment = times.milliseconds_text(times.now())
    _demand(all(letter.failed_at <= moment for letter in letters), "a dead letter of the future")


def _count(sent: list[bytes], places: Counter[tuple[int, int]], ends: Ends, unwrap: str) -> None:
    """Each record is in a place, or was superseded; how many there are, another parser says where it can."""
    found = Counter(number for number, _ in places)
    missing = 0
    for number, body in enumerate(sent):
        records = 1 if unwrap == "object" else _records(body, unwrap)
        # What no other parser reads has one end or, where only some of its records are broken, several.
        missing += max(0, (records or 1) - found[number])
        _demand(records is None or found[number] <= records, f"event {number} has more ends than records")
    _demand(missing <= ends.superseded, f"{missing} are in no place, and {ends.superseded} superseded")
    if unwrap == "object":
        _demand(missing == ends.superseded, f"{ends.superseded} superseded, but {missing} are in no place")


def _records(body: bytes, unwrap: str) -> int | None:
    try:
        parsed = json.loads(_plain(body))
    except (ValueError, RecursionError, OSError, EOFError, zlib.error):
        return None
    if unwrap == "records":
        parsed = parsed.get("records") if isinstance(parsed, dict) else None
    return max(1, len(parsed)) if isinstance(parsed, list) else 1


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body.startswith(GZIP_MAGIC) else body


def _same_payload(document: dict[str, Any], body: bytes) -> None:
    """By another parser than ours, the document holds what was sent."""
    if document["pipeline"].get("textNumbers"):
        return  # integers that a double cannot hold are texts: tests/unit/event/test_storable.py
    try:
        plain = _plain(body)
    except (OSError, EOFError, zlib.error) as error:
        raise BrokenPromiseError(f"stored, though its gzip is broken: {error}") from error
    try:
        wanted = json.loads(plain)
    except ValueError as error:
        raise BrokenPromiseError(f"stored, though it is no JSON: {error}") from error
    _demand(wanted == document["event"], "the document holds another payload than the event")


def _is_newer(data: bytes) -> bool:
    try:
        # The schema is read before the rest, which may be of any kind.
        return int(json.loads(data.decode("utf-8", "replace"))["schema"]) > 1
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
