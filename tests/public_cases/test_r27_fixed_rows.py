"""R27: a batch of N is refused: 'Got N Expected 1'.

Condition: a model exported with its first dimension fixed at 1.
Right: the fixed axis is noticed and the batch cut to it, with the same results and one warning.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression

from everscore.event.scores import Scores
from everscore.failures import Permanent
from everscore.score.loading import load_model

ROWS = np.random.default_rng(0).normal(size=(23, 2)).round(3)
FITTED = LogisticRegression().fit(ROWS, (ROWS.sum(axis=1) > 0).astype(int))
PAYLOADS = [{"a": a, "b": b} for a, b in ROWS.tolist()]


def write(folder: Path, rows: int | None) -> Path:
    """The classifier for a fixed number of rows a call, or any."""
    model = convert_sklearn(
        FITTED,
        initial_types=[("X", FloatTensorType([rows, 2]))],
        options={"zipmap": False},
        target_opset=18,
    )
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    (folder / "manifest.json").write_text(
        json.dumps(
            {
                "schema": 1,
                "name": "fixed",
                "version": "1",
                "kind": "classifier",
                "sha256": hashlib.sha256(content).hexdigest(),
                "inputs": [{"name": name, "pointer": f"/{name}", "type": "number"} for name in ("a", "b")],
                "tensors": {"X": ["a", "b"]},
                "outputs": {"value": "probabilities", "label": "label", "classes": [0, 1], "positive": "1"},
            }
        )
    )
    return folder


def test_the_condition_is_real(tmp_path: Path) -> None:
    """The runtime refuses two rows for a model that was exported for one."""
    session = onnxruntime.InferenceSession(write(tmp_path, 1) / "model.onnx")
    with pytest.raises(
        onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match="Got: 2 Expected: 1"
    ):
        session.run(None, {"X": ROWS[:2].astype(np.float32)})


@pytest.mark.parametrize("rows", [1, 4, 23, 64])
def test_a_fixed_model_scores_a_batch_of_any_size(
    tmp_path: Path, rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Fixed at 1, at 4, at the batch's size and above: the right scores, and one warning when it is loaded."""
    with caplog.at_level(logging.WARNING):
        model = load_model(write(tmp_path, rows))
        results = model.score(PAYLOADS)
        assert model.score(PAYLOADS[:1]) == results[:1]
    found = [each.value for each in results if isinstance(each, Scores)]
    np.testing.assert_allclose(found, FITTED.predict_proba(ROWS)[:, 1], atol=1e-6)
    assert [f"exported for {rows} row(s) a call" in record.getMessage() for record in caplog.records] == [
        True
    ]


def test_a_free_model_warns_of_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A free first dimension gives the same scores in one call, without a warning."""
    results = load_model(write(tmp_path, None)).score(PAYLOADS)
    np.testing.assert_allclose(
        [each.value for each in results if isinstance(each, Scores)],
        FITTED.predict_proba(ROWS)[:, 1],
        atol=1e-6,
    )
    assert caplog.records == []


def test_a_bad_event_in_a_fixed_model_is_alone(tmp_path: Path) -> None:
    """Filling a call up never brings a refused event's neighbours down."""
    assert (
        onnx.load(write(tmp_path, 4) / "model.onnx").graph.input[0].type.tensor_type.shape.dim[0].dim_value
        == 4
    )
    results = load_model(tmp_path).score([*PAYLOADS[:5], {"a": None, "b": 1}, *PAYLOADS[5:9]])
    assert [row for row, each in enumerate(results) if isinstance(each, Permanent)] == [5]
