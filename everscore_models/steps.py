"""The steps of a pipeline: which are there, which are slow to convert, and which a conversion fails on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import QuantileTransformer

CHOICES = (
    "move what it computes to features.py, which runs alike in training and in serving; or use a class "
    "of scikit-learn that skl2onnx converts (https://onnx.ai/sklearn-onnx/supported.html), itself and no "
    "subclass; or register a converter for it (skl2onnx.update_registered_converter) before the export"
)

_QUICK_QUANTILES = 100


def walk(estimator: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested pipelines with their paths, such as ``prepare/numbers/scale``."""
    children: list[tuple[str, Any]]
    if isinstance(estimator, Pipeline):
        children = list(estimator.steps)
    elif isinstance(estimator, ColumnTransformer):
        children = [(name, step) for name, step, _ in estimator.transformers_]
    elif isinstance(estimator, FeatureUnion):
        children = list(estimator.transformer_list)
    elif isinstance(estimator, Mapping):
        children = list(estimator.items())
    else:
        yield path or type(estimator).__name__, estimator
        return
    for name, step in children:
        if not isinstance(step, str) and step is not None:  # 'drop' and 'passthrough'
            yield from walk(step, f"{path}/{name}" if path else name)


def best_of(estimator: Any) -> Any:
    """Of a search for parameters the estimator that it found; any other one as it is."""
    return getattr(estimator, "best_estimator_", estimator)


def last_step(pipeline: Any) -> Any:
    """The estimator that predicts."""
    return pipeline.steps[-1][1] if isinstance(pipeline, Pipeline) else pipeline


def first_leaf(pipeline: Any) -> Any:
    """What a pipeline's input comes to first, unless a ColumnTransformer divides it before."""
    while isinstance(pipeline, Pipeline | FeatureUnion):
        pipeline = (pipeline.steps if isinstance(pipeline, Pipeline) else pipeline.transformer_list)[0][1]
    return pipeline


def is_text_vectorizer(estimator: Any) -> bool:
    """Whether it makes counts of tokens out of texts."""
    return isinstance(estimator, CountVectorizer)  # of which TfidfVectorizer is a subclass


def slow_steps(pipeline: Any) -> list[str]:
    """What makes a conversion take minutes, one sentence each."""
    return [
        f"the step '{path}' has {leaf.n_quantiles_} quantiles, which takes minutes: n_quantiles=100 takes "
        "seconds"
        for path, leaf in walk(pipeline)
        if isinstance(leaf, QuantileTransformer) and leaf.n_quantiles_ > _QUICK_QUANTILES
    ]


def blame(pipeline: Any, error: Exception) -> str:
    """One sentence that names the step which cannot be converted, and the choices.

    Each leaf is converted alone: the guilty one is that which fails with numbers and with texts.
    """
    for path, leaf in walk(pipeline):
        reason = _failure_alone(leaf)
        if reason is not None:
            return f"The step '{path}' ({type(leaf).__name__}) cannot be converted ({reason}): {CHOICES}."
    kind = type(pipeline).__name__
    reason = with_cause(error)
    return f"The {kind} cannot be converted ({reason}), though each of its steps alone can: {CHOICES}."


def _failure_alone(leaf: Any) -> str | None:
    width = getattr(leaf, "n_features_in_", 1)
    reason: str | None = None
    for tensor in (FloatTensorType, StringTensorType):
        try:
            convert_sklearn(leaf, initial_types=[("X", tensor([None, width]))])
        except Exception as error:  # noqa: BLE001 - skl2onnx raises whatever its converters meet; it becomes the reason
            reason = reason or with_cause(error)
        else:
            return None
    return reason


def with_cause(error: BaseException) -> str:
    """The first line of an exception's text; and that of the exception which it was raised from."""
    text, cause = first_line(error), error.__cause__
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    return text if cause is None else f"{text[:120]}: {first_line(cause)}"


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, without its full stop."""
    lines = str(error).strip().splitlines()
    return (lines[0].rstrip(". ,") if lines else type(error).__name__)[:200]
