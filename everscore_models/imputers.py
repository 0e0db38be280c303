"""The converter of scikit-learn's SimpleImputer, used instead of skl2onnx's for texts.

skl2onnx 1.20 refuses to impute texts that are NaN or None. No text of a graph is either: a missing one gets
the value that the manifest gives it before it reaches the model, so that the imputer has nothing left to do.
"""

from __future__ import annotations

from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx.common._registration import get_shape_calculator
from skl2onnx.common.data_types import StringTensorType
from skl2onnx.operator_converters.common import concatenate_variables
from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer
from sklearn.impute import SimpleImputer

_ALIAS = "SklearnSimpleImputer"


def register() -> None:
    """Makes skl2onnx convert SimpleImputer by this module."""
    update_registered_converter(SimpleImputer, _ALIAS, get_shape_calculator(_ALIAS), _convert)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    texts = isinstance(operator.inputs[0].type, StringTensorType)
    if not texts or isinstance(operator.raw_operator.missing_values, str):
        convert_sklearn_imputer(scope, operator, container)
        return
    container.add_node(
        "Identity",
        concatenate_variables(scope, operator.inputs, container),
        operator.outputs[0].full_name,
        name=scope.get_unique_operator_name("Identity"),
    )
