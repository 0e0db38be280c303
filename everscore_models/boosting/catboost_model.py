"""CatBoost's JSON format, and its trees as ONNX that goes the way CatBoost goes.

CatBoost compares 32-bit floats and sums 64-bit ones, so the trees are written for such. The format is that of
https://catboost.ai/docs/en/concepts/json-export; what is made of the sums is what ``predict`` and
``predict_proba`` of its Python package return.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from everscore_models.boosting.graph import DOUBLE, Graph, cast, two_columns, where_columns
from everscore_models.boosting.trees import Trees
from everscore_models.errors import ExportError

UNCERTAIN = "RMSEWithUncertainty"
EXPONENTIAL = ("Poisson", "Tweedie")
_LOGISTIC = ("Logloss", "CrossEntropy", "Focal", "MultiClassOneVsAll")
_PLAIN = (
    "RMSE",
    "MAE",
    "Quantile",
    "MultiQuantile",
    "MultiRMSE",
    "MultiRMSEWithMissingValues",
    "GroupQuantile",
    "Expectile",
    "LogCosh",
    "Lq",
    "Huber",
    "MAPE",
    "QueryRMSE",
    "QuerySoftMax",
    "YetiRank",
    "YetiRankPairwise",
    "PairLogit",
    "PairLogitPairwise",
    "StochasticRank",
    "StochasticFilter",
    "LambdaMart",
)
_TWO = ("Logloss", "CrossEntropy", "Focal")
_SEVERAL = ("MultiClass", "MultiClassOneVsAll")
_OTHER_FEATURES = ("categorical_features", "text_features", "embedding_features")


@dataclass(frozen=True, kw_only=True, slots=True)
class CatBoostModel:
    """A model of CatBoost as its JSON says it.

    Attributes:
        features: the columns' names, in the order in which CatBoost takes them.
        loss: the loss function's name.
        classes: their labels in the order of their columns; empty: it predicts numbers.
        names: what the several numbers are, where it predicts such.
        trees: in JSON.
        scale: what the sums are multiplied with.
        bias: what is added to each then.
        columns: by the number that a split names, the column, and whether a NaN is above every border.
    """

    features: Sequence[str]
    loss: str
    classes: Sequence[int | str]
    names: Sequence[str]
    trees: Sequence[Mapping[str, Any]]
    scale: float
    bias: Sequence[float]
    columns: Mapping[int, tuple[int, bool]]


def described(fitted: Any) -> CatBoostModel:
    """A fitted model of CatBoost as its JSON says it."""
    others = fitted.get_text_feature_indices() + fitted.get_embedding_feature_indices()
    # CatBoost writes categories as JSON only with the data at hand; they cannot be converted anyway.
    indices = sorted({*fitted.get_cat_feature_indices(), *others})
    names = [str(each) for each in fitted.feature_names_]
    if indices:
        places = [{"flat_feature_index": each} for each in indices]
        return parse({"features_info": {"categorical_features": places}}, names)
    with tempfile.TemporaryDirectory(prefix="everscore-") as folder:
        path = Path(folder) / "model.json"
        fitted.save_model(str(path), format="json")
        return parse(json.loads(path.read_text(encoding="utf-8")), names)


def parse(document: Mapping[str, Any], features: Sequence[str]) -> CatBoostModel:
    """Reads what ``save_model(…, format="json")`` writes.

    Args:
        document: the JSON.
        features: the names of all columns.

    Raises:
        ExportError: the model takes features that are no numbers, or cannot be converted.
    """
    described = document["features_info"]
    others = [
        features[each["flat_feature_index"]] for name in _OTHER_FEATURES for each in described.get(name, ())
    ]
    if others:
        raise ExportError(
            f"This CatBoost model takes {', '.join(others)} as categories or texts, of which CatBoost makes "
            "its own statistics that ONNX has no means for: make numbers of them before the fit (a "
            "ColumnTransformer with OneHotEncoder or OrdinalEncoder in front of it), without cat_features."
        )
    information = document["model_info"]
    loss = information["params"]["loss_function"]
    name, parameters = loss["type"], loss.get("params", {})
    scale, bias = document["scale_and_bias"]
    return CatBoostModel(
        features=features,
        loss=name,
        classes=_classes(name, information.get("class_params", {}), len(bias)),
        names=_names(name, parameters, len(bias)),
        trees=document.get("oblivious_trees") or document["trees"],
        scale=scale,
        bias=bias,
        columns={
            each["feature_index"]: (each["flat_feature_index"], each["nan_value_treatment"] == "AsTrue")
            for each in described["float_features"]
        },
    )


def _classes(loss: str, described: Mapping[str, Any], columns: int) -> list[int | str]:
    if loss not in _TWO and loss not in _SEVERAL:
        return []
    found = described.get("class_names") or range(2 if loss in _TWO else columns)
    # A manifest's classes are whole numbers or texts.
    plain = all(isinstance(each, int) and not isinstance(each, bool) for each in found)
    return list(found) if plain else [str(each) for each in found]


def _names(loss: str, parameters: Mapping[str, str], columns: int) -> list[str]:
    if loss == UNCERTAIN:
        return ["mean", "variance"]
    if loss == "MultiQuantile":
        return [f"quantile {float(each):g}" for each in parameters["alpha"].split(",")]
    return [f"target {number}" for number in range(columns)] if loss.startswith("MultiRMSE") else []


def add_to(graph: Graph, matrix: str, model: CatBoostModel) -> str:
    """Adds a model to a graph.

    Args:
        graph: where to.
        matrix: the columns, float32 [rows, columns].
        model: what to add.

    Returns:
        What the model predicts, float64: the probabilities [rows, classes], or the numbers [rows, numbers].

    Raises:
        ExportError: its loss cannot be converted.
    """
    trees = Trees(len(model.bias), np.float64)
    for number, tree in enumerate(model.trees):
        if "splits" in tree or "leaf_values" in tree:
            _add_symmetric(trees, number, tree, model)
        else:
            _add_tree(trees, number, tree, model)
    raw = cast(graph, trees.sums(graph, cast(graph, matrix, DOUBLE)), DOUBLE)
    if model.scale != 1:
        raw = graph.add("Mul", raw, graph.constant(np.array([[model.scale]], np.float64)))
    raw = graph.add("Add", raw, graph.constant(np.array([model.bias], np.float64)))
    return _converted(graph, raw, model)


def _converted(graph: Graph, raw: str, model: CatBoostModel) -> str:
    if model.loss in _LOGISTIC:
        probability = graph.add("Sigmoid", raw)
        return two_columns(graph, probability, np.float64) if model.loss in _TWO else probability
    if model.loss == "MultiClass":
        return graph.add("Softmax", raw, axis=1)
    if model.loss in EXPONENTIAL:
        return graph.add("Exp", raw)
    if model.loss == UNCERTAIN:
        # The second number is the logarithm of the standard deviation.
        variance = graph.add("Exp", graph.add("Add", raw, raw))
        return where_columns(graph, np.array([False, True]), variance, raw)
    if model.loss in _PLAIN:
        return raw
    raise ExportError(
        f"CatBoost's loss '{model.loss}' cannot be converted, since what it makes of the sums of leaves is "
        "not known."
    )


def _split(
    trees: Trees,
    place: tuple[int, int],
    split: Mapping[str, Any],
    model: CatBoostModel,
    ways: tuple[int, int],
) -> None:
    """One node: a value above the border goes the second way."""
    column, nan_is_above = model.columns[split["float_feature_index"]]
    trees.split(
        tree=place[0],
        node=place[1],
        feature=column,
        mode="BRANCH_GT",
        value=split["border"],
        yes=ways[1],
        no=ways[0],
        nan_is_yes=nan_is_above,
    )


def _add_symmetric(trees: Trees, number: int, tree: Mapping[str, Any], model: CatBoostModel) -> None:
    """One tree that asks the same of all rows: the answers, first is lowest, are the bits of the leaf."""
    splits, several = tree.get("splits") or [], len(model.bias)
    for depth, split in enumerate(splits):
        first, below = 2**depth - 1, 2 ** (depth + 1) - 1
        for path in range(2**depth):
            _split(trees, (number, first + path), split, model, (below + path, below + path + 2**depth))
    values = tree["leaf_values"]
    for leaf in range(2 ** len(splits)):
        weights = values[leaf * several : (leaf + 1) * several]
        trees.leaf(number, 2 ** len(splits) - 1 + leaf, dict(enumerate(weights)))


def _add_tree(trees: Trees, number: int, tree: Mapping[str, Any], model: CatBoostModel) -> None:
    """One tree of any shape (grow_policy)."""
    free, waiting = 1, [(0, tree)]
    while waiting:
        place, node = waiting.pop()
        if "split" not in node:
            value = node["value"]
            trees.leaf(number, place, dict(enumerate(value if isinstance(value, list) else [value])))
            continue
        _split(trees, (number, place), node["split"], model, (free, free + 1))
        waiting += [(free, node["left"]), (free + 1, node["right"])]
        free += 2
