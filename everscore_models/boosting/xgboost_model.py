"""XGBoost's JSON format, and its trees as ONNX that goes the way XGBoost goes.

XGBoost compares and sums 32-bit floats, so the trees are written for such. The format is that of
https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html; what a split by categories does is that
of ``common::Decision`` in XGBoost's src/common/categorical.h: the categories that it names go right, all
others left, and of a code only the whole part counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from everscore_models.boosting.graph import FLOAT, Graph, cast, two_columns, where_columns
from everscore_models.boosting.trees import Trees
from everscore_models.errors import ExportError

_LOGISTIC = ("binary:logistic", "reg:logistic")
LOGITS = "binary:logitraw"
EXPONENTIAL = ("count:poisson", "reg:gamma", "reg:tweedie", "survival:aft", "survival:cox")
_PLAIN = (
    "reg:squarederror",
    "reg:linear",
    "reg:squaredlogerror",
    "reg:pseudohubererror",
    "reg:absoluteerror",
    "reg:quantileerror",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
)
_SOFTMAX = ("multi:softprob", "multi:softmax")


@dataclass(frozen=True, kw_only=True, slots=True)
class XgBoost:
    """A model of XGBoost as its JSON says it.

    Attributes:
        features: the columns' names; ``f0`` and so on where it was trained without.
        types: of the columns, as XGBoost calls them; ``c`` is a category.
        categories: by column, the values in the order of their codes, where the file keeps them.
        objective: its name.
        classes: 2 or more; 0: it predicts numbers.
        targets: how many sums the trees go into.
        names: what the several numbers are, where it predicts such.
        start: of each sum, before the objective's transformation.
        trees: in JSON, as far as they count.
        target_of: of each tree.
        weight_of: of each tree, what its leaves are multiplied with.
        linear: of ``gblinear``, the weights [columns + 1, targets], the bias last.
        rounds: how many boosting rounds count; None: all.
    """

    features: Sequence[str]
    types: Sequence[str]
    categories: Mapping[str, Sequence[int | str]]
    objective: str
    classes: int
    targets: int
    names: Sequence[str]
    start: Sequence[float]
    trees: Sequence[Mapping[str, Any]]
    target_of: Sequence[int]
    weight_of: Sequence[float]
    linear: Any = None
    rounds: int | None = None


def parse(document: Mapping[str, Any]) -> XgBoost:
    """Reads what ``Booster.save_model("….json")`` writes.

    Raises:
        ExportError: it is of a form that cannot be converted.
    """
    try:
        return _parse(document["learner"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ExportError(
            f"The file is not what XGBoost's save_model writes ({type(error).__name__}: {error}): save "
            "the model with it, not with dump_model or a pickle."
        ) from error


def _parse(learner: Mapping[str, Any]) -> XgBoost:
    parameters = learner["learner_model_param"]
    objective = learner["objective"]["name"]
    columns = int(parameters["num_feature"])
    features = list(learner.get("feature_names") or [f"f{number}" for number in range(columns)])
    types = list(learner.get("feature_types") or ["float"] * columns)
    classes = int(parameters["num_class"])
    targets = max(classes, int(parameters.get("num_target", 1)), 1)
    if objective.startswith("binary:"):
        if targets > 1:
            raise ExportError(
                f"This XGBoost model says of {targets} labels at once whether they hold: train one model "
                "for each."
            )
        classes = 2
    base = json.loads(parameters["base_score"])
    start = [float(each) for each in (base if isinstance(base, list) else [base])]
    booster = learner["gradient_booster"]
    weights = booster.get("weight_drop")
    booster = booster.get("gbtree", booster)  # dart of older releases, such as 2.1
    model = booster["model"]
    linear, trees, target_of, rounds = None, [], [], None
    if booster["name"] == "gblinear":
        if targets > 1:
            raise ExportError(
                f"This XGBoost model is linear (booster='gblinear') and has {targets} sums, whose starting "
                "points XGBoost's releases read differently: train it with trees, or with scikit-learn's "
                "LogisticRegression."
            )
        linear = np.array(model["weights"], np.float32).reshape(columns + 1, targets)
    else:
        rounds = _rounds(learner.get("attributes", {}))
        trees, target_of = model["trees"], model["tree_info"]
        if rounds is not None:
            trees = trees[: _trees_of(model, rounds, targets)]
        weights = weights or model.get("weight_drop") or [1.0] * len(trees)
    return XgBoost(
        features=features,
        types=types,
        categories=_categories(features, model.get("cats", {})),
        objective=objective,
        classes=classes,
        targets=targets,
        names=_names(learner["objective"], targets) if not classes and targets > 1 else (),
        start=[_margin(objective, each) for each in start * (targets if len(start) == 1 else 1)],
        trees=trees,
        target_of=target_of,
        weight_of=weights or (),
        linear=linear,
        rounds=rounds,
    )


def _rounds(attributes: Mapping[str, str]) -> int | None:
    """XGBClassifier and XGBRegressor stop at the best round of early stopping, a Booster does not."""
    if "scikit_learn" in attributes and "best_iteration" in attributes:
        return int(attributes["best_iteration"]) + 1
    return None


def _trees_of(model: Mapping[str, Any], rounds: int, targets: int) -> int:
    if bounds := model.get("iteration_indptr"):
        return int(bounds[rounds])
    return rounds * targets * int(model["gbtree_model_param"].get("num_parallel_tree", 1))


def _names(objective: Mapping[str, Any], targets: int) -> list[str]:
    alphas = objective.get("quantile_loss_param", {}).get("quantile_alpha")
    if alphas:
        found = json.loads(alphas)
        return [f"quantile {float(each):g}" for each in found]
    return [f"target {number}" for number in range(targets)]


def _categories(features: Sequence[str], cats: Mapping[str, Any]) -> dict[str, list[int | str]]:
    found: dict[str, list[int | str]] = {}
    for name, encoded in zip(features, cats.get("enc", ()), strict=False):
        values = encoded["values"]
        if bounds := encoded.get("offsets"):
            raw = bytes(each & 0xFF for each in values)
            pairs = pairwise(bounds)
            found[name] = [raw[begin:end].decode() for begin, end in pairs]
        elif values:
            found[name] = list(values)
    return found


def _margin(objective: str, base: float) -> float:
    """``ObjFunction::ProbToMargin``: where the sum of the leaves begins."""
    with np.errstate(divide="ignore"):
        if objective in _LOGISTIC:
            return float(-np.log(np.float32(1) / np.float32(base) - np.float32(1)))
        if objective in EXPONENTIAL:
            return float(np.log(np.float32(base)))
    return base


def add_to(graph: Graph, matrix: str, model: XgBoost) -> str:
    """Adds a model to a graph.

    Args:
        graph: where to.
        matrix: the columns, float32 [rows, columns].
        model: what to add.

    Returns:
        What the model predicts, float32: the probabilities [rows, classes], or the numbers [rows, targets].

    Raises:
        ExportError: its objective cannot be converted.
    """
    sums = _linear(graph, matrix, model) if model.linear is not None else _trees(graph, matrix, model)
    raw = graph.add("Add", sums, graph.constant(np.array([model.start], np.float32)))
    if model.objective in _LOGISTIC:
        probability = graph.add("Sigmoid", raw)
        return two_columns(graph, probability, np.float32) if model.classes else probability
    if model.objective in _SOFTMAX:
        return graph.add("Softmax", raw, axis=1)
    if model.objective in EXPONENTIAL:
        return graph.add("Exp", raw)
    if model.objective in _PLAIN:
        return raw
    if model.objective == LOGITS:
        # The label of logits is that of their probabilities, which say more.
        return two_columns(graph, graph.add("Sigmoid", raw), np.float32)
    if model.objective == "binary:hinge":
        above = graph.add("Greater", raw, graph.constant(np.array([[0]], np.float32)))
        return two_columns(graph, cast(graph, above, FLOAT), np.float32)
    raise ExportError(
        f"XGBoost's objective '{model.objective}' cannot be converted, since what it makes of the sums of "
        "leaves is not known."
    )


def _linear(graph: Graph, matrix: str, model: XgBoost) -> str:
    # A missing value adds nothing.
    nothing = graph.constant(np.array([[0]], np.float32))
    present = graph.add("Where", graph.add("IsNaN", matrix), nothing, matrix)
    weighted = graph.add("MatMul", present, graph.constant(model.linear[:-1]))
    return graph.add("Add", weighted, graph.constant(model.linear[-1:]))


def _trees(graph: Graph, matrix: str, model: XgBoost) -> str:
    trees = Trees(model.targets, np.float32)
    codes = np.zeros(len(model.features), np.bool_)
    for number in range(len(model.trees)):
        _add_tree(trees, number, model, codes)
    if codes.any():
        matrix = where_columns(graph, codes, graph.add("Floor", matrix), matrix)
    return trees.sums(graph, matrix)


def _add_tree(trees: Trees, number: int, model: XgBoost, codes: Any) -> None:
    """One tree, from its root on: nodes that were pruned away stay in the file."""
    tree, target = model.trees[number], model.target_of[number]
    weight = np.float32(model.weight_of[number])
    several, leaves = int(tree["tree_param"].get("size_leaf_vector", 1)), tree.get("leaf_weights", ())
    lefts, rights, values = tree["left_children"], tree["right_children"], tree["split_conditions"]
    by_category = tree.get("split_type") or [0] * len(lefts)
    segments = dict(
        zip(
            tree.get("categories_nodes", ()),
            zip(tree.get("categories_segments", ()), tree.get("categories_sizes", ()), strict=True),
            strict=True,
        )
    )
    free, open_nodes = len(lefts), [0]
    while open_nodes:
        node = open_nodes.pop()
        left, right, value = lefts[node], rights[node], values[node]
        if left == -1:
            # A leaf of several numbers has the place of the first as its right child.
            numbers = (
                {target: value} if several == 1 else dict(enumerate(leaves[right * several :][:several]))
            )
            trees.leaf(number, node, {each: float(np.float32(x) * weight) for each, x in numbers.items()})
            continue
        open_nodes += [left, right]
        feature, nan_is_left = tree["split_indices"][node], bool(tree["default_left"][node])
        if not by_category[node]:
            trees.split(
                tree=number,
                node=node,
                feature=feature,
                mode="BRANCH_LT",
                value=value,
                yes=left,
                no=right,
                nan_is_yes=nan_is_left,
            )
            continue
        codes[feature] = True
        begin, size = segments[node]
        free = trees.member(
            tree=number,
            node=node,
            feature=feature,
            members=tree["categories"][begin : begin + size],
            yes=right,
            no=left,
            free=free,
            nan_is_yes=not nan_is_left,
        )
