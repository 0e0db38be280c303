"""The converter of scikit-learn's HistGradientBoosting, used instead of skl2onnx's own.

skl2onnx 1.20 gives protobuf booleans where it wants integers, which protobuf 7 refuses; and it leaves out the
exponential of ``loss="poisson"`` and ``"gamma"`` and the sets of categories, with no word.

A split by categories becomes a chain of nodes that compare with one category each, all of whose true branches
are the same node: onnxruntime makes one test of set membership out of such a chain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

_LEAF, _UP_TO, _EQUAL = "LEAF", "BRANCH_LEQ", "BRANCH_EQ"
_ML_OPSET = 3
_TRANSFORMS = {"HalfBinomialLoss": "LOGISTIC", "HalfMultinomialLoss": "SOFTMAX"}


def register() -> None:
    """Makes skl2onnx convert HistGradientBoosting by this module."""
    update_registered_converter(
        HistGradientBoostingClassifier,
        "EverscoreHistGradientBoostingClassifier",
        calculate_linear_classifier_output_shapes,
        _convert_classifier,
        options={"zipmap": [True, False, "columns"], "nocl": [True, False], "raw_scores": [True, False]},
    )
    update_registered_converter(
        HistGradientBoostingRegressor,
        "EverscoreHistGradientBoostingRegressor",
        calculate_linear_regressor_output_shapes,
        _convert_regressor,
    )


@dataclass(slots=True)
class _Features:
    """Where the features of the trees stand in the model's input, which puts its categories first.

    Attributes:
        places: by the trees' number of a feature its column in the input.
        categories: by the trees' number of a feature that has categories, these in the order of their codes.
    """

    places: Sequence[int]
    categories: Sequence[Sequence[float]]


@dataclass(slots=True)
class _Nodes:
    """The nodes of all trees, as the attributes of a tree ensemble name them."""

    attributes: dict[str, list[Any]] = field(
        default_factory=lambda: {
            f"nodes_{name}": []
            for name in (
                *("treeids", "nodeids", "featureids", "modes", "values"),
                *("truenodeids", "falsenodeids", "missing_value_tracks_true"),
            )
        }
    )
    leaves: list[tuple[int, int, int, float]] = field(default_factory=list)
    """Tree, node, class or target, and what the leaf adds to it."""

    def add(
        self,
        tree: int,
        node: int,
        mode: str,
        *,
        feature: int = 0,
        value: float = 0.0,
        true: int = 0,
        false: int = 0,
        missing_is_true: bool = False,
    ) -> None:
        row = (tree, node, feature, mode, value, true, false, int(missing_is_true))
        for column, each in zip(self.attributes.values(), row, strict=True):
            column.append(each)


def _nodes_of(model: Any) -> _Nodes:
    features = _features_of(model)
    found = _Nodes()
    number = 0
    for iteration in model._predictors:
        for target, tree in enumerate(iteration):
            _add_tree(found, number, target, tree, features)
            number += 1
    return found


def _features_of(model: Any) -> _Features:
    categorical = model.is_categorical_
    if categorical is None:
        return _Features(range(model.n_features_in_), ())
    categories: list[list[float]] = []
    for each in _encoder(model).categories_:
        if each.dtype.kind in "fiub":
            numbers = [float(value) for value in each]
            categories.append([value for value in numbers if not math.isnan(value)])  # a NaN is missing
        else:
            categories.append([float(code) for code in range(len(_texts(each)))])
    places = [*np.flatnonzero(categorical).tolist(), *np.flatnonzero(~categorical).tolist()]
    return _Features(places, categories)


def _encoder(model: Any) -> Any:
    return model._preprocessor.named_transformers_["encoder"]


def _texts(categories: Any) -> list[str]:
    return [each for each in categories.tolist() if isinstance(each, str)]  # a NaN or None is missing


def text_categories(model: Any) -> dict[int, list[str]]:
    """By place of a column its categories, where they are texts; the graph takes their places in the list."""
    if not isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return {}
    if model.is_categorical_ is None:
        return {}
    places = np.flatnonzero(model.is_categorical_).tolist()
    return {
        place: _texts(each)
        for place, each in zip(places, _encoder(model).categories_, strict=True)
        if each.dtype.kind not in "fiub"
    }


def _add_tree(found: _Nodes, tree: int, target: int, predictor: Any, features: _Features) -> None:
    nodes = predictor.nodes
    free = len(nodes)  # numbers from here on are for the further nodes of chains
    for number, node in enumerate(nodes):
        if node["is_leaf"]:
            found.add(tree, number, _LEAF)
            found.leaves.append((tree, number, target, float(node["value"])))
            continue
        inner = int(node["feature_idx"])
        left, right = int(node["left"]), int(node["right"])
        missing_left = bool(node["missing_go_to_left"])
        feature = features.places[inner]
        if not node["is_categorical"]:
            found.add(
                tree,
                number,
                _UP_TO,
                feature=feature,
                value=_nearest_float32(float(node["num_threshold"])),
                true=left,
                false=right,
                missing_is_true=missing_left,
            )
            continue
        bits = predictor.raw_left_cat_bitsets[int(node["bitset_idx"])]
        # What is in no set, a missing or an unseen value, goes where missing ones go: the chain's false end.
        chosen = [
            value for code, value in enumerate(features.categories[inner]) if _has(bits, code) != missing_left
        ]
        inside, outside = (right, left) if missing_left else (left, right)
        here = number
        for place, value in enumerate(chosen):
            last = place == len(chosen) - 1
            found.add(
                tree,
                here,
                _EQUAL,
                feature=feature,
                value=value,
                true=inside,
                false=outside if last else free,
            )
            here, free = free, free if last else free + 1


def _has(bits: Any, code: int) -> bool:
    return bool(int(bits[code // 32]) >> (code % 32) & 1)


def _nearest_float32(value: float) -> float:
    """The nearest 32-bit float.

    With more than 255 distinct values the thresholds are values of the training data, such as 53.69. An event
    that holds the same number is rounded alike, and so goes the same way.
    """
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _ensemble(model: Any, prefix: str) -> dict[str, Any]:
    nodes = _nodes_of(model)
    attributes: dict[str, Any] = dict(nodes.attributes)
    for name, column in zip(
        ("treeids", "nodeids", "ids", "weights"), zip(*nodes.leaves, strict=True), strict=True
    ):
        attributes[f"{prefix}_{name}"] = list(column)
    attributes["base_values"] = [float(each) for each in np.ravel(model._baseline_prediction)]
    return attributes


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    classes = model.classes_.tolist()
    texts = all(isinstance(each, str) for each in classes)
    raw = container.get_options(model, {"raw_scores": False})["raw_scores"]
    transform = "NONE" if raw else _TRANSFORMS[type(model._loss).__name__]
    container.add_node(
        "TreeEnsembleClassifier",
        [_floats(scope, operator, container)],
        [operator.outputs[0].full_name, operator.outputs[1].full_name],
        op_domain="ai.onnx.ml",
        op_version=_ML_OPSET,
        name=scope.get_unique_operator_name("TreeEnsembleClassifier"),
        post_transform=transform,
        **{f"classlabels_{'strings' if texts else 'int64s'}": classes if texts else [*map(int, classes)]},
        **_ensemble(model, "class"),
    )


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    raw = scope.get_unique_variable_name("raw_prediction")
    container.add_node(
        "TreeEnsembleRegressor",
        [_floats(scope, operator, container)],
        [raw],
        op_domain="ai.onnx.ml",
        op_version=_ML_OPSET,
        name=scope.get_unique_operator_name("TreeEnsembleRegressor"),
        n_targets=1,
        **_ensemble(model, "target"),
    )
    link = "Exp" if type(model._loss.link).__name__ == "LogLink" else "Identity"
    container.add_node(
        link, [raw], [operator.outputs[0].full_name], name=scope.get_unique_operator_name(link)
    )


def _floats(scope: Any, operator: Any, container: Any) -> str:
    given: str = operator.inputs[0].full_name
    made: str = scope.get_unique_variable_name("floats")
    container.add_node("Cast", [given], [made], name=scope.get_unique_operator_name("Cast"), to=1)
    return made
