"""What boosted trees are written into: a graph of their own, or the graph of a scikit-learn pipeline."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from everscore.score.columns import Array
from everscore_models.target import TARGET_IR, TARGET_OPSET

ML = "ai.onnx.ml"
DOUBLE = TensorProto.DOUBLE
FLOAT = TensorProto.FLOAT


class Graph(Protocol):
    """A graph under construction; values go by their names in it."""

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Adds a node of one output, and returns that output's name."""

    def constant(self, values: Array) -> str:
        """Adds a constant tensor, and returns its name."""


class OwnGraph:
    """The graph of a whole ONNX file: one matrix in, and what is chosen of it out."""

    def __init__(self, tensor: str, columns: int, dtype: int) -> None:
        """Begins a graph.

        Args:
            tensor: the input's name.
            columns: its second dimension.
            dtype: its type, as ONNX numbers them.
        """
        self._input = helper.make_tensor_value_info(tensor, dtype, [None, columns])
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """See `Graph.add`."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name, domain=domain, **attributes))
        return name

    def constant(self, values: Array) -> str:
        """See `Graph.constant`."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def content(self, value: str, output: str, width: int, dtype: int) -> bytes:
        """The ONNX file whose one output is this value, of so many columns."""
        self._nodes.append(helper.make_node("Identity", [value], [output], output))
        graph = helper.make_graph(
            self._nodes,
            "everscore",
            [self._input],
            [helper.make_tensor_value_info(output, dtype, [None, width])],
            self._constants,
        )
        opsets = [helper.make_opsetid(domain, number) for domain, number in sorted(TARGET_OPSET.items())]
        model: ModelProto = helper.make_model(
            graph, opset_imports=opsets, ir_version=TARGET_IR, producer_name="everscore"
        )
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def cast(graph: Graph, value: str, dtype: int) -> str:
    """The value in another type."""
    return graph.add("Cast", value, to=dtype)


def where_columns(graph: Graph, chosen: Array, changed: str, other: str) -> str:
    """Of the chosen columns of a matrix (bool [columns]) the one value, of all others the other."""
    return graph.add("Where", graph.constant(chosen.reshape(1, -1)), changed, other)


def two_columns(graph: Graph, probability: str, dtype: Any) -> str:
    """The probabilities of both classes, of that of the second, [rows, 1]."""
    one = graph.constant(np.array([[1.0]], dtype))
    return graph.add("Concat", graph.add("Sub", one, probability), probability, axis=1)
