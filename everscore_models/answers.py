"""What a scikit-learn pipeline itself says of rows, as the parity gate compares it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from everscore.score.output_form import Kind, Outputs
from everscore_models.candidate import Answer, Predict
from everscore_models.steps import first_leaf, is_text_vectorizer


def predict_with(pipeline: Any, kind: Kind, outputs: Outputs) -> Predict:
    """The pipeline's own answers, in the order of the manifest's classes or columns.

    Args:
        pipeline: a fitted estimator, or several regressors by name.
        kind: what it predicts.
        outputs: the manifest's.
    """
    labels = {_comparable(each): label for each, label in outputs.label_of().items()}

    def predict(frame: pd.DataFrame) -> list[Answer]:
        given = given_to(pipeline, frame)
        if kind is Kind.REGRESSOR:
            return [Answer(tuple(row), None) for row in _predictions(pipeline, given)]
        # CatBoost gives the labels of several classes as a column.
        named = [labels[_comparable(each)] for each in np.asarray(pipeline.predict(given)).ravel().tolist()]
        if kind is Kind.ANOMALY:
            numbers = np.asarray(pipeline.decision_function(given)).reshape(-1, 1)
        elif kind is Kind.CLUSTERER:
            numbers = np.asarray(pipeline.transform(given))
        else:
            numbers = np.asarray(pipeline.predict_proba(given))
        return [Answer(tuple(row), label) for row, label in zip(numbers.tolist(), named, strict=True)]

    return predict


def _comparable(each: Any) -> Any:
    """A class as the manifest has it: ONNX knows no booleans, and 1.0 is 1."""
    return int(each) if isinstance(each, bool | float) else each


def _predictions(pipeline: Any, given: Any) -> list[list[float]]:
    models = list(pipeline.values()) if isinstance(pipeline, Mapping) else [pipeline]
    parts = [np.asarray(each.predict(given), np.float64) for each in models]
    rows: list[list[float]] = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1).tolist()
    return rows


def given_to(pipeline: Any, frame: pd.DataFrame) -> Any:
    """The rows in the form in which the pipeline was fitted: with names, a matrix, or a list of texts."""
    one = next(iter(pipeline.values())) if isinstance(pipeline, Mapping) else pipeline
    if hasattr(one, "feature_names_in_"):
        return frame
    if is_text_vectorizer(first_leaf(one)):  # which takes texts, not rows of them
        return frame.iloc[:, 0]
    return frame.to_numpy()
