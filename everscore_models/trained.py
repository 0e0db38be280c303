"""What a model's ``train.py`` hands to the exporter, and how that file is found."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from everscore.score.input_form import Input
from everscore_models.errors import ExportError

TRAIN_FILE = "train.py"

type Payload = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A fitted pipeline, with what its manifest must say.

    Attributes:
        version: of the model; raise it whenever a score may change.
        pipeline: the fitted scikit-learn estimator.
        inputs: its columns, and where they stand in a payload.
        held_out: payloads that were not trained on; the ONNX file is compared with the pipeline on them.
        data: what it was trained on, for people.
        rows: how many rows that were.
        description: one sentence for people.
        tested_on: what the metrics were measured on.
        metrics: numbers for the manifest, such as ROC AUC.
        positive: the label whose probability is the value; a classifier of two classes must name it.
        labels: what documents call the classes, in the order of ``pipeline.classes_`` (an anomaly
            detector: of [-1, 1]); default: their own text.
        feature_columns: the columns that ``features.py`` returns; empty: there is no such file.
        sample: a few payloads, for trying the model out.
        files: further files for the model's folder, by name.
        tolerance: the largest difference to scikit-learn that is accepted: of a probability or an
            anomaly score absolute, of a regressor's prediction relative where it is above 1.
    """

    version: str
    pipeline: Any
    inputs: Sequence[Input]
    held_out: Sequence[Payload]
    data: str
    rows: int
    description: str = ""
    tested_on: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    positive: str | None = None
    labels: Sequence[str] = ()
    feature_columns: Sequence[str] = ()
    sample: Sequence[Payload] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    tolerance: float = 1e-5


def load_training(folder: Path) -> Callable[[], Trained]:
    """The function ``train() -> Trained`` of the model's ``train.py``.

    Raises:
        ExportError: there is no such file or function.
    """
    path = folder / TRAIN_FILE
    if not path.is_file():
        raise ExportError(
            f"There is no {path}: a model's folder holds a {TRAIN_FILE} with a function 'train'."
        )
    module = load_module(path)
    train = getattr(module, "train", None)
    if not callable(train):
        raise ExportError(f"{path} has no function 'train' that returns everscore_models.Trained.")
    checked: Callable[[], Trained] = train
    return checked


def load_module(path: Path) -> ModuleType:
    """A file of Python as a module, such as another model's ``train.py``: folders of models are no packages.

    Raises:
        ExportError: it cannot be imported.
    """
    spec = importlib.util.spec_from_file_location(f"{path.stem}_{path.parent.name}", path)
    if spec is None or spec.loader is None:
        raise ExportError(f"{path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
