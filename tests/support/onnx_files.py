"""Small ONNX files made by hand, their folders, and what a loaded model says of a payload."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnx import ModelProto, TensorProto, helper

from everscore.event.scores import Scores
from everscore.failures import Permanent, Stage
from everscore.score.model import Model

FLOAT, DOUBLE, INT64, INT32 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.INT32
BOOL, STRING = TensorProto.BOOL, TensorProto.STRING


def graph(
    inputs: dict[str, tuple[int, Sequence[Any]]],
    nodes: list[Any],
    outputs: dict[str, tuple[int, Sequence[Any]]],
) -> ModelProto:
    """An ONNX model out of nodes; inputs and outputs as name: (type, shape)."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info(name, *each) for name, each in inputs.items()],
            [helper.make_tensor_value_info(name, *each) for name, each in outputs.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=9,
    )


def echo(kind: int, shape: Sequence[Any] = (None, 1)) -> ModelProto:
    """A regressor that answers with its one input."""
    cast = helper.make_node("Cast", ["x"], ["y"], to=DOUBLE)
    return graph({"x": (kind, shape)}, [cast], {"y": (DOUBLE, shape)})


def write(folder: Path, model: ModelProto, **manifest: Any) -> Path:
    """A model's folder: by default a regressor from one number at /x to y."""
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    document = {
        "schema": 1,
        "name": "test",
        "version": "1",
        "kind": "regressor",
        "sha256": hashlib.sha256(content).hexdigest(),
        "inputs": [{"name": "x", "pointer": "/x", "type": "number"}],
        "outputs": {"value": "y"},
    } | manifest
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder


def an_input(kind: str, missing: Any = "reject") -> list[dict[str, Any]]:
    """The inputs of a manifest with one input x of a type."""
    return [{"name": "x", "pointer": "/x", "type": kind, "missing": missing}]


def outcome(model: Model, payload: object) -> tuple[str, object]:
    """Of one payload: ("score", value), or the failure's reason and field."""
    (result,) = model.score([payload])
    if isinstance(result, Scores):
        return "score", result.value
    assert isinstance(result, Permanent)
    assert result.stage is Stage.SCORE
    assert result.detail.endswith(".")
    return result.reason, result.field


def scores(model: Model, payloads: Sequence[object]) -> list[Scores]:
    """The scores of payloads that the model takes."""
    results = model.score(payloads)
    assert all(isinstance(each, Scores) for each in results), results
    return [each for each in results if isinstance(each, Scores)]
