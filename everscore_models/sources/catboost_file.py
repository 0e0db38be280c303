"""CatBoost's files (``save_model``), in its own binary form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from everscore.score.output_form import Kind
from everscore_models.boosting.catboost_model import EXPONENTIAL, UNCERTAIN, CatBoostModel, add_to, described
from everscore_models.boosting.graph import DOUBLE, FLOAT, OwnGraph
from everscore_models.candidate import Answer, Candidate, Choices, Column, Predict
from everscore_models.errors import ExportError
from everscore_models.sources.described import answers, installed, kind_of, outputs_of, versions

LIBRARY = "CatBoost"
TENSOR = "X"


def read(path: Path, choices: Choices) -> Candidate:
    """A model that CatBoost wrote.

    Raises:
        ExportError: CatBoost is not installed, the file is truncated, or the model cannot be converted.
    """
    if not installed("catboost"):
        raise ExportError(
            f"{path} is a model of CatBoost, which CatBoost alone reads: `pip install catboost`."
        )
    import catboost

    fitted = catboost.CatBoost()
    try:
        fitted.load_model(str(path))
    except catboost.CatBoostError as error:
        raise ExportError(
            f"CatBoost {catboost.__version__} cannot read {path}: it was cut off, or is another file; save "
            "it again with save_model."
        ) from error
    return from_fitted(fitted, choices)


def from_fitted(fitted: Any, choices: Choices) -> Candidate:
    """As `read`, of a fitted model."""
    model = described(fitted)
    kind = kind_of(len(model.classes))
    outputs = outputs_of(kind, model.classes, choices, LIBRARY, model.names)
    graph = OwnGraph(TENSOR, len(model.features), FLOAT)
    value = add_to(graph, TENSOR, model)
    return Candidate(
        content=graph.content(value, str(outputs["value"]), len(model.classes) or len(model.bias), DOUBLE),
        kind=kind,
        columns=[Column(name=name, takes_nan=True) for name in model.features],
        outputs=outputs,
        tensors={TENSOR: list(model.features)},
        library=LIBRARY,
        predict=_predict(fitted, model, outputs.get("labels", ())),
        tools=versions("catboost", "onnx", "onnxruntime"),
        notes=_notes(fitted, kind),
    )


def _notes(fitted: Any, kind: Kind) -> list[str]:
    threshold = dict(fitted.get_metadata()).get("binclass_probability_threshold")
    if kind is Kind.CLASSIFIER and threshold is not None:
        note = (
            f"CatBoost's predict calls an event positive from {threshold} on; here the label is the more "
            "probable class: compare the value with the threshold where you read it."
        )
        return [note]
    return []


def _predict(fitted: Any, model: CatBoostModel, labels: Sequence[str]) -> Predict:
    kind = kind_of(len(model.classes))
    if model.classes:
        wanted = "Probability"
    elif model.loss == UNCERTAIN:
        wanted = UNCERTAIN
    else:
        wanted = "Exponent" if model.loss in EXPONENTIAL else "RawFormulaVal"

    def predict(frame: pd.DataFrame) -> Sequence[Answer]:
        rows = frame[list(model.features)].to_numpy(np.float64)
        numbers = fitted.predict(rows, prediction_type=wanted, thread_count=1)
        return answers(kind, labels, np.asarray(numbers, np.float64).reshape(len(frame), -1))

    return predict
