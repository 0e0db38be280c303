"""A candidate compared with onnxruntime through the code that scores in production."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from everscore.event.scores import Scores
from everscore.score.golden import scaled_difference
from everscore.score.loading import load_model
from everscore.score.output_form import Kind
from everscore_models.candidate import Candidate
from everscore_models.payloads import read_frame


def differences(
    folder: Path, candidate: Candidate, payloads: Sequence[Mapping[str, Any]]
) -> tuple[list[float], list[bool]]:
    """Of each payload, how far ONNX is from the library, and whether both give the same label.

    The payloads' fields are the columns' names; a column without a type is a number.
    """
    inputs = [
        {
            "name": column.name,
            "pointer": "/" + column.name.replace("~", "~0").replace("/", "~1"),
            "type": str(column.type or "number"),
            "missing": "nan" if column.takes_nan else "reject",
            **({"categories": column.categories, "unseen": column.unseen} if column.categories else {}),
        }
        for column in candidate.columns
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(candidate.content)
    manifest = {
        "schema": 2,
        "name": "test",
        "version": "1",
        "kind": str(candidate.kind),
        "sha256": hashlib.sha256(candidate.content).hexdigest(),
        "inputs": inputs,
        "tensors": dict(candidate.tensors),
        "outputs": dict(candidate.outputs),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    model = load_model(folder)
    assert candidate.predict is not None
    wanted = candidate.predict(read_frame([dict(each) for each in payloads], model.manifest.inputs))
    apart: list[float] = []
    same: list[bool] = []
    for answer, score in zip(wanted, model.score(payloads), strict=True):
        assert isinstance(score, Scores), score
        numbers = tuple(score.values.values()) or (score.value,)
        apart.append(scaled_difference(answer.values, numbers, candidate.kind))
        gap = 1.0 if candidate.kind is Kind.REGRESSOR else _gap(answer.values)
        same.append(score.label == answer.label or gap < 2 * candidate.tolerance)
    return apart, same


def _gap(values: Sequence[float]) -> float:
    first, second = sorted(values)[-1:-3:-1]
    return first - second


def assert_agrees(folder: Path, candidate: Candidate, payloads: Sequence[Mapping[str, Any]]) -> None:
    """Every payload gets the library's own score and label."""
    apart, same = differences(folder, candidate, payloads)
    assert max(apart) <= candidate.tolerance
    assert all(same)
