"""The names of classes, as far as a graph holds them."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from everscore_models.graph.tracing import PASS_ON, Tracer, attributes

_CLASSIFIERS = frozenset({"TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier"})
_NAMES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")

type Classes = tuple[int | str, ...]


def classes_of(model: ModelProto, output: str) -> Classes | None:
    """The classes in the order of the scores' columns, found from an output back; None: they stand nowhere.

    Args:
        model: whose graph it is.
        output: with the labels, the probabilities or the maps of them.
    """
    tracer = Tracer(model)
    _, node = tracer.origin(output)
    return None if node is None else _of_node(tracer, node)


def _of_node(tracer: Tracer, node: NodeProto) -> Classes | None:
    held = attributes(node)
    match node.op_type:
        case "ZipMap":
            return _first(held, _NAMES) or _behind(tracer, node)
        case "LabelEncoder":
            return _decoded(held)
        case "ArrayFeatureExtractor":
            return _picked(tracer, node)
        case "Gather":
            return _constant(tracer, node.input[0])
        case "ArgMax" | "Normalizer" | "Softmax" | "Max":
            return _behind(tracer, node)
        case name if name in _CLASSIFIERS:
            return _first(held, _NAMES)
    return None


def _behind(tracer: Tracer, node: NodeProto) -> Classes | None:
    _, maker = tracer.origin(node.input[0])
    return None if maker is None else _of_node(tracer, maker)


def _first(held: dict[str, Any], names: tuple[str, ...]) -> Classes | None:
    return next((tuple(held[name]) for name in names if held.get(name)), None)


def _decoded(held: dict[str, Any]) -> Classes | None:
    """What a LabelEncoder makes of the classes' numbers, in the order of these numbers."""
    keys = _attribute(held, "keys")
    values = _attribute(held, "values")
    if not keys or not values or len(keys) != len(values) or any(isinstance(each, str) for each in keys):
        return None
    ordered = [value for _, value in sorted(zip(keys, values, strict=True), key=lambda pair: pair[0])]
    return _classes(ordered)


def _attribute(held: dict[str, Any], name: str) -> list[Any] | None:
    for kind in ("strings", "int64s", "floats"):
        if held.get(f"{name}_{kind}"):
            return list(held[f"{name}_{kind}"])
    tensor = held.get(f"{name}_tensor")
    return _texts(numpy_helper.to_array(tensor).tolist()) if isinstance(tensor, TensorProto) else None


def _picked(tracer: Tracer, node: NodeProto) -> Classes | None:
    """The classes out of which skl2onnx picks the label, the columns being in their order."""
    found = _constant(tracer, node.input[0])
    if found is not None:
        return found
    _, maker = tracer.origin(node.input[0], PASS_ON)
    return None if maker is None else _of_node(tracer, maker)


def _constant(tracer: Tracer, name: str) -> Classes | None:
    name, _ = tracer.origin(name)
    values = tracer.constant(name)
    return None if values is None else _classes(_texts(list(getattr(values, "flat", values))))


def _texts(values: list[Any]) -> list[Any]:
    plain = [each.item() if hasattr(each, "item") else each for each in values]
    return [each.decode(errors="replace") if isinstance(each, bytes) else each for each in plain]


def _classes(values: list[Any]) -> Classes | None:
    """Whole numbers and texts as they are, other numbers as whole ones where they are."""
    found: list[int | str] = []
    for each in values:
        if isinstance(each, float):
            found.append(int(each) if each.is_integer() else str(each))
        elif isinstance(each, bool | int | str):
            found.append(int(each) if isinstance(each, bool) else each)
        else:
            return None
    return tuple(found) or None
