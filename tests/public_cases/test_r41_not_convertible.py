"""R41: conversion fails: no shape calculator, or FunctionTransformer.

Condition: a custom class in the pipeline, even a subclass of StandardScaler; a step with np.log1p.
Right: the converter's command fails fast, names the step and the choices, and leaves no half-written file.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from everscore_models.cli import main

TRAIN = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from everscore_models import Input, InputType, Trained, read_frame

PAYLOADS = [{"x": float(x)} for x in range(20)]
INPUTS = [Input(name="x", pointer="/x", type=InputType.NUMBER)]


class Custom(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = 1
        return self

    def transform(self, X):
        return np.asarray(X) * 2


class Scaler(StandardScaler):
    pass


def train():
    prepare = ColumnTransformer([("numbers", make_pipeline(STEP, StandardScaler()), ["x"])])
    pipeline = Pipeline([("prepare", prepare), ("model", LogisticRegression())])
    pipeline.fit(read_frame(PAYLOADS, INPUTS), [x > 9 for x in range(20)])
    return Trained(version="1", pipeline=pipeline, inputs=INPUTS, held_out=PAYLOADS, data="", rows=20, positive="True")
"""


@pytest.mark.parametrize(
    ("step", "named"),
    [
        ("Custom()", "'prepare/numbers/custom' (Custom)"),
        ("Scaler()", "'prepare/numbers/scaler' (Scaler)"),
        ("FunctionTransformer(np.log1p)", "'prepare/numbers/functiontransformer' (FunctionTransformer)"),
    ],
)
def test_the_command_names_the_step_and_the_choices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: str, named: str
) -> None:
    """Exit code 1, one sentence with the step's path, its class and three choices; the folder is as it was."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN.replace("STEP", step))
    (folder / "model.onnx").write_bytes(b"the model before")
    monkeypatch.setattr("sys.argv", ["everscore_models", "train", "mine", "--models", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    sentence = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence.startswith(f"The step {named} cannot be converted (")
    for choice in (
        "features.py",
        "a class of scikit-learn that skl2onnx converts",
        "update_registered_converter",
    ):
        assert choice in sentence
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["model.onnx", "train.py"]
    assert (folder / "model.onnx").read_bytes() == b"the model before"
