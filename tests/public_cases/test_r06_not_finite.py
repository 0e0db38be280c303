"""R06: the store answers 400 "request payload is invalid" and names no field.

Condition: an event with NaN or 1e400, or a score that is NaN or infinite; Python's json lets both through.
Right: such an input is a dead letter that names the field; such a score is one too; nothing that is not
finite is ever sent to the store.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from tests.support.app import copy_app, received, worker
from tests.support.flights import bodies, body, flight
from tests.support.read_back import dead_letters, documents, queued
from tests.support.services import Services


async def test_a_number_that_is_not_finite_is_named_before_the_network(
    tmp_path: Path, services: Services
) -> None:
    """NaN, Infinity and 1e400 are dead letters with their field, in a model's input or not; neighbours are stored."""
    bad = [
        body(flight(1, distance=float("nan"))),
        body(flight(2, dep_delay=float("-inf"))),
        body(flight(3, extra={"list": [1, float("inf")]})),
        body(flight(4)).replace(b'"distance": 1400', b'"distance": 1e400'),
    ]
    refused = services.gateway.state()["statuses"].get("400", 0)
    async with worker(copy_app(tmp_path / "app"), services.settings()) as running:
        assert (await running.score(received(*bodies(0), *bad, *bodies(*range(5, 11))))).error is None
    assert services.gateway.state()["statuses"].get("400", 0) == refused
    assert {each["event"]["flight"] for each in documents(services)} == {0, *range(5, 11)}
    found = {letter["body"]: letter["item"] for letter in dead_letters(services)}
    assert {text: (item["reason"], item["field"]) for text, item in found.items()} == {
        bad[0]: ("number not finite", "/distance"),
        bad[1]: ("number not finite", "/dep_delay"),
        bad[2]: ("number not finite", "/extra/list/1"),
        bad[3]: ("number not finite", "/distance"),
    }


def logarithm_model(folder: Path) -> None:
    """A model whose score is the logarithm of ``/x``: not finite for 0 and below."""
    node = helper.make_node("Log", ["x"], ["y"])
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])]
    made = helper.make_model(
        helper.make_graph([node], "log", inputs, outputs),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    onnx.checker.check_model(made)
    data = made.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    manifest = {
        "schema": 1,
        "name": "flights",
        "version": "1",
        "kind": "regressor",
        "sha256": hashlib.sha256(data).hexdigest(),
        "inputs": [{"name": "x", "pointer": "/x", "type": "number", "missing": "reject"}],
        "outputs": {"value": "y"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


async def test_a_score_that_is_not_finite_is_a_dead_letter(tmp_path: Path, services: Services) -> None:
    """A model's NaN and infinity are dead letters at the stage of scoring, with nothing written for them."""
    app = copy_app(tmp_path / "app", model=False)
    logarithm_model(app / "models" / "flights")
    events = [body(flight(number, x=x)) for number, x in enumerate((1, 0, -1, 10, 10))]
    async with worker(app, services.settings()) as running:
        assert (await running.score(received(*events))).error is None
    scores = {each["event"]["flight"]: each["scores"]["flights"]["value"] for each in documents(services)}
    letters = {letter["body"]: letter["item"] for letter in dead_letters(services)}
    assert set(scores) == {0, 3, 4}
    assert abs(scores[3] - 2.302585) < 1e-5
    assert set(letters) == {events[1], events[2]}
    assert {(item["stage"], item["reason"]) for item in letters.values()} == {("score", "score not finite")}
    assert queued(services) == 0
