"""From an output of a graph back to the node that makes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

PASS_ON = frozenset(
    {"Identity", "Cast", "CastLike", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"}
)
"""Operators that change the form of their first input, and not what its values mean."""


class Tracer:
    """Finds the makers of the tensors of one model's graph; functions of the model are looked through."""

    def __init__(self, model: ModelProto) -> None:
        self._graph = model.graph
        self._maker = {name: node for node in model.graph.node for name in node.output if name}
        self._functions = {(each.domain, each.name): each for each in model.functions}

    def maker(self, name: str) -> NodeProto | None:
        """The node that makes a tensor; None for an input or a constant of the graph."""
        return self._maker.get(name)

    def origin(self, name: str, through: frozenset[str] = PASS_ON) -> tuple[str, NodeProto | None]:
        """The tensor behind all that only passes it on, and the node that makes it."""
        while True:
            node = self._maker.get(name)
            if node is None or node.op_type not in through or not node.input:
                return name, node
            name = node.input[0]

    def operator(self, node: NodeProto, output: str) -> NodeProto:
        """The node itself, or where it calls a function, the node in there that makes this output."""
        function = self._functions.get((node.domain, node.op_type))
        if function is None or output not in node.output:
            return node
        wanted = function.output[list(node.output).index(output)]
        made = {name: each for each in function.node for name in each.output}
        while wanted in made and made[wanted].op_type in PASS_ON:
            wanted = made[wanted].input[0]
        inner = made.get(wanted)
        return node if inner is None else self.operator(inner, wanted)

    def behind(self, name: str) -> Iterator[NodeProto]:
        """All nodes that a tensor needs, the nearest first, each once."""
        waiting, seen = [name], set[int]()
        while waiting:
            node = self._maker.get(waiting.pop(0))
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            waiting.extend(node.input)

    def constant(self, name: str) -> Any:
        """The values of a constant as a numpy array; None where the tensor is none."""
        for each in self._graph.initializer:
            if each.name == name:
                return numpy_helper.to_array(each)
        node = self._maker.get(name)
        if node is None or node.op_type != "Constant":
            return None
        value = next(iter(attributes(node).values()), None)
        return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def attributes(node: NodeProto) -> dict[str, Any]:
    """A node's attributes by name: numbers, texts and lists of them as Python's."""
    return {
        each.name: _plain(helper.get_attribute_value(each))
        for each in node.attribute
        if each.type not in (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
