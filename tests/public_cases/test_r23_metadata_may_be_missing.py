"""R23: enqueued time, offset and partition key are None.

Condition: no partition key set by the sender, an older library, per-event metadata only in arrays.
Right: any metadata may be None; an identity that no field of the payload gives falls back to the place in the
hub, then to the content; never a KeyError, never the text 'None'.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from everscore_local.functions.event_hub_data import build_many
from tests.support.app import ENDLESS, SOURCE, copy_app, received, worker
from tests.support.flights import bodies, body, flight
from tests.support.read_back import dead_letters, documents
from tests.support.services import Services

NOTHING = {"SequenceNumber": None, "Offset": None, "PartitionKey": None, "EnqueuedTimeUtc": None}


async def test_an_event_without_any_metadata_is_stored(tmp_path: Path, services: Services) -> None:
    """Events of which the host says nothing are stored, what is unknown as null."""
    trigger = build_many(received(*bodies(1, 2)), "events", "BINARY", SOURCE)
    bare = [("SystemPropertiesArray", "json", json.dumps([NOTHING, {}]))]
    async with worker(copy_app(tmp_path / "app"), services.settings()) as running:
        result = await running.invoke("score_events", trigger.inputs, bare, (0, ENDLESS, None))
    assert result.error is None
    found = documents(services)
    assert {each["event"]["flight"] for each in found} == {1, 2}
    unknown = ("namespace", "partition", "sequenceNumber", "offset", "enqueuedAt")
    assert [[each["source"][name] for name in unknown] for each in found] == [[None] * 5] * 2
    assert {each["source"]["hub"] for each in found} == {"events"}
    assert "None" not in json.dumps([each["source"] for each in found])


@pytest.mark.parametrize("known", [True, False], ids=["place known", "nothing known"])
async def test_without_an_id_the_place_or_the_content_is_one(
    tmp_path: Path, services: Services, known: bool
) -> None:
    """Where stream.json maps no id, it is made of the place in the hub, or of the body; a repeat gives the same."""
    app = copy_app(tmp_path / "app", stream={"id": None})
    trigger = build_many(received(*bodies(1, 2), first=7), "events", "BINARY", SOURCE)
    metadata: list[Any] = (
        trigger.metadata if known else [("SystemPropertiesArray", "json", json.dumps([NOTHING, NOTHING]))]
    )
    async with worker(app, services.settings()) as running:
        for _ in range(2):
            result = await running.invoke("score_events", trigger.inputs, metadata, (0, ENDLESS, None))
            assert result.error is None
    ids = [each["id"] for each in documents(services)]
    assert len(ids) == 2
    assert all("None" not in id_ for id_ in ids)
    assert all(id_.startswith("events.0." if known else "~b") for id_ in ids)


async def test_application_properties_reach_their_own_event(tmp_path: Path, services: Services) -> None:
    """An id in an application property is taken from its own event, and its absence is that event's own fault."""
    app = copy_app(tmp_path / "app", stream={"id": {"property": "number"}})
    events = received(body(flight(1)), body(flight(2)), body(flight(3)))
    events[0].properties["number"] = "one"
    events[2].properties["number"] = "three"
    async with worker(app, services.settings()) as running:
        assert (await running.score(events)).error is None
    assert {each["id"]: each["event"]["flight"] for each in documents(services)} == {"one": 1, "three": 3}
    (letter,) = dead_letters(services)
    assert (letter["item"]["reason"], letter["item"]["field"]) == ("id missing", "property number")
