"""Graphs cut to what their outputs need: what is left answers as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from everscore_models.errors import ExportError
from everscore_models.graph.cutting import cut
from tests.support.onnx_files import BOOL, FLOAT, graph


def run(model: ModelProto, outputs: list[str], **inputs: Any) -> list[Any]:
    """What a session says; it refuses inputs that the graph has not."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    answers: list[Any] = session.run(outputs, inputs)
    return answers


def constant(name: str, *values: float) -> TensorProto:
    """An initializer."""
    return numpy_helper.from_array(np.array(values, np.float32), name)


def names(values: Any) -> list[str]:
    """Of inputs, outputs or initializers."""
    return [each.name for each in values]


X = np.array([[1.0], [-2.0]], np.float32)


def test_nodes_inputs_and_weights_that_nothing_needs_go() -> None:
    """Two outputs from two inputs: one of them needs one input and one weight."""
    model = graph(
        {"x": (FLOAT, [None, 1]), "label": (FLOAT, [None, 1])},
        [
            helper.make_node("Add", ["x", "one"], ["sum"]),
            helper.make_node("Mul", ["label", "two"], ["twice"]),
            helper.make_node("Identity", ["sum"], ["score"]),
        ],
        {"twice": (FLOAT, [None, 1]), "score": (FLOAT, [None, 1])},
    )
    model.graph.initializer.extend([constant("one", 1), constant("two", 2)])
    model.graph.value_info.extend(
        helper.make_tensor_value_info(name, FLOAT, [None, 1]) for name in ("sum", "other")
    )
    model.metadata_props.add(key="author", value="somebody")
    before = model.SerializeToString()

    small = cut(model, ["score"])

    assert names(small.graph.input) == ["x"]
    assert names(small.graph.output) == ["score"]
    assert names(small.graph.initializer) == ["one"]
    assert names(small.graph.value_info) == ["sum"]
    assert [each.op_type for each in small.graph.node] == ["Add", "Identity"]
    assert small.opset_import == model.opset_import
    assert small.metadata_props == model.metadata_props
    assert small.ir_version == model.ir_version
    assert model.SerializeToString() == before
    np.testing.assert_array_equal(run(small, ["score"], x=X)[0], X + 1)


def test_outputs_come_in_the_order_that_is_asked_for() -> None:
    """An output that another one needs is both: it stays one."""
    model = graph(
        {"x": (FLOAT, [None, 1])},
        [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Exp", ["a"], ["b"])],
        {"a": (FLOAT, [None, 1]), "b": (FLOAT, [None, 1])},
    )

    assert names(cut(model, ["b", "a"]).graph.output) == ["b", "a"]
    assert len(cut(model, ["a"]).graph.node) == 1
    assert len(cut(model, ["b"]).graph.node) == 2


def test_what_the_branches_of_an_if_take_from_outside_stays() -> None:
    """A branch names a node, a weight and an input of the outer graph, and nothing else does."""

    def branch(name: str, *nodes: Any) -> Any:
        made = helper.make_tensor_value_info(f"{name}_out", FLOAT, [None, 1])
        return helper.make_graph(list(nodes), name, [], [made])

    inner = branch(
        "inner",
        helper.make_node("Add", ["hidden", "weight"], ["t"]),
        helper.make_node("Add", ["t", "offset"], ["inner_out"]),
    )
    deeper = branch(
        "deeper",
        helper.make_node("If", ["flag"], ["deeper_out"], then_branch=inner, else_branch=inner),
    )
    model = graph(
        {
            "x": (FLOAT, [None, 1]),
            "offset": (FLOAT, [None, 1]),
            "flag": (BOOL, []),
            "unused": (FLOAT, [None, 1]),
        },
        [
            helper.make_node("Neg", ["x"], ["hidden"]),
            helper.make_node("Neg", ["unused"], ["other"]),
            helper.make_node("If", ["flag"], ["score"], then_branch=deeper, else_branch=deeper),
        ],
        {"score": (FLOAT, [None, 1]), "hidden": (FLOAT, [None, 1])},
    )
    model.graph.initializer.append(constant("weight", 10))

    small = cut(model, ["score"])

    assert names(small.graph.input) == ["x", "offset", "flag"]
    assert names(small.graph.initializer) == ["weight"]
    assert [each.op_type for each in small.graph.node] == ["Neg", "If"]
    feed = {"x": X, "offset": X, "flag": np.array(True)}
    np.testing.assert_array_equal(run(small, ["score"], **feed)[0], np.full_like(X, 10))


def test_what_a_body_makes_itself_is_not_taken_from_outside() -> None:
    """A name that a body makes before it reads it is its own, whatever the outer graph has by that name."""
    body = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["same"]), helper.make_node("Neg", ["same"], ["out"])],
        "body",
        [],
        [helper.make_tensor_value_info("out", FLOAT, [None, 1])],
    )
    model = graph(
        {"x": (FLOAT, [None, 1]), "flag": (BOOL, []), "label": (FLOAT, [None, 1])},
        [
            helper.make_node("If", ["flag"], ["score"], then_branch=body, else_branch=body),
            helper.make_node("Exp", ["label"], ["same"]),
        ],
        {"score": (FLOAT, [None, 1]), "same": (FLOAT, [None, 1])},
    )

    assert names(cut(model, ["score"]).graph.input) == ["x", "flag"]


