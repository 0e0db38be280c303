"""XGBoost's files (``save_model``), in JSON and in its binary form UBJSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from everscore_models.boosting.graph import FLOAT, OwnGraph
from everscore_models.boosting.xgboost_model import EXPONENTIAL, LOGITS, XgBoost, add_to, parse
from everscore_models.candidate import Answer, Candidate, Choices, Column, Predict
from everscore_models.errors import ExportError
from everscore_models.sources.described import answers, installed, kind_of, outputs_of, type_of, versions

LIBRARY = "XGBoost"
TENSOR = "X"
EXPONENTIAL_TOLERANCE = 1e-4
"""Of objectives whose prediction is an exponential: it makes the last bit of a 32-bit sum larger."""


def read(path: Path, choices: Choices) -> Candidate:
    """A model that XGBoost wrote.

    Raises:
        ExportError: the file is truncated, or the model cannot be converted; one sentence.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror}).") from error
    try:
        document = json.loads(raw)
    except ValueError as error:
        document = _from_binary(path, raw, error)
    return from_document(document, choices)


def _from_binary(path: Path, raw: bytes, error: ValueError) -> Any:
    if raw.startswith(b'{"') or not raw.startswith(b"{"):
        raise ExportError(
            f"{path} is no whole model of XGBoost ({error}): it was cut off, or is another file; save it "
            "again with save_model."
        ) from error
    if not installed("xgboost"):
        raise ExportError(
            f"{path} is in XGBoost's binary form, which XGBoost alone reads: `pip install xgboost-cpu`, or "
            "save the model as .json."
        ) from error
    import xgboost

    try:
        return json.loads(xgboost.Booster(model_file=bytearray(raw)).save_raw("json"))
    except xgboost.core.XGBoostError as refused:
        raise ExportError(
            f"XGBoost {xgboost.__version__} cannot read {path}: it was cut off, or a newer release wrote it; "
            "save it again with save_model."
        ) from refused


def from_document(document: Mapping[str, Any], choices: Choices) -> Candidate:
    """As `read`, of the JSON itself."""
    model = parse(document)
    kind = kind_of(model.classes)
    outputs = outputs_of(kind, range(model.classes), choices, LIBRARY, model.names)
    graph = OwnGraph(TENSOR, len(model.features), FLOAT)
    value = add_to(graph, TENSOR, model)
    return Candidate(
        content=graph.content(value, str(outputs["value"]), model.classes or model.targets, FLOAT),
        kind=kind,
        columns=[_column(name, model, choices) for name in model.features],
        outputs=outputs,
        tensors={TENSOR: list(model.features)},
        library=LIBRARY,
        predict=_predict(document, model, outputs.get("labels", ())),
        tolerance=EXPONENTIAL_TOLERANCE if model.objective in EXPONENTIAL else 1e-5,
        tools=versions("xgboost", "xgboost-cpu", "onnx", "onnxruntime"),
        notes=_notes(model, named=bool(choices.labels)),
    )


def _column(name: str, model: XgBoost, choices: Choices) -> Column:
    categories = choices.categories.get(name) or model.categories.get(name)
    if not categories:
        return Column(name=name, takes_nan=True)
    # XGBoost raises for a category that training did not know.
    return Column(
        name=name, type=type_of(categories), categories=tuple(categories), unseen="reject", takes_nan=True
    )


def _notes(model: XgBoost, *, named: bool) -> list[str]:
    notes = []
    if model.classes and not named:
        notes.append(
            "XGBoost keeps no names of classes, only their numbers from 0 on: name them with --labels."
        )
    unnamed = [
        name
        for name, kind in zip(model.features, model.types, strict=True)
        if kind == "c" and name not in model.categories
    ]
    if unnamed:
        notes.append(
            f"The file does not keep the categories of {', '.join(unnamed)}: where the events hold names and "
            "not codes, give them in the order of their codes with --categories."
        )
    if model.rounds is not None:
        notes.append(
            f"Training stopped early: the first {model.rounds} rounds count, as XGBoost's scikit-learn "
            "classes do it; Booster.predict would count all."
        )
    if model.objective.startswith("rank:"):
        notes.append("The model ranks: its value tells which of several rows comes first, and nothing else.")
    return notes


def _predict(document: Mapping[str, Any], model: XgBoost, labels: Sequence[str]) -> Predict | None:
    if not installed("xgboost"):
        return None
    kind = kind_of(model.classes)
    booster: Any = None

    def predict(frame: pd.DataFrame) -> Sequence[Answer]:
        nonlocal booster
        import xgboost

        if booster is None:
            # Not as \u20ac and the like, which XGBoost takes for these six letters.
            text = json.dumps(document, ensure_ascii=False)
            booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(text.encode()))
        named = booster.feature_names is not None
        rows = xgboost.DMatrix(
            frame[list(model.features)].to_numpy(np.float64),
            feature_names=list(model.features) if named else None,
            feature_types=booster.feature_types,
            nthread=1,
            enable_categorical=True,
        )
        rounds = (0, model.rounds or 0)
        margins = model.objective in ("multi:softmax", LOGITS)  # whose predictions are no probabilities
        numbers = booster.predict(rows, iteration_range=rounds, output_margin=margins).astype(np.float64)
        if model.objective == "multi:softmax":
            powers = np.exp(numbers - numbers.max(axis=1, keepdims=True))
            numbers = powers / powers.sum(axis=1, keepdims=True)
        elif model.objective == LOGITS:
            numbers = 1.0 / (1.0 + np.exp(-numbers))
        return answers(kind, labels, numbers.reshape(len(frame), -1))

    return predict
