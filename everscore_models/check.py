"""Checking a finished model: its files belong together, load, and still give the same scores."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everscore.failures import Failure
from everscore.score.loading import load_model
from everscore.score.model import Model
from everscore_models.errors import ExportError
from everscore_models.writing import EXPECTED_FILE, SAMPLE_FILE

SAME = 1e-6
"""How far a score may be from that of the machine which exported the model."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A model that passed: how many sample events were scored (0: it has none), the largest difference."""

    model: Model
    rows: int
    largest: float


def check(folder: Path) -> Checked:
    """Loads a model with all checks of production, and scores its sample, where it has one.

    Raises:
        ManifestError: the manifest is wrong, or disagrees with the files.
        Failure: model.onnx is missing, unreadable, or too new for this onnxruntime.
        ExportError: half of the sample is missing, or its scores are others than when it was exported.
    """
    model = load_model(folder)
    if not (folder / SAMPLE_FILE).exists() and not (folder / EXPECTED_FILE).exists():
        return Checked(model, 0, 0.0)  # a model from elsewhere, whose manifest was written by hand
    sample, expected = read_lines(folder / SAMPLE_FILE), read_lines(folder / EXPECTED_FILE)
    if len(sample) != len(expected):
        raise ExportError(
            f"{folder / EXPECTED_FILE} has {len(expected)} lines for {len(sample)} of {SAMPLE_FILE}: "
            "export the model again."
        )
    largest = 0.0
    for row, (scores, wanted) in enumerate(zip(model.score(sample), expected, strict=True), start=1):
        if isinstance(scores, Failure):
            raise ExportError(f"{folder / SAMPLE_FILE}, line {row}: cannot be scored ({scores}).")
        difference = abs(scores.value - wanted["value"])
        if scores.label != wanted["label"] or difference > SAME * max(1.0, abs(wanted["value"])):
            raise ExportError(
                f"{folder / SAMPLE_FILE}, line {row}: the score is {scores.label} {scores.value:.9g}, "
                f"when exported it was {wanted['label']} {wanted['value']:.9g}: the model's files or "
                "the runtime's version have changed."
            )
        largest = max(largest, difference)
    return Checked(model, len(sample), largest)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines.

    Raises:
        ExportError: it cannot be read, or one of the lines is no JSON.
    """
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise ExportError(
            f"{path} cannot be read ({error.strerror}): give Trained a sample and export again."
        ) from error
    except ValueError as error:
        raise ExportError(f"{path} holds a line that is no JSON ({error}).") from error
