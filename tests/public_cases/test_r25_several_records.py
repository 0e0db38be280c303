"""R25: one event holds many records, or malformed JSON.

Condition: {"records":[…]}, a top-level array, JSON lines, heartbeat objects.
Right: one documented rule of unwrapping; each record has a suffix of its own and a fate of its own; what comes after
the first JSON value is a dead letter that says where.
"""

from __future__ import annotations

import json

import pytest

from tests.fakes import World, body_of, item_of, stream_of

LINES = body_of(1) + b"\n" + body_of(2)


@pytest.mark.parametrize("unwrap", ["array", "records"])
async def test_each_record_has_a_fate_of_its_own(unwrap: str) -> None:
    """Of four records the broken one alone is a dead letter, with its own bytes and index."""
    records = b"[" + b",".join([body_of(1), body_of(2, pk=None), body_of(3), b"7"]) + b"]"
    body = records if unwrap == "array" else b'{"time":"now","records":' + records + b"}"
    world = World(stream=stream_of(unwrap=unwrap))
    summary = await world.score(item_of(5, body))
    assert (summary.received, summary.stored, summary.dead_lettered) == (4, 2, 2)
    assert {doc_id: document["source"]["index"] for doc_id, document in world.stored.items()} == {
        "id-1": 0,
        "id-3": 2,
    }
    assert [(letter.item.source.index, letter.item.body) for letter in world.blobs.letters] == [
        (1, body_of(2, pk=None)),
        (3, b"7"),
    ]


async def test_records_without_an_id_of_their_own_do_not_collide() -> None:
    """Where no id is mapped, the index within the event is part of it."""
    world = World(stream=stream_of(unwrap="array", id=None))
    await world.score(item_of(5, b"[" + body_of(1) + b"," + body_of(1) + b"]"))
    assert len(world.stored) == 2
    assert sorted(doc_id.rpartition(".")[2] for doc_id in world.stored) == ["0", "1"]


async def test_json_lines_say_where_the_second_value_begins() -> None:
    """Two values in one body are never half an event: a dead letter with the position, byte for byte."""
    world = World()
    await world.score(item_of(1, LINES), item_of(3))
    (letter,) = world.blobs.letters
    assert letter.item.reason == "not JSON"
    assert letter.item.exception == f"Extra data at character {len(body_of(1)) + 1}"
    assert letter.item.body == LINES
    assert world.sequence_numbers()["stored"] == [3]


@pytest.mark.parametrize("unwrap", ["object", "array", "records"])
@pytest.mark.parametrize(
    "body", [b'{"heartbeat":true}', b"[]", b'{"records":[]}', b'{"records":null}', LINES]
)
async def test_what_is_not_made_as_declared_is_one_dead_letter(unwrap: str, body: bytes) -> None:
    """Heartbeats, empty lists and JSON lines each are one dead letter under every rule, and stop nobody."""
    good = {
        "object": body_of(2),
        "array": b"[" + body_of(2) + b"]",
        "records": b'{"records":[' + body_of(2) + b"]}",
    }
    world = World(stream=stream_of(unwrap=unwrap))
    await world.score(item_of(1, body), item_of(2, good[unwrap]))
    assert world.sequence_numbers() == {"stored": [2], "queued": [], "dead": [1]}
    assert world.blobs.letters[0].item.body == body
    assert json.loads(world.blobs.dead_letters.popitem()[1])["item"]["reason"]
