"""The steps of a pipeline, and which of them a conversion fails on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

CHOICES = (
    "move what it computes to features.py, which runs alike in training and in serving; or use a class "
    "of scikit-learn that skl2onnx converts (https://onnx.ai/sklearn-onnx/supported.html), itself and no "
    "subclass; or register a converter for it (skl2onnx.update_registered_converter) before the export"
)


def walk(estimator: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested pipelines with their paths, such as ``prepare/numbers/scale``."""
    children: list[tuple[str, Any]]
    if isinstance(estimator, Pipeline):
        children = list(estimator.steps)
    elif isinstance(estimator, ColumnTransformer):
        children = [(name, step) for name, step, _ in estimator.transformers_]
    elif isinstance(estimator, FeatureUnion):
        children = list(estimator.transformer_list)
    else:
        yield path or type(estimator).__name__, estimator
        return
    for name, step in children:
        if not isinstance(step, str) and step is not None:  # 'drop' and 'passthrough'
            yield from walk(step, f"{path}/{name}" if path else name)


def blame(pipeline: Any, error: Exception) -> str:
    """One sentence that names the step which cannot be converted, and the choices.

    Each leaf is converted alone: the guilty one is that which fails with numbers and with texts.
    """
    for path, leaf in walk(pipeline):
        reason = _failure_alone(leaf)
        if reason is not None:
            return f"The step '{path}' ({type(leaf).__name__}) cannot be converted ({reason}): {CHOICES}."
    kind = type(pipeline).__name__
    reason = first_line(error)
    return f"The {kind} cannot be converted ({reason}), though each of its steps alone can: {CHOICES}."


def _failure_alone(leaf: Any) -> str | None:
    width = getattr(leaf, "n_features_in_", 1)
    reason: str | None = None
    for tensor in (FloatTensorType, StringTensorType):
        try:
            convert_sklearn(leaf, initial_types=[("X", tensor([None, width]))])
        except Exception as error:  # noqa: BLE001 - skl2onnx raises whatever its converters meet; it becomes the reason
            reason = reason or first_line(error)
        else:
            return None
    return reason


def first_line(error: Exception) -> str:
    """The first line of an exception's text, without its full stop."""
    lines = str(error).strip().splitlines()
    return (lines[0].rstrip(". ,") if lines else type(error).__name__)[:200]
