"""From a model that was read out of a file to its folder, and to its scores by the code of production."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from everscore.score.loading import load_model
from everscore.score.model import Model
from everscore_models.candidate import Candidate


def load(candidate: Candidate, folder: Path, missing: dict[str, Any] | None = None) -> Model:
    """The candidate as the app loads it: each column at the pointer of its name, missing where it may be NaN.

    Args:
        candidate: the model.
        folder: an empty one, for its files.
        missing: by column, what the manifest says instead.
    """
    (folder / "model.onnx").write_bytes(candidate.content)
    inputs = []
    for each in candidate.columns:
        described: dict[str, Any] = {
            "name": each.name,
            "pointer": f"/{each.name}",
            "type": each.type,
            "missing": (missing or {}).get(each.name, "nan" if each.takes_nan else "reject"),
        }
        if each.shape is not None:
            described["shape"] = list(each.shape)
        inputs.append(described)
    document = {
        "schema": 2,
        "name": "candidate",
        "version": "1",
        "kind": candidate.kind,
        "sha256": hashlib.sha256(candidate.content).hexdigest(),
        "inputs": inputs,
        "tensors": candidate.tensors,
        "outputs": candidate.outputs,
        "tools": candidate.tools,
    }
    (folder / "manifest.json").write_text(json.dumps(document))
    return load_model(folder)
