"""R17: a classifier's output is a list of dicts, not an array; indexing gives the wrong thing.

Condition: the model was converted with the default ZipMap.
Right: the form of the output is read from the metadata; tensors, sequences of maps, integer and text labels
all work, and the positive class is picked by its name, not by its position.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from everscore.event.scores import Scores
from everscore.failures import ManifestError
from everscore.score.loading import load_model

ROWS = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)


def write(folder: Path, trained: list[Any], zipmap: bool, **outputs: Any) -> LogisticRegression:
    """A classifier of /x with two classes, and its manifest."""
    fitted = LogisticRegression().fit(ROWS, [trained[0], trained[0], trained[1], trained[1]])
    content = to_onnx(fitted, ROWS, options={"zipmap": zipmap}, target_opset=18).SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    label, value = (each.name for each in session.get_outputs())
    document = {
        "schema": 1,
        "name": "classes",
        "version": "1",
        "kind": "classifier",
        "sha256": hashlib.sha256(content).hexdigest(),
        "inputs": [{"name": "X", "pointer": "/x", "type": "number"}],
        "outputs": {"value": value, "label": label, "classes": trained} | outputs,
    }
    (folder / "manifest.json").write_text(json.dumps(document))
    return fitted


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("classes", [[0, 1], [3, 7], ["no", "yes"]])
@pytest.mark.parametrize("position", [0, 1])
def test_the_positive_class_is_found_by_name(
    tmp_path: Path, zipmap: bool, classes: list[Any], position: int
) -> None:
    """Maps and tensors, numbers and texts: value, values and label are scikit-learn's, whichever is positive."""
    fitted = write(tmp_path, classes, zipmap, positive=str(classes[position]))
    outputs = onnxruntime.InferenceSession(tmp_path / "model.onnx").get_outputs()
    assert outputs[1].type.startswith("seq(map(" if zipmap else "tensor(float)")
    expected = fitted.predict_proba(ROWS)
    for row, scores in enumerate(load_model(tmp_path).score([{"x": x} for x in ROWS[:, 0].tolist()])):
        assert isinstance(scores, Scores)
        assert scores.value == pytest.approx(expected[row, position], abs=1e-6)
        assert scores.values == pytest.approx(
            dict(zip(map(str, classes), expected[row].tolist(), strict=True)), abs=1e-6
        )
        assert scores.label == str(fitted.predict(ROWS)[row])


def test_a_map_is_read_by_its_keys(tmp_path: Path) -> None:
    """The manifest may list the classes of a map in any order: the positive one is still found."""
    fitted = write(tmp_path, ["no", "yes"], True, classes=["yes", "no"], positive="yes")
    (scores,) = load_model(tmp_path).score([{"x": 3}])
    assert isinstance(scores, Scores)
    assert scores.value == pytest.approx(fitted.predict_proba(ROWS[3:])[0, 1], abs=1e-6)


@pytest.mark.parametrize("zipmap", [True, False])
def test_classes_of_another_type_are_refused_at_load(tmp_path: Path, zipmap: bool) -> None:
    """Texts in the manifest for a model with number classes are a mistake of the manifest, found at load."""
    write(tmp_path, [0, 1], zipmap, classes=["0", "1"], positive="1")
    with pytest.raises(ManifestError, match=r"outputs\.classes are \['0', '1'\], but '.*label'"):
        load_model(tmp_path)
