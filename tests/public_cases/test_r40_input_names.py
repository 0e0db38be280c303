"""R40: 'Required inputs missing': names were silently rewritten at conversion.

Condition: columns named 'home.dest' and 'amt (usd)', which become home_dest and amt__usd_.
Right: the map is stored beside the model; a mismatch is caught when it is loaded, not with each event; names that
would collide are refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from everscore.event.scores import Scores
from everscore.failures import ManifestError
from everscore.score.loading import load_model
from everscore_models import ExportError, Input, InputType, Trained, read_frame
from everscore_models.export import export

EVENTS: list[dict[str, Any]] = [
    {"home.dest": town, "amt (usd)": float(amount)}
    for amount, town in enumerate(["Rome", "Oslo", "Lima"] * 5)
]


def train(names: tuple[str, str] = ("home.dest", "amt (usd)")) -> Trained:
    """A classifier of a town and an amount, under any two column names."""
    inputs = [
        Input(name=names[0], pointer="/home.dest", type=InputType.TEXT),
        Input(name=names[1], pointer="/amt (usd)", type=InputType.NUMBER),
    ]
    columns = ColumnTransformer(
        [
            ("town", OneHotEncoder(handle_unknown="ignore"), [names[0]]),
            ("amount", StandardScaler(), [names[1]]),
        ]
    )
    labels = ["much" if each["amt (usd)"] > 6 else "little" for each in EVENTS]
    fitted = make_pipeline(columns, LogisticRegression()).fit(read_frame(EVENTS, inputs), labels)
    return Trained(
        version="1",
        pipeline=fitted,
        inputs=inputs,
        held_out=EVENTS,
        data="towns",
        rows=len(EVENTS),
        positive="much",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for a model."""
    made = tmp_path / "towns"
    made.mkdir()
    return made


def test_rewritten_names_are_stored_beside_the_model(folder: Path) -> None:
    """The file has the rewritten names, the manifest the map, and events with the real names are scored."""
    made = train()
    manifest = export(made, folder)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    assert [each.name for each in session.get_inputs()] == ["home_dest", "amt__usd_"]
    assert manifest.tensors == {"home_dest": ("home.dest",), "amt__usd_": ("amt (usd)",)}
    results = load_model(folder).score(EVENTS)
    np.testing.assert_allclose(
        [each.value for each in results if isinstance(each, Scores)],
        made.pipeline.predict_proba(read_frame(EVENTS, made.inputs))[:, 1],
        atol=1e-6,
    )


def test_a_mismatch_is_caught_at_load(folder: Path) -> None:
    """Without the map the model does not load: one sentence for the inputs that lack, one for those not fed."""
    export(train(), folder)
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    del document["tensors"]
    path.write_text(json.dumps(document))
    with pytest.raises(ManifestError) as caught:
        load_model(folder)
    lacking, unfed = str(caught.value).splitlines()
    assert "model.onnx has no input 'home.dest', 'amt (usd)', only 'home_dest', 'amt__usd_'" in lacking
    assert "say under 'tensors' which ONNX input takes which columns" in lacking
    assert "nothing feeds the input 'home_dest', 'amt__usd_' of model.onnx" in unfed


@pytest.mark.parametrize("names", [("a.b", "a_b"), ("a b", "a(b")])
def test_names_that_would_collide_are_refused(folder: Path, names: tuple[str, str]) -> None:
    """Two columns that become one ONNX name are refused by both names, where the converter would add a number."""
    with pytest.raises(ExportError, match="would both become the ONNX input") as caught:
        export(train(names), folder)
    assert all(f"'{name}'" in str(caught.value) for name in names)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["größe", "1st", "a/b", "-", "x y", "label"])
def test_unusual_names_survive(folder: Path, name: str) -> None:
    """Letters beyond ASCII, digits first, slashes and even the name of an output: exported and scored."""
    export(train((name, "amount")), folder)
    assert all(isinstance(each, Scores) for each in load_model(folder).score(EVENTS))
