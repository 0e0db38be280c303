"""The committed JSON Schemas say what the code writes and reads."""

from __future__ import annotations

import base64
import functools
import json
import zlib
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everscore.event.item import Item
from everscore.retry.claim_checks import encode_item
from everscore.retry.dead_letter import DeadLetter, encode_dead_letter
from everscore.retry.packing import pack
from everscore.store import documents
from tests.fakes import LARGE, World, body_of, item_of
from tests.support import schemas
from tests.support.items import ITEMS, waiting


@functools.cache  # a schema is checked once, not for each example
def validator(name: str) -> jsonschema.Draft202012Validator:
    """Of a committed schema."""
    schema = json.loads((schemas.FOLDER / name).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", schemas.schemas())
def test_the_committed_schema_is_that_of_the_code(name: str) -> None:
    """Written anew by `python -m tests.support.schemas`, it is what is committed, every field described."""
    made = schemas.schemas()[name]
    assert (schemas.FOLDER / name).read_text() == schemas.text_of(made)
    for struct in made.get("$defs", {}).values():
        for field, says in struct["properties"].items():
            assert "description" in says or field == "schema", (name, field)


@settings(max_examples=50)
@given(st.lists(ITEMS, min_size=1, max_size=3))
def test_what_is_written_is_what_the_schemas_say(items: list[Item]) -> None:
    """Message, items, claim check and dead letter are valid, whatever is in them."""
    for packed in pack(items)[0]:
        message = json.loads(packed.message)
        validator("envelope.schema.json").validate(message)
        held = msgspec.msgpack.decode(zlib.decompress(base64.b64decode(message["items"])))
        validator("items.schema.json").validate(msgspec.to_builtins(held))
    for item in items:
        validator("claim-check.schema.json").validate(json.loads(encode_item(item)))
        letter = encode_dead_letter(DeadLetter(item, "2026-11-25T10:00:00.000Z"))
        validator("dead-letter.schema.json").validate(json.loads(letter))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("envelope.schema.json", {"schema": 1, "items": "x"}),
        ("items.schema.json", [{"attempts": -1}]),
        ("items.schema.json", [{"kind": "word"}]),
        ("claim-check.schema.json", {"item": {"source": []}, "schema": 2}),
        ("dead-letter.schema.json", {"item": {}, "schema": 2}),
    ],
)
def test_what_no_reader_takes_is_not_valid(name: str, wrong: Any) -> None:
    """The schemas refuse what the readers refuse."""
    assert not validator(name).is_valid(wrong)


async def test_every_document_is_what_its_schema_says() -> None:
    """Stored at once, after failures, in place of another: a document has no field that the schema does not name."""
    world = World()
    with world.store.refusing():
        await world.score(item_of(1, pad=LARGE), item_of(2))
    await world.retry()
    plain = Item(body=body_of(3, big=2**60), traceparent="00-trace")
    await world.score(plain)
    world.store.put(
        {**world.stored["id-2"], "outcome": {**OUTCOME, "source": world.stored["id-2"]["source"]}}
    )
    await world.score(item_of(9, body_of(2, time="2026-11-26T10:00:00Z")))
    assert len(world.stored) == 3
    for document in world.stored.values():
        validator("document.schema.json").validate(document)
        assert document["schema"] == documents.SCHEMA
    assert {"history", "firstFailedAt"} <= set(world.stored["id-1"]["pipeline"])
    assert {"textNumbers", "traceparent"} <= set(world.stored["id-3"]["pipeline"])
    assert "outcome" in world.stored["id-2"]


OUTCOME = {"label": "late", "time": "2026-11-26T10:00:00.000000Z"}


@pytest.mark.parametrize("field", ["pipeline", "source", "scores", "fingerprint"])
async def test_a_document_without_a_pinned_field_is_not_valid(field: str) -> None:
    """The schema misses what is missing, and takes no field that nobody knows."""
    world = World()
    await world.score(item_of(1))
    document = world.stored["id-1"]
    check = validator("document.schema.json")
    assert check.is_valid(document)
    assert not check.is_valid({name: value for name, value in document.items() if name != field})
    assert not check.is_valid({**document, "wonder": 1})


def test_a_document_of_release_1_is_valid() -> None:
    """Schema 1 is read for ever, and is a part of schema 2."""
    item = waiting(1)
    document = {
        "schema": 1,
        "id": item.id,
        "pk": item.pk,
        "key": {"id": "UA-1", "pk": ["UA", "2013-09-01"]},
        "time": item.time,
        "event": {"carrier": "UA"},
        "scores": msgspec.to_builtins(item.scores),
        "fingerprint": "0" * 64,
        "source": documents.source_document(item.source),
        "pipeline": {"storedAt": "2026-11-25T10:00:00.000Z", "attempts": 1, "textNumbers": ["/n"]},
    }
    validator("document.schema.json").validate(document)
