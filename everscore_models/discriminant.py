"""The converter of linear discriminant analysis, used instead of skl2onnx's.

For two classes skl2onnx 1.20 takes softmax of (-d, d), which is the logistic function of 2 d, where
scikit-learn takes that of d: every probability differs. As those of a logistic regression, the same
coefficients are converted right.
"""

from __future__ import annotations

from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import Int64TensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression


def register() -> None:
    """Makes skl2onnx convert the class by this module."""
    update_registered_converter(
        LinearDiscriminantAnalysis,
        "EverscoreLinearDiscriminantAnalysis",
        calculate_linear_classifier_output_shapes,
        _convert,
        options={"zipmap": [True, False, "columns"], "nocl": [True, False]},
    )


def _convert(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    same = LogisticRegression()
    for name in ("coef_", "intercept_", "classes_", "n_features_in_"):
        setattr(same, name, getattr(model, name))
    texts = all(isinstance(each, str) for each in model.classes_.tolist())
    within = scope.declare_local_operator(sklearn_operator_name_map[LogisticRegression], same)
    within.inputs = operator.inputs
    label = scope.declare_local_variable("inner_label", StringTensorType() if texts else Int64TensorType())
    probabilities = scope.declare_local_variable("probabilities", operator.outputs[1].type.__class__())
    within.outputs.append(label)
    within.outputs.append(probabilities)
    for made, output in zip((label, probabilities), operator.outputs, strict=True):
        container.add_node(
            "Identity", [made.full_name], [output.full_name], name=scope.get_unique_operator_name("Identity")
        )
