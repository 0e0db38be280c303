"""LightGBM's text format, and its trees as ONNX that goes the way LightGBM goes.

LightGBM compares 64-bit thresholds with 64-bit values, so the trees are written for such: a value that lies
nearer to a split than 32 bits can tell goes the right way. What each split does with a missing value, with a
zero and with a category is that of ``Tree::Decision`` in LightGBM's include/LightGBM/tree.h:

- a missing value counts as zero where training had none at that feature;
- with ``zero_as_missing`` a zero, and what is nearer to it than 1e-35, goes where missing values go;
- of a category code only the whole part counts, so that 3.7 is the category 3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from everscore_models.boosting.graph import DOUBLE, Graph, cast, two_columns, where_columns
from everscore_models.boosting.trees import Trees
from everscore_models.errors import ExportError

ZERO = 1e-35
"""What ``zero_as_missing`` takes for zero (kZeroThreshold)."""

_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_ZERO_IS_MISSING, _NAN_IS_MISSING = 1, 2

_LOGISTIC = ("binary", "multiclassova", "cross_entropy")
_EXPONENTIAL = ("poisson", "gamma", "tweedie")
_PLAIN = (
    "regression",
    "regression_l1",
    "huber",
    "fair",
    "quantile",
    "mape",
    "lambdarank",
    "rank_xendcg",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LightGbm:
    """A model of LightGBM as its text says it.

    Attributes:
        features: the columns' names.
        objective: its name; empty: the model was trained with the user's own.
        settings: what stands after the objective's name, such as ``sigmoid``.
        classes: 2 or more; 0: it predicts a number.
        trees: one mapping of lines a tree.
        each: trees an iteration, one a class where there are several.
        averaged: whether the trees' mean is the prediction, as of a random forest.
        categorical: the columns whose values are codes of categories.
        known: the values in the order of their codes, of each column that pandas kept as categories.
    """

    features: Sequence[str]
    objective: str
    settings: Mapping[str, str]
    classes: int
    trees: Sequence[Mapping[str, str]]
    each: int
    averaged: bool
    categorical: frozenset[int]
    known: Sequence[Sequence[Any]]


def parse(text: str) -> LightGbm:
    """Reads what ``Booster.save_model`` and ``model_to_string`` write.

    Raises:
        ExportError: it is truncated, or of a form that cannot be converted.
    """
    trees_text, ended, rest = text.partition("\nend of trees")
    head, *blocks = trees_text.split("\nTree=")
    header = _lines(head)
    if not ended or "feature_names" not in header or "num_class" not in header:
        raise ExportError(
            "The file begins as a model of LightGBM and does not end as one: it was cut off; save it again "
            "with Booster.save_model."
        )
    trees = [_lines(block) for block in blocks]
    if len(trees) != len(header.get("tree_sizes", "").split()):
        raise ExportError(
            f"The file has {len(trees)} of {len(header.get('tree_sizes', '').split())} trees of LightGBM: it "
            "was changed after it was saved; save it again with Booster.save_model."
        )
    if any(tree.get("is_linear", "0") != "0" for tree in trees):
        raise ExportError(
            "The leaves of this LightGBM model are linear models (linear_tree=True), which cannot be "
            "converted: train it without linear_tree."
        )
    name, *words = header.get("objective", "").split()
    settings = dict(word.partition(":")[::2] for word in words)
    several = int(header["num_class"])
    features = header["feature_names"].split(" ")
    return LightGbm(
        features=features,
        objective=name,
        settings=settings,
        classes=2 if name == "binary" else several if name.startswith("multiclass") else 0,
        trees=trees,
        each=int(header["num_tree_per_iteration"]),
        averaged="average_output" in header,
        categorical=_categorical(features, trees, rest),
        known=_known(rest),
    )


def _lines(text: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in text.splitlines() if line)


def _categorical(features: Sequence[str], trees: Sequence[Mapping[str, str]], rest: str) -> frozenset[int]:
    """The columns that were declared categorical, and those that a split takes for such."""
    found: set[int] = set()
    for line in rest.splitlines():
        if line.startswith("[categorical_feature:"):
            names = line.removeprefix("[categorical_feature:").rstrip("]").strip()
            for each in names.split(",") if names else []:
                found.add(features.index(each[5:]) if each.startswith("name:") else int(each))
    for tree in trees:
        decisions = _ints(tree, "decision_type")
        found.update(
            feature
            for feature, decision in zip(_ints(tree, "split_feature"), decisions, strict=True)
            if decision & _CATEGORICAL
        )
    return frozenset(found)


def _known(rest: str) -> list[list[Any]]:
    for line in reversed(rest.splitlines()):
        if line.startswith("pandas_categorical:"):
            return json.loads(line.removeprefix("pandas_categorical:")) or []
    return []


def _ints(tree: Mapping[str, str], name: str) -> list[int]:
    return [int(each) for each in tree.get(name, "").split()]


def _floats(tree: Mapping[str, str], name: str) -> list[float]:
    return [float(each) for each in tree.get(name, "").split()]


def add_to(graph: Graph, matrix: str, model: LightGbm, *, margins: bool = False) -> str:
    """Adds a model to a graph.

    Args:
        graph: where to.
        matrix: the columns, float64 [rows, columns].
        model: what to add.
        margins: whether the sums before the objective's transformation are wanted (``raw_score=True``).

    Returns:
        What the model predicts, float64: the probabilities [rows, classes], or the number [rows, 1]; the sums
        [rows, classes], for two classes those of both, which are one number and its opposite.

    Raises:
        ExportError: it has a split or an objective that cannot be converted.
    """
    trees = Trees(model.each, np.float64)
    missing: dict[int, set[int]] = {}
    for number, tree in enumerate(model.trees):
        _add_tree(trees, number, number % model.each, tree, missing)
    prepared = _prepared(graph, matrix, model, missing)
    raw = cast(graph, trees.sums(graph, prepared), DOUBLE)
    if model.averaged:
        rounds = len(model.trees) // model.each
        raw = graph.add("Div", raw, graph.constant(np.array([[rounds]], np.float64)))
    if margins:
        return graph.add("Concat", graph.add("Neg", raw), raw, axis=1) if model.each == 1 else raw
    return _converted(graph, raw, model)


def _add_tree(
    trees: Trees, number: int, target: int, tree: Mapping[str, str], missing: dict[int, set[int]]
) -> None:
    """One tree: LightGBM's split `n` becomes the node `n`, its leaf `n` the node `splits + n`."""
    decisions = _ints(tree, "decision_type")
    weights = _floats(tree, "leaf_value")
    splits = len(decisions)
    children = zip(_ints(tree, "left_child"), _ints(tree, "right_child"), strict=True)
    thresholds, features = _floats(tree, "threshold"), _ints(tree, "split_feature")
    free = splits + len(weights)
    for node, (left, right) in enumerate(children):
        # ~leaf stands for a leaf.
        yes, no = (child if child >= 0 else splits + ~child for child in (left, right))
        feature, threshold, decision = features[node], thresholds[node], decisions[node]
        if decision & _CATEGORICAL:
            members = _members(tree, int(threshold))
            free = trees.member(
                tree=number, node=node, feature=feature, members=members, yes=yes, no=no, free=free
            )
            continue
        kind = decision >> 2 & 3
        missing.setdefault(feature, set()).add(kind)
        # Where training saw nothing missing, a missing value is a zero.
        nan_is_yes = bool(decision & _DEFAULT_LEFT) if kind else threshold >= 0
        trees.split(
            tree=number,
            node=node,
            feature=feature,
            mode="BRANCH_LEQ",
            value=threshold,
            yes=yes,
            no=no,
            nan_is_yes=nan_is_yes,
        )
    for leaf, weight in enumerate(weights):
        trees.leaf(number, splits + leaf, {target: weight})


