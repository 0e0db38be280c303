"""The converter of scikit-learn's classifiers with a threshold of their own, used instead of skl2onnx's.

skl2onnx 1.20 hands on the label of the classifier inside, as if there were no threshold, with no word.
"""

from __future__ import annotations

from typing import Any

from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import Int64TensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV


def register() -> None:
    """Makes skl2onnx convert both classes by this module."""
    for estimator in (FixedThresholdClassifier, TunedThresholdClassifierCV):
        update_registered_converter(
            estimator,
            f"Everscore{estimator.__name__}",
            calculate_linear_classifier_output_shapes,
            _convert,
            options={"zipmap": [True, False, "columns"], "nocl": [True, False]},
        )


def _convert(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    inner, threshold, positive = _decision(model)
    classes = model.classes_.tolist()
    texts = all(isinstance(each, str) for each in classes)

    within = scope.declare_local_operator(sklearn_operator_name_map[type(inner)], inner)
    within.inputs = operator.inputs
    label = scope.declare_local_variable("inner_label", StringTensorType() if texts else Int64TensorType())
    probabilities = scope.declare_local_variable("probabilities", operator.outputs[1].type.__class__())
    within.outputs.append(label)
    within.outputs.append(probabilities)

    def made(op_type: str, inputs: list[str], **attributes: Any) -> str:
        name: str = scope.get_unique_variable_name(op_type.lower())
        container.add_node(
            op_type, inputs, [name], name=scope.get_unique_operator_name(op_type), **attributes
        )
        return name

    def constant(kind: int, shape: list[int], values: list[Any]) -> str:
        name: str = scope.get_unique_variable_name("constant")
        container.add_initializer(name, kind, shape, values)
        return name

    column = constant(TensorProto.INT64, [], [positive])
    score = made("Gather", [probabilities.full_name, column], axis=1)
    reaches = made("GreaterOrEqual", [score, constant(TensorProto.FLOAT, [], [threshold])])
    place = made("Cast", [reaches], to=TensorProto.INT64)
    ordered = [classes[1 - positive], classes[positive]]
    kind = TensorProto.STRING if texts else TensorProto.INT64
    names = constant(kind, [2], [each.encode() for each in ordered] if texts else [*map(int, ordered)])
    for op_type, inputs, output in (
        ("Gather", [names, place], operator.outputs[0]),
        ("Identity", [probabilities.full_name], operator.outputs[1]),
    ):
        container.add_node(op_type, inputs, [output.full_name], name=scope.get_unique_operator_name(op_type))


def _decision(model: Any) -> tuple[Any, float, int]:
    """The classifier inside, the threshold, and the column of the positive class."""
    if model.response_method == "decision_function":  # 'auto' prefers probabilities
        raise NotImplementedError(
            "its threshold is one of the decision function: set response_method='predict_proba'"
        )
    tuned = isinstance(model, TunedThresholdClassifierCV)
    label = model._curve_scorer._get_pos_label() if tuned else model.pos_label
    positive = 1 if label is None else model.classes_.tolist().index(label)
    if tuned:
        return model.estimator_, float(model.best_threshold_), positive
    return model.estimator_, 0.5 if model.threshold == "auto" else float(model.threshold), positive