def test_body_of_a_loop_keeps_its_weights() -> None:
    """A Loop that adds an outer weight three times, whose own inputs are none of the graph's."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["state", "step"], ["next"]),
            helper.make_node("Identity", ["going"], ["still"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", BOOL, []),
            helper.make_tensor_value_info("state", FLOAT, [None, 1]),
        ],
        [
            helper.make_tensor_value_info("still", BOOL, []),
            helper.make_tensor_value_info("next", FLOAT, [None, 1]),
        ],
    )
    model = graph(
        {"x": (FLOAT, [None, 1]), "state": (FLOAT, [None, 1])},
        [
            helper.make_node("Loop", ["times", "", "x"], ["score"], body=body),
            helper.make_node("Neg", ["state"], ["other"]),
        ],
        {"score": (FLOAT, [None, 1]), "other": (FLOAT, [None, 1])},
    )
    times = numpy_helper.from_array(np.array(3, np.int64), "times")
    model.graph.initializer.extend([constant("step", 5), times, constant("rest", 1)])

    small = cut(model, ["score"])

    assert names(small.graph.input) == ["x"]
    assert names(small.graph.initializer) == ["step", "times"]
    np.testing.assert_array_equal(run(small, ["score"], x=X)[0], X + 15)


def test_functions_of_the_model_stay() -> None:
    """A graph that calls a function of its own still finds it."""
    model = graph(
        {"x": (FLOAT, [None, 1]), "label": (FLOAT, [None, 1])},
        [
            helper.make_node("Twice", ["x"], ["score"], domain="own"),
            helper.make_node("Neg", ["label"], ["other"]),
        ],
        {"score": (FLOAT, [None, 1]), "other": (FLOAT, [None, 1])},
    )
    model.opset_import.append(helper.make_opsetid("own", 1))
    twice = helper.make_node("Add", ["a", "a"], ["b"])
    model.functions.append(
        helper.make_function("own", "Twice", ["a"], ["b"], [twice], [helper.make_opsetid("", 18)])
    )

    small = cut(model, ["score"])

    assert names(small.functions) == ["Twice"]
    np.testing.assert_array_equal(run(small, ["score"], x=X)[0], 2 * X)


def test_output_that_there_is_not_is_refused() -> None:
    """The sentence names those that there are."""
    model = graph(
        {"x": (FLOAT, [None, 1])}, [helper.make_node("Neg", ["x"], ["y"])], {"y": (FLOAT, [None, 1])}
    )
    with pytest.raises(ExportError, match="no output 'z': it has 'y'"):
        cut(model, ["z"])
