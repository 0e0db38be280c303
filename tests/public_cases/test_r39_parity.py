"""R39: ONNX scores differ from scikit-learn's, or change after an upgrade of the runtime.

Condition: a scaler before trees, features of a wide range (two time stamps in milliseconds 876 ms apart are the
same float32), another version of onnxruntime.
Right: a gate at conversion on real rows and extremes with a stated tolerance, a pinned runtime, and the model's hash
stored with each score; the versions of the export stand in the manifest, and 'check' compares with its scores.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from everscore.event.scores import Scores
from everscore.score.loading import load_model
from everscore.score.manifest import load_manifest
from everscore_models import ExportError, Input, InputType, Trained, apply_features, read_frame
from everscore_models.check import check
from everscore_models.export import export

ROOT = Path(__file__).resolve().parents[2]
START_MS = 1_700_000_000_000
STAMPS = [{"at": START_MS + 876 * step} for step in range(400)]
LABELS = ["odd" if step // 7 % 2 else "even" for step in range(400)]
INPUTS = [Input(name="at", pointer="/at", type=InputType.NUMBER)]
FEATURES = f"def features(columns):\n    return {{'seconds': (columns['at'] - {START_MS}) / 1000}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for a model."""
    made = tmp_path / "stamps"
    made.mkdir()
    return made


def trained(pipeline: Any, **changes: Any) -> Trained:
    """A training on time stamps."""
    return Trained(
        version="1",
        pipeline=pipeline,
        inputs=INPUTS,
        held_out=STAMPS,
        data="stamps",
        rows=len(STAMPS),
        positive="odd",
        sample=STAMPS[:9],
        **changes,
    )


def test_the_condition_is_real() -> None:
    """The reported two time stamps become one number as float32, and are two as float64."""
    one, other = START_MS, START_MS + 876
    assert np.float32(one) == np.float32(other)
    assert float(one) != float(other)


def test_scaled_time_stamps_before_trees_are_refused(folder: Path) -> None:
    """The gate refuses them, says which row differs by how much and what to do, and writes nothing."""
    pipeline = make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0))
    with pytest.raises(ExportError) as caught:
        export(trained(pipeline.fit(read_frame(STAMPS, INPUTS), LABELS)), folder)
    assert "ONNX and scikit-learn disagree on" in str(caught.value)
    assert "(tolerance 1e-05; first: held-out row" in str(caught.value)
    assert "near zero in features.py" in str(caught.value)
    assert list(folder.iterdir()) == []


def test_the_remedy_that_the_refusal_names_works(folder: Path) -> None:
    """The same stamps counted from a start in features.py pass, and ONNX scores every stamp as scikit-learn does."""
    (folder / "features.py").write_text(FEATURES)
    frame = apply_features(read_frame(STAMPS, INPUTS), folder, ["seconds"])
    forest = RandomForestClassifier(5, random_state=0).fit(frame, LABELS)
    manifest = export(trained(forest, feature_columns=["seconds"]), folder)
    assert manifest.parity is not None
    assert manifest.parity.rows > len(STAMPS)
    assert manifest.tools["onnxruntime"]
    results = load_model(folder).score(STAMPS)
    np.testing.assert_allclose(
        [each.value for each in results if isinstance(each, Scores)],
        forest.predict_proba(frame)[:, 1],
        atol=1e-6,
    )


def test_other_scores_than_at_the_export_are_noticed(tmp_path: Path) -> None:
    """As after a bad upgrade: a sample score off by 1e-5 fails the check, and the sentence shows both numbers."""
    folder = shutil.copytree(ROOT / "models" / "flights", tmp_path / "flights")
    assert check(folder).largest <= 1e-6
    path = folder / "expected.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[3]["value"] += 1e-5
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ExportError, match=r"line 4: the score is .* when exported it was"):
        check(folder)


def test_every_score_names_the_file_that_made_it() -> None:
    """Version and SHA-256 of the manifest stand in each score."""
    folder = ROOT / "models" / "flights"
    manifest = load_manifest(folder)
    sample = [json.loads(line) for line in (folder / "sample.jsonl").read_text().splitlines()]
    for scores in load_model(folder).score(sample):
        assert isinstance(scores, Scores)
        assert (scores.version, scores.sha256) == (manifest.version, manifest.sha256)
