"""LightGBM's text files (``Booster.save_model``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from everscore.score.output_form import Kind
from everscore_models.boosting.graph import DOUBLE, OwnGraph
from everscore_models.boosting.lightgbm_model import LightGbm, add_to, parse
from everscore_models.candidate import Answer, Candidate, Choices, Column, Predict
from everscore_models.errors import ExportError
from everscore_models.sources.described import answers, installed, kind_of, outputs_of, type_of, versions

LIBRARY = "LightGBM"
TENSOR = "X"


def read(path: Path, choices: Choices) -> Candidate:
    """A model that LightGBM wrote as text.

    Raises:
        ExportError: the file is truncated, or the model cannot be converted; one sentence.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path} cannot be read as LightGBM's text ({error}).") from error
    return from_text(text, choices)


def from_text(text: str, choices: Choices) -> Candidate:
    """As `read`, of what ``Booster.model_to_string`` returns."""
    model = parse(text)
    kind = kind_of(model.classes)
    outputs = outputs_of(kind, range(model.classes), choices, LIBRARY)
    graph = OwnGraph(TENSOR, len(model.features), DOUBLE)
    value = add_to(graph, TENSOR, model)
    labels = outputs.get("labels", ())
    return Candidate(
        content=graph.content(value, str(outputs["value"]), max(model.classes, 1), DOUBLE),
        kind=kind,
        columns=_columns(model, choices),
        outputs=outputs,
        tensors={TENSOR: list(model.features)},
        library=LIBRARY,
        predict=_predict(text, model, kind, labels),
        tools=versions("lightgbm", "onnx", "onnxruntime"),
        notes=_notes(model, named=bool(choices.labels)),
    )


def _columns(model: LightGbm, choices: Choices) -> list[Column]:
    known: dict[str, Sequence[Any]] = {}
    places = sorted(model.categorical)
    if len(model.known) == len(places):
        known = {model.features[place]: values for place, values in zip(places, model.known, strict=True)}
    elif model.known and not choices.categories:
        raise ExportError(
            f"The file keeps the categories of {len(model.known)} columns without their names, and "
            f"{len(places)} columns are categorical ({', '.join(model.features[each] for each in places)}): "
            "name each column's values in the order of their codes (--categories)."
        )
    known |= choices.categories
    return [_column(name, known.get(name)) for name in model.features]


def _column(name: str, categories: Sequence[Any] | None) -> Column:
    if not categories:
        return Column(name=name, takes_nan=True)
    # LightGBM gives a value that training did not know the code -1, and takes that for a missing one.
    return Column(
        name=name, type=type_of(categories), categories=tuple(categories), unseen="nan", takes_nan=True
    )


def _notes(model: LightGbm, *, named: bool) -> list[str]:
    notes = []
    if model.classes and not named:
        notes.append(
            "LightGBM's text does not keep the names of the classes, only their numbers from 0 on: name "
            "them, in sorted order as LGBMClassifier numbers them, with --labels."
        )
    if model.objective in ("lambdarank", "rank_xendcg"):
        notes.append("The model ranks: its value tells which of several rows comes first, and nothing else.")
    if not model.objective:
        notes.append(
            "The model was trained with an objective of its own: its value is the sum of the leaves."
        )
    return notes


def _predict(text: str, model: LightGbm, kind: Kind, labels: Sequence[str]) -> Predict | None:
    if not installed("lightgbm"):
        return None
    names = list(model.features)
    booster: Any = None

    def predict(frame: pd.DataFrame) -> Sequence[Answer]:
        nonlocal booster
        import lightgbm

        if booster is None:
            booster = lightgbm.Booster(model_str=text)
        numbers = booster.predict(frame[names].to_numpy(np.float64), num_threads=1)
        return answers(kind, labels, np.asarray(numbers, np.float64).reshape(len(frame), -1))

    return predict