def _members(tree: Mapping[str, str], place: int) -> list[int]:
    """The codes of a split by categories, which the text has as bits of 32-bit words."""
    bounds, words = _ints(tree, "cat_boundaries"), _ints(tree, "cat_threshold")
    return [
        32 * number + bit
        for number, word in enumerate(words[bounds[place] : bounds[place + 1]])
        for bit in range(32)
        if word >> bit & 1
    ]


def _prepared(graph: Graph, matrix: str, model: LightGbm, missing: Mapping[int, set[int]]) -> str:
    """The matrix with zeros that mean missing made missing, and codes made whole."""
    zeros = np.zeros(len(model.features), np.bool_)
    for feature, kinds in missing.items():
        if _ZERO_IS_MISSING in kinds:
            if _NAN_IS_MISSING in kinds:
                raise ExportError(
                    f"Some trees of this LightGBM model take a zero of '{model.features[feature]}' for "
                    "missing (zero_as_missing=True), and others do not: train it in one piece."
                )
            zeros[feature] = True
    codes = np.zeros(len(model.features), np.bool_)
    codes[sorted(model.categorical)] = True
    if zeros.any():
        near = graph.add("LessOrEqual", graph.add("Abs", matrix), graph.constant(np.array([[ZERO]])))
        chosen = graph.add("And", near, graph.constant(zeros.reshape(1, -1)))
        matrix = graph.add("Where", chosen, graph.constant(np.array([[np.nan]])), matrix)
    if codes.any():
        negative = graph.add("Less", matrix, graph.constant(np.array([[0.0]])))
        whole = graph.add("Where", negative, graph.add("Ceil", matrix), graph.add("Floor", matrix))
        matrix = where_columns(graph, codes, whole, matrix)
    return matrix


def _converted(graph: Graph, raw: str, model: LightGbm) -> str:
    """What ``ObjectiveFunction::ConvertOutput`` makes of the sums."""
    if model.objective in _LOGISTIC:
        factor = float(model.settings.get("sigmoid", 1))
        if factor != 1:
            raw = graph.add("Mul", raw, graph.constant(np.array([[factor]])))
        probability = graph.add("Sigmoid", raw)
        return (
            two_columns(graph, probability, np.float64)
            if model.classes == 2 and model.each == 1
            else probability
        )
    if model.objective == "multiclass":
        return graph.add("Softmax", raw, axis=1)
    if model.objective in _EXPONENTIAL:
        return graph.add("Exp", raw)
    if model.objective == "cross_entropy_lambda":
        # log(1 + exp(x)), which onnxruntime's Softplus does not compute of 64 bits.
        small = graph.add("Exp", graph.add("Neg", graph.add("Abs", raw)))
        logarithm = graph.add("Log", graph.add("Add", small, graph.constant(np.array([[1.0]]))))
        return graph.add("Add", graph.add("Relu", raw), logarithm)
    if model.objective in _PLAIN and "sqrt" in model.settings:
        return graph.add("Mul", graph.add("Sign", raw), graph.add("Mul", raw, raw))
    if model.objective in _PLAIN:
        return raw
    if not model.objective and model.each == 1:
        return raw
    raise ExportError(
        f"LightGBM's objective '{model.objective or 'of your own'}' cannot be converted, since what it makes "
        f"of {'several sums' if model.each > 1 else 'the sum'} of leaves is not known."
    )
