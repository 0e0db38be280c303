"""What the last operators of a graph, and the names of its outputs, say of the numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto

from onnx import ModelProto, NodeProto

from everscore_models.graph.tracing import PASS_ON, Tracer, attributes


class Meaning(Enum):
    """What the numbers of an output are, as far as its graph says."""

    SHARES = auto()
    """Probabilities of classes of which each row has one: they add up to 1."""
    CHANCES = auto()
    """Each number is a probability of its own."""
    LOGITS = auto()
    """Numbers of classes that a softmax or a sigmoid makes probabilities of."""
    MARGINS = auto()
    """How far a row is from the borders between classes: no probabilities, and no logits either."""
    DISTANCES = auto()
    """To clusters, of which the nearest is taken."""
    PREDICTION = auto()
    """Of a number, by an operator for regression."""
    UNSAID = auto()


_REGRESSORS = frozenset({"TreeEnsembleRegressor", "LinearRegressor", "SVMRegressor"})
_CLASSIFIERS = frozenset({"TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier"})
# A choice among columns or rows, and a limit to 0..1, leave probabilities what they are.
_LEAVE = PASS_ON | {"Clip", "Concat", "Slice", "Gather", "Dropout"}
_PROBABILITIES = re.compile(r"prob|softmax|sigmoid", re.IGNORECASE)
_LOGITS = re.compile(r"logit", re.IGNORECASE)


def meaning_of(model: ModelProto, output: str) -> Meaning:
    """What the numbers of an output are: by the operator that makes them, else by the output's name."""
    found = computed_meaning(model, output)
    if found is not Meaning.UNSAID:
        return found
    if _LOGITS.search(output):
        return Meaning.LOGITS
    return Meaning.SHARES if _PROBABILITIES.search(output) else Meaning.UNSAID


def computed_meaning(model: ModelProto, output: str) -> Meaning:
    """What the numbers of an output are by the operator that makes them, whatever they are called."""
    return _of(Tracer(model), output)


def _of(tracer: Tracer, name: str) -> Meaning:
    name, node = tracer.origin(name, _LEAVE)
    if node is None:
        return Meaning.UNSAID
    node = tracer.operator(node, name)
    reader = _BY_OPERATOR.get(node.op_type)
    if reader is not None:
        return reader(tracer, node)
    if node.op_type in _REGRESSORS:
        return Meaning.PREDICTION
    return _of_classifier(node) if node.op_type in _CLASSIFIERS else Meaning.UNSAID


def _of_classifier(node: NodeProto) -> Meaning:
    held = attributes(node)
    if node.op_type == "SVMClassifier" and held.get("prob_a"):
        return Meaning.SHARES
    match held.get("post_transform", "NONE"):
        case "SOFTMAX" | "SOFTMAX_ZERO":
            return Meaning.SHARES
        case "LOGISTIC" | "PROBIT":
            return Meaning.CHANCES
    # Trees of classes mostly hold probabilities themselves; margins of a line or a support vector are none.
    return Meaning.UNSAID if node.op_type == "TreeEnsembleClassifier" else Meaning.MARGINS


def _of_normalizer(_: Tracer, node: NodeProto) -> Meaning:
    return Meaning.SHARES if attributes(node).get("norm", "MAX") == "L1" else Meaning.UNSAID


def _of_division(tracer: Tracer, node: NodeProto) -> Meaning:
    """Numbers divided by their own sum, as ML.NET and others write out a normalization."""
    _, by = tracer.origin(node.input[1], PASS_ON | {"Max", "Clip"})
    while by is not None and by.op_type == "Sum" and len(by.input) == 2:
        _, by = tracer.origin(by.input[0])  # ML.NET adds a 1 where the sum is 0
    return Meaning.SHARES if by is not None and by.op_type in ("ReduceSum", "Sum") else Meaning.UNSAID


def _of_largest(tracer: Tracer, node: NodeProto) -> Meaning:
    """Max of one tensor alone gives it on as it is: so ML.NET names its scores."""
    return _of(tracer, node.input[0]) if len(node.input) == 1 else Meaning.UNSAID


_BY_OPERATOR: dict[str, Callable[[Tracer, NodeProto], Meaning]] = {
    "ZipMap": lambda tracer, node: _of(tracer, node.input[0]),
    "Softmax": lambda _tracer, _node: Meaning.SHARES,
    "Sigmoid": lambda _tracer, _node: Meaning.CHANCES,
    "HardSigmoid": lambda _tracer, _node: Meaning.CHANCES,
    "Normalizer": _of_normalizer,
    "Div": _of_division,
    "Max": _of_largest,
}


def nearest_of(model: ModelProto, label: str, numbers: str) -> bool:
    """Whether the label is the place of the smallest of these numbers: a cluster, by its distances."""
    tracer = Tracer(model)
    _, node = tracer.origin(label)
    if node is None or node.op_type not in ("ArgMin", "TopK"):
        return False
    if node.op_type == "TopK" and attributes(node).get("largest", 1):
        return False
    made_of, _ = tracer.origin(node.input[0], PASS_ON | {"Sqrt"})
    return made_of == tracer.origin(numbers, PASS_ON | {"Sqrt"})[0]
