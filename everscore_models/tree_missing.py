"""The converters of scikit-learn's trees and forests, with the way that missing values go.

skl2onnx 1.20 sends every missing value to the right, with no word, whatever the tree has learned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._registration import get_converter, get_shape_calculator
from sklearn.base import is_classifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

_TREES = (
    *(DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor),
    *(RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor),
)
_OPTIONS = {"decision_path": [True, False], "decision_leaf": [True, False]}
_OF_CLASSIFIERS = {
    "zipmap": [True, False, "columns"],
    "raw_scores": [True, False],
    "nocl": [True, False],
    "output_class_labels": [False, True],
}


def register() -> None:
    """Makes skl2onnx convert trees and forests by this module."""
    for estimator in _TREES:
        alias = sklearn_operator_name_map[estimator]
        own = f"Everscore{estimator.__name__}"
        if alias != own:
            update_registered_converter(
                estimator,
                own,
                get_shape_calculator(alias),
                _with_missing(get_converter(alias)),
                options=_OPTIONS | (_OF_CLASSIFIERS if is_classifier(estimator()) else {}),
            )


def _with_missing(convert: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    def converted(scope: Any, operator: Any, container: Any) -> None:
        before = len(container.nodes)
        convert(scope, operator, container)
        model = operator.raw_operator
        trees = [each.tree_ for each in getattr(model, "estimators_", [model])]
        flags = [int(left) for tree in trees for left in tree.missing_go_to_left]
        for node in container.nodes[before:]:
            for attribute in node.attribute:
                # Other lengths are those of classifiers of several outputs, which are refused anyway.
                if attribute.name == "nodes_missing_value_tracks_true" and len(attribute.ints) == len(flags):
                    attribute.ints[:] = flags

    return converted
