"""The classes of LightGBM, XGBoost and CatBoost as steps of a scikit-learn pipeline.

skl2onnx knows them not; each is converted by what reads the library's own files, so that a step answers as
its library does. Names of columns, on which other converters fail, play no part in it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from onnx import helper
from skl2onnx import update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.base import is_classifier

from everscore.score.columns import Array
from everscore_models.boosting import catboost_model, lightgbm_model, xgboost_model
from everscore_models.boosting.graph import DOUBLE, FLOAT, Graph, cast
from everscore_models.errors import ExportError

_MARGINS = "raw_scores"
_CLASSES = {
    "lightgbm": ("LGBMClassifier", "LGBMRegressor"),
    "xgboost": ("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor"),
    "catboost": ("CatBoostClassifier", "CatBoostRegressor"),
}


def register() -> None:
    """Makes skl2onnx convert these classes, of the libraries that this process has loaded.

    A pipeline that holds one of them has loaded its library; no other is worth the time that loading takes.
    """
    for library, name in _loaded():
        estimator = getattr(sys.modules[library], name)
        by_class = name.endswith("Classifier")
        update_registered_converter(
            estimator,
            f"Everscore{name}",
            calculate_linear_classifier_output_shapes if by_class else _numbers,
            _convert,
            options=_options(name) if by_class else None,
            # The others are known by their scikit-learn base classes, which CatBoost's have not.
            parser=_parse if library == "catboost" else None,
            overwrite=True,
        )


def reads_64_bits(estimator: Any) -> bool:
    """Whether this is a model, and no pipeline, that compares 64-bit floats with its splits: LightGBM's."""
    return type(estimator).__module__.partition(".")[0] == "lightgbm"


def _options(name: str) -> dict[str, list[Any]]:
    options: dict[str, list[Any]] = {"zipmap": [True, False, "columns"], "nocl": [True, False]}
    # Of a class with a decision_function, which LightGBM's has since 4.7, CalibratedClassifierCV asks that.
    return options | {_MARGINS: [True, False]} if name == "LGBMClassifier" else options


def _loaded() -> Iterator[tuple[str, str]]:
    return (
        (library, name) for library, names in _CLASSES.items() if library in sys.modules for name in names
    )


class _Within:
    """The graph of a pipeline that skl2onnx is converting; see `everscore_models.boosting.graph.Graph`."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name: str = self._scope.get_unique_variable_name(operator.lower())
        self.into(name, operator, *inputs, domain=domain, **attributes)
        return name

    def into(self, output: str, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> None:
        """As `add`, with the output's name given."""
        name = self._scope.get_unique_operator_name(operator)
        self._container.add_node(operator, list(inputs), [output], op_domain=domain, name=name, **attributes)

    def constant(self, values: Array) -> str:
        name: str = self._scope.get_unique_variable_name("constant")
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        self._container.add_initializer(name, kind, list(values.shape), values.ravel().tolist())
        return name


def _parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:  # noqa: ARG001 - skl2onnx names it
    """The outputs of a step of CatBoost's, as skl2onnx declares those of scikit-learn's classes."""
    operator = scope.declare_local_operator(sklearn_operator_name_map[type(model)], model)
    operator.inputs = inputs
    if is_classifier(model):
        operator.outputs.append(scope.declare_local_variable("label", Int64TensorType()))
        operator.outputs.append(scope.declare_local_variable("probabilities", FloatTensorType()))
    else:
        operator.outputs.append(scope.declare_local_variable("variable", FloatTensorType()))
    return operator.outputs


def _numbers(operator: Any) -> None:
    calculate_linear_regressor_output_shapes(operator)
    width = _read(operator.raw_operator)[1]
    operator.outputs[0].type.shape = [operator.inputs[0].get_first_dimension(), width]


def _convert(scope: Any, operator: Any, container: Any) -> None:
    estimator = operator.raw_operator
    graph = _Within(scope, container)
    margins = is_classifier(estimator) and container.has_options(estimator, _MARGINS)
    wanted = margins and container.get_options(estimator, {_MARGINS: False})[_MARGINS]
    add, _, kind = _read(estimator, margins=wanted)
    matrix = cast(graph, operator.inputs[0].full_name, kind)
    missing = getattr(estimator, "missing", np.nan)  # XGBoost's
    if missing is not None and not np.isnan(missing):
        stands_for_missing = graph.add("Equal", matrix, graph.constant(np.array([[missing]], np.float32)))
        nothing = graph.constant(np.array([[np.nan]], np.float32))
        matrix = graph.add("Where", stands_for_missing, nothing, matrix)
    value = add(graph, matrix)
    graph.into(operator.outputs[-1].full_name, "Cast", value, to=_type_of(operator.outputs[-1]))
    if not is_classifier(estimator):
        return
    classes = np.asarray(estimator.classes_)
    names = classes.astype(object) if classes.dtype.kind in "OU" else classes.astype(np.int64)
    place = graph.add("ArgMax", value, axis=1, keepdims=0)
    graph.into(operator.outputs[0].full_name, "Gather", graph.constant(names), place)


def _type_of(variable: Any) -> int:
    return DOUBLE if "Double" in type(variable.type).__name__ else FLOAT


type _Add = Callable[[Graph, str], str]


def _read(estimator: Any, *, margins: bool = False) -> tuple[_Add, int, int]:
    """What adds a fitted step to a graph, how many columns it answers with, and which matrix it takes."""
    library = type(estimator).__module__.split(".")[0]
    if library == "lightgbm":
        lightgbm = lightgbm_model.parse(estimator.booster_.model_to_string())
        _agree(estimator, lightgbm.classes)
        width = lightgbm.classes or 1
        return lambda graph, x: lightgbm_model.add_to(graph, x, lightgbm, margins=margins), width, DOUBLE
    if library == "xgboost":
        document = json.loads(estimator.get_booster().save_raw("json"))
        # As save_model of these classes writes it: their predict stops at the best round.
        document["learner"].setdefault("attributes", {})["scikit_learn"] = "{}"
        xgboost = xgboost_model.parse(document)
        _agree(estimator, xgboost.classes)
        return lambda graph, x: xgboost_model.add_to(graph, x, xgboost), xgboost.targets, FLOAT
    catboost = catboost_model.described(estimator)
    _agree(estimator, len(catboost.classes))
    return lambda graph, x: catboost_model.add_to(graph, x, catboost), len(catboost.bias), FLOAT


def _agree(estimator: Any, classes: int) -> None:
    """A classifier that was trained with an objective of no classes answers with what is no probability."""
    if is_classifier(estimator) and classes != len(estimator.classes_):
        raise ExportError(
            f"{type(estimator).__name__} was trained with an objective that gives no probabilities of its "
            f"{len(estimator.classes_)} classes: use one of the library's own for classes"
        )
