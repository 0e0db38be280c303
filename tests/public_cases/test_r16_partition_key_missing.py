"""R16: a missing partition key value is accepted, and all such items pile up in one logical partition.

Condition: no device id, a null one, or a nested path whose parent is no object.
Right: presence and type are checked before the write; each is a dead letter with its own reason and field.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes import World, item_of, stream_of

CASES = {
    "no parent": ({}, "partition key missing"),
    "no field": ({"device": {}}, "partition key missing"),
    "parent is text": ({"device": "7"}, "partition key of the wrong type"),
    "parent is null": ({"device": None}, "partition key missing"),
    "parent is a list": ({"device": [{"id": 7}]}, "partition key missing"),
    "null": ({"device": {"id": None}}, "partition key is null"),
    "empty": ({"device": {"id": ""}}, "partition key is empty"),
    "object": ({"device": {"id": {"a": 1}}}, "partition key of the wrong type"),
    "list": ({"device": {"id": [7]}}, "partition key of the wrong type"),
    "true": ({"device": {"id": True}}, "partition key of the wrong type"),
}


@pytest.mark.parametrize(("fields", "reason"), CASES.values(), ids=CASES)
async def test_without_a_key_nothing_is_written(fields: dict[str, Any], reason: str) -> None:
    """The event is a dead letter that names the field; its neighbours are written under their own key."""
    world = World(stream=stream_of(partitionKey=["/device/id"]))
    await world.score(item_of(1, device={"id": 7}), item_of(2, **fields), item_of(3, device={"id": "seven"}))
    assert world.sequence_numbers() == {"stored": [1, 3], "queued": [], "dead": [2]}
    (letter,) = world.blobs.letters
    assert (letter.item.stage, letter.item.reason, letter.item.field) == ("validate", reason, "/device/id")
    assert {pk for pk, _ in world.store.documents} == {"~n7", "seven"}


async def test_a_number_and_its_text_are_different_keys() -> None:
    """7 and "7" do not share a partition, so that neither hides the other's documents."""
    world = World(stream=stream_of(partitionKey=["/device/id"]))
    await world.score(item_of(1, id="a", device={"id": 7}), item_of(2, id="a", device={"id": "7"}))
    assert sorted(world.store.documents) == [("7", "a"), ("~n7", "a")]
