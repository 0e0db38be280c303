"""Integers beyond 2^53: what checks a model, what tries events out and what scores them read the same number."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from everscore.clock.deadline import Deadline
from everscore.decode.decoder import Decoder
from everscore.decode.memory import Memory
from everscore.event.event import Event
from everscore.event.item import Item, Source
from everscore.event.stream import load_stream
from everscore.flow.processing import Processed, Processing
from everscore.score.loading import ModelSource
from everscore.score.used_models import ModelInUse
from everscore.store.writer import Writer
from everscore_cli.dry_run import DryRun
from everscore_cli.sources import read_chunks
from everscore_models.check import check
from tests.fakes import FakeStore

NUMBERS = [2**53 + 1, 2**63 - 1, -(2**63)]


def model_in(folder: Path, kind: str) -> None:
    """A regressor that answers with the last three digits of an integer, or with 0 for any text."""
    if kind == "integer":
        nodes = [
            helper.make_node("Mod", ["x", "thousand"], ["digits"]),
            helper.make_node("Cast", ["digits"], ["y"], to=TensorProto.DOUBLE),
        ]
        constants = [helper.make_tensor("thousand", TensorProto.INT64, [1], [1_000])]
        type_of_x = TensorProto.INT64
    else:
        nodes = [
            helper.make_node("Equal", ["x", "x"], ["same"]),
            helper.make_node("Not", ["same"], ["other"]),
            helper.make_node("Cast", ["other"], ["y"], to=TensorProto.DOUBLE),
        ]
        constants = []
        type_of_x = TensorProto.STRING
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", type_of_x, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None, 1])],
        constants,
    )
    content = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9
    ).SerializeToString()
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    manifest = {
        "schema": 1,
        "name": "digits",
        "version": "1",
        "kind": "regressor",
        "sha256": hashlib.sha256(content).hexdigest(),
        "inputs": [{"name": "x", "pointer": "/x", "type": kind}],
        "outputs": {"value": "y"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def app_in(folder: Path, kind: str) -> Path:
    """An app whose events are numbers at /x, each with the key that it is."""
    model_in(folder / "models" / "digits", kind)
    stream = {"schema": 2, "unwrap": "object", "id": "/x", "partitionKey": ["/x"], "model": "digits"}
    (folder / "stream.json").write_text(json.dumps(stream))
    return folder


async def scored(app: Path, bodies: list[bytes]) -> tuple[list[Event], FakeStore]:
    """The events as production takes them to the store."""
    events: list[Event] = []
    store = FakeStore()

    async def settle(processed: Processed) -> None:
        events.extend(processed.events)

    processing = Processing(
        decoder=Decoder(load_stream(app / "stream.json")),
        memory=Memory(1 << 24),
        models=[ModelInUse("digits", ModelSource(app / "models" / "digits", threads=1))],
        writer=Writer(store, parallel=4, patience=60),
    )
    items = [
        Item(body=body, source=Source("ns", "hub", "0", number, "0", "2026-11-25T10:00:00.000Z"))
        for number, body in enumerate(bodies)
    ]
    await processing.run(items, Deadline.after(60), settle)
    return events, store


async def test_hole_07_an_integer_input_takes_all_64_bits_wherever_it_is_scored(tmp_path: Path) -> None:
    """The check of the model, `send --dry-run` and production score a 64-bit integer, digit for digit."""
    app = app_in(tmp_path, "integer")
    folder = app / "models" / "digits"
    bodies = [json.dumps({"x": number}).encode() for number in NUMBERS]
    lines = [json.dumps({"label": None, "value": number % 1_000, "values": {}}) for number in NUMBERS]
    (folder / "sample.jsonl").write_bytes(b"\n".join(bodies))
    (folder / "expected.jsonl").write_text("\n".join(lines))
    assert check(folder).rows == len(NUMBERS)

    trial = DryRun(app, {})
    for chunk in read_chunks(str(folder / "sample.jsonl")):
        trial.take(chunk)
    assert (trial.scored, trial.refused) == (len(NUMBERS), [])
    assert trial.as_json()["first"]["scores"]["digits"]["value"] == NUMBERS[0] % 1_000

    events, store = await scored(app, bodies)
    assert [event.failure for event in events] == [None] * len(NUMBERS)
    found = {document["id"]: document for document in store.documents.values()}
    assert {doc_id: document["scores"]["digits"]["value"] for doc_id, document in found.items()} == {
        f"~n{number}": number % 1_000 for number in NUMBERS
    }
    assert {document["event"]["x"] for document in found.values()} == set(map(str, NUMBERS))
    assert all(document["pipeline"]["textNumbers"] == ["/x"] for document in found.values())


@pytest.mark.parametrize("number", [7, 2**53 + 1])
async def test_hole_07_a_text_input_refuses_a_number_of_any_size(tmp_path: Path, number: int) -> None:
    """That a document holds a long integer as a text makes it no text for a model, in a trial as in production."""
    app = app_in(tmp_path, "text")
    body = json.dumps({"x": number}).encode()
    (tmp_path / "events.jsonl").write_bytes(body)
    trial = DryRun(app, {})
    for chunk in read_chunks(str(tmp_path / "events.jsonl")):
        trial.take(chunk)
    [refused] = trial.refused
    [event], store = await scored(app, [body])
    assert event.failure is not None
    for failure in (refused.failure, event.failure):
        assert (failure.reason, failure.field) == ("wrong type of input", "/x")
    assert not store.documents
