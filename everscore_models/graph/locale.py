"""Whether a graph gives the same scores of a text on every machine."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

_EVERYWHERE = ("C", "POSIX")
_WAY_OUT = (
    "lower-case the texts in features.py and export without it (lowercase=False), which everscore_models "
    "does by itself for a scikit-learn pipeline"
)


def locale_faults(model: ModelProto) -> list[str]:
    """The nodes that need a locale of the operating system; one sentence each."""
    return [
        f"The node '{node.name or node.output[0]}' (StringNormalizer) lower-cases by a locale of the "
        f"operating system ({_text(node, 'locale', 'en_US.UTF-8')}), which slim images lack: {_WAY_OUT}."
        for node in nodes_within(model.graph)
        if node.op_type == "StringNormalizer" and _needs_locale(node)
    ]


def ascii_faults(model: ModelProto) -> list[str]:
    """The nodes that know no letters beyond ASCII's; one sentence each."""
    faults: list[str] = []
    for node in nodes_within(model.graph):
        pattern = _text(node, "tokenexp", "") if node.op_type == "Tokenizer" else ""
        if "a-z" in pattern.lower():
            faults.append(
                f"The node '{node.name or node.output[0]}' (Tokenizer) takes the letters of ASCII alone "
                f"({pattern}), so that it splits a word at each accent: {_WAY_OUT}."
            )
    return faults


def nodes_within(graph: GraphProto) -> Iterator[NodeProto]:
    """All nodes of a graph, and of the graphs within it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from nodes_within(attribute.g)
            for inner in attribute.graphs:
                yield from nodes_within(inner)


def _needs_locale(node: NodeProto) -> bool:
    """As onnxruntime decides it: for a change of case, and for stop words that are compared without it."""
    if _text(node, "locale", "en_US.UTF-8") in _EVERYWHERE:
        return False
    values = {each.name: each for each in node.attribute}
    changes = _text(node, "case_change_action", "NONE") != "NONE"
    sensitive = values["is_case_sensitive"].i if "is_case_sensitive" in values else 0
    stop_words = len(values["stopwords"].strings) if "stopwords" in values else 0
    return changes or (not sensitive and stop_words > 0)


def _text(node: NodeProto, name: str, default: str) -> str:
    for each in node.attribute:
        if each.name == name:
            return bytes(each.s).decode(errors="replace")
    return default
