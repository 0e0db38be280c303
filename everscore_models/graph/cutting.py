"""A graph cut to what some of its outputs need, so that nothing else is asked of an event.

Exporters write more than a score needs: ML.NET makes every column of the training data an input and an
output, the label too. What is left answers just as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from everscore_models.errors import ExportError


def cut(model: ModelProto, outputs: Sequence[str]) -> ModelProto:
    """A model with just these outputs, and of nodes, inputs and weights only what they need.

    Functions, imports of operators and metadata stay as they are; so does all within the bodies of If, Loop
    and Scan, and what these take from outside.

    Args:
        model: stays as it is.
        outputs: names of outputs of its graph, in the order that they shall have.

    Raises:
        ExportError: the graph has no such output.
    """
    offered = {each.name: each for each in model.graph.output}
    if lacking := [name for name in outputs if name not in offered]:
        raise ExportError(
            f"The file has no output {', '.join(f"'{each}'" for each in lacking)}: it has "
            f"{', '.join(f"'{each}'" for each in offered)}."
        )
    nodes, needed = _needed(model.graph, outputs)
    kept: dict[str, list[Any]] = {
        "node": nodes,
        "input": [each for each in model.graph.input if each.name in needed],
        "output": [offered[name] for name in outputs],
        "initializer": [each for each in model.graph.initializer if each.name in needed],
        "sparse_initializer": [each for each in model.graph.sparse_initializer if each.values.name in needed],
        "value_info": [
            each for each in model.graph.value_info if each.name in needed and each.name not in offered
        ],
        "quantization_annotation": [
            each for each in model.graph.quantization_annotation if each.tensor_name in needed
        ],
    }
    graph = GraphProto()
    for field, value in model.graph.ListFields():
        if field.name not in kept:
            _set(graph, field.name, value)
    for name, values in kept.items():
        getattr(graph, name).extend(values)
    made = ModelProto()
    for field, value in model.ListFields():
        if field.name != "graph":
            _set(made, field.name, value)
    made.graph.CopyFrom(graph)
    return made


def _set(message: Any, name: str, value: Any) -> None:
    try:
        setattr(message, name, value)
    except (AttributeError, TypeError):  # repeated, which protobuf lets nobody assign
        getattr(message, name).extend(value)


def _needed(graph: GraphProto, outputs: Sequence[str]) -> tuple[list[NodeProto], set[str]]:
    """The nodes that the outputs need, in their order, and the names of all that these nodes read."""
    needed = set(outputs)
    # A quantized tensor stands for its scale and its zero point, which no node need name.
    for annotation in graph.quantization_annotation:
        needed |= {each.value for each in annotation.quant_parameter_tensor_names}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):  # a node stands behind those that it reads, as ONNX demands
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(reads(node))
    return kept[::-1], needed


def reads(node: NodeProto) -> Iterator[str]:
    """What a node takes: its inputs, and what the graphs within it take from outside them."""
    yield from (name for name in node.input if name)
    for inner in bodies(node):
        own = {each.name for each in inner.input}
        own |= {each.name for each in inner.initializer}
        own |= {each.values.name for each in inner.sparse_initializer}
        for each in inner.node:
            # What the body itself has made by now hides a name of outside.
            yield from (name for name in reads(each) if name not in own)
            own.update(each.output)
        yield from (each.name for each in inner.output if each.name not in own)


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs within a node: the branches of If, the bodies of Loop and Scan."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
