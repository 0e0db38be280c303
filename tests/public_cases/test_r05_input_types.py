"""R05: onnxruntime answers INVALID_ARGUMENT: double (or int64) given, float expected.

Condition: features built with numpy's defaults (float64), or whole numbers in JSON (int64).
Right: types and shapes come from the session and every column is cast on purpose; a value that the cast
cannot hold (1e39 becomes infinite in float32) is a dead letter of its own event that names the field.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from sklearn.linear_model import LinearRegression

from everscore.event.scores import Scores
from everscore.failures import FailureClass, Permanent
from everscore.score.loading import load_model
from everscore_models import Input, InputType, Trained
from everscore_models.export import export


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that adds /a and /b, exported as everyone would; its ONNX inputs are float32."""
    numbers = np.arange(20, dtype=float).reshape(10, 2)
    made = tmp_path / "sum"
    made.mkdir()
    inputs = [Input(name=name, pointer=f"/{name}", type=InputType.NUMBER) for name in ("a", "b")]
    held_out = [{"a": float(row), "b": row + 0.5} for row in range(10)]
    pipeline = LinearRegression().fit(numbers, numbers.sum(axis=1))
    export(
        Trained(version="1", pipeline=pipeline, inputs=inputs, held_out=held_out, data="numbers", rows=10),
        made,
    )
    return made


def test_the_condition_is_real(folder: Path) -> None:
    """Given numpy's own types, this session refuses the call as reported."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    for numpy_made in (np.array([[1.0, 2.0]]), np.array([[1, 2]])):
        with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match="expected"):
            session.run(None, {"X": numpy_made})


def test_whole_and_broken_numbers_are_scored_alike(folder: Path) -> None:
    """Events with integers, with floats and with both in one batch are all scored."""
    results = load_model(folder).score([{"a": 1, "b": 2}, {"a": 1.0, "b": 2.0}, {"a": 1, "b": 2.0}])
    assert [each.value for each in results if isinstance(each, Scores)] == pytest.approx([3, 3, 3])


def test_a_value_that_the_cast_cannot_hold_is_its_own_events_failure(folder: Path) -> None:
    """1e39 and a number of 400 digits are permanent failures naming the field; the neighbours are scored."""
    first, over, huge, last = load_model(folder).score(
        [{"a": 1, "b": 2}, {"a": 1, "b": 1e39}, {"a": 10**400, "b": 2}, {"a": 3.4e38, "b": -3.4e38}]
    )
    assert isinstance(first, Scores)
    assert isinstance(last, Scores)
    for failure, field in ((over, "/b"), (huge, "/a")):
        assert isinstance(failure, Permanent)
        assert failure.failure_class is FailureClass.PERMANENT
        assert (failure.reason, failure.field) == ("input out of range", field)
