"""The exporter: any pipeline that converts, each kind of model, and nothing written unless ONNX agrees."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skl2onnx._supported_operators import sklearn_operator_name_map
from sklearn.base import BaseEstimator
from sklearn.cluster import DBSCAN
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    IsolationForest,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from everscore.event.scores import Scores
from everscore.failures import ManifestError
from everscore.score.loading import load_model
from everscore.score.output_form import Kind
from everscore_models import Default, ExportError, Input, InputType, Trained, apply_features, read_frame
from everscore_models.export import export

NUMBER, TEXT = InputType.NUMBER, InputType.TEXT

# Readings of pumps: a stream that has nothing to do with the one that the project ships.
INPUTS = [
    Input(name="temp", pointer="/sensor/temp", type=NUMBER, missing="nan"),
    Input(name="vibration", pointer="/sensor/vibration", type=NUMBER, missing=Default(value=0.0)),
    Input(name="site", pointer="/site", type=TEXT, missing=Default(value="unknown")),
]
NUMBERS = INPUTS[:2]


def readings(count: int = 240) -> list[dict[str, Any]]:
    """Readings with some of each sensor missing, the same ones every time."""
    rng = np.random.default_rng(7)
    found: list[dict[str, Any]] = []
    for index, (temp, vibration) in enumerate(rng.normal(size=(count, 2)).round(3).tolist()):
        sensor = {"temp": None if index % 11 == 0 else temp * 10 + 60, "vibration": vibration}
        if index % 13 == 0:
            del sensor["vibration"]
        found.append({"id": index, "site": "NSEW"[index % 4], "sensor": sensor})
    return found


READINGS = readings()


def target() -> np.ndarray[Any, Any]:
    """A number to predict from the readings."""
    frame = read_frame(READINGS, INPUTS)
    found: np.ndarray[Any, Any] = np.nan_to_num(frame["temp"].to_numpy(), nan=60.0)
    found += 5 * frame["vibration"].to_numpy()
    return found


def prepared(*last: Any) -> Pipeline:
    """Numbers filled and scaled, texts one-hot, then the model."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [
            ("numbers", numbers, ["temp", "vibration"]),
            ("site", OneHotEncoder(handle_unknown="ignore"), ["site"]),
        ]
    )
    return Pipeline([("prepare", columns), *((type(each).__name__.lower(), each) for each in last)])


def trained(pipeline: Any, labels: Any = None, **changes: Any) -> Trained:
    """Fits a pipeline on the first 200 readings and holds out the rest."""
    inputs = changes.pop("inputs", INPUTS)
    frame = read_frame(READINGS, inputs)
    fitted = pipeline.fit(frame[:200], None if labels is None else labels[:200])
    return Trained(
        version="1",
        pipeline=fitted,
        inputs=inputs,
        held_out=READINGS[200:],
        data="readings",
        rows=200,
        sample=READINGS[200:205],
        **changes,
    )


def binary() -> np.ndarray[Any, Any]:
    """Two classes with names."""
    return np.where(target() > 60, "hot", "cold")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for a model named pumps."""
    made = tmp_path / "pumps"
    made.mkdir()
    return made


def scored(folder: Path, payloads: list[dict[str, Any]]) -> list[Scores]:
    """The scores of payloads, all of which must be scored."""
    results = load_model(folder).score(payloads)
    assert all(isinstance(each, Scores) for each in results)
    return results  # type: ignore[return-value]


def test_a_classifier_with_missing_and_unseen_values(folder: Path) -> None:
    """Two classes: probabilities, label and positive class are scikit-learn's, for a site never seen too."""
    made = trained(prepared(LogisticRegression()), binary(), positive="hot")
    manifest = export(made, folder)
    assert manifest.kind is Kind.CLASSIFIER
    payloads = [*READINGS[200:], {"site": "never seen", "sensor": {}}, {}]
    results = scored(folder, payloads)
    frame = read_frame(payloads, INPUTS)
    expected = made.pipeline.predict_proba(frame)
    np.testing.assert_allclose([list(each.values.values()) for each in results], expected, atol=1e-6)
    assert [each.label for each in results] == made.pipeline.predict(frame).tolist()
    assert all(list(each.values) == ["cold", "hot"] and each.value == each.values["hot"] for each in results)


def test_a_classifier_of_numbers_gets_names(folder: Path) -> None:
    """Classes 0 and 1 are given the labels that the training names; the value is that of the positive one."""
    made = trained(prepared(GradientBoostingClassifier(n_estimators=5)), (target() > 60).astype(int))
    export(replace(made, labels=["cold", "hot"], positive="hot"), folder)
    (scores,) = scored(folder, READINGS[200:201])
    (expected,) = made.pipeline.predict_proba(read_frame(READINGS[200:201], INPUTS))
    assert scores.label in {"cold", "hot"}
    assert scores.value == pytest.approx(expected[1], abs=1e-6)


def test_a_classifier_of_booleans(folder: Path) -> None:
    """Boolean classes, which ONNX has as 0 and 1, are labelled False and True."""
    made = trained(prepared(LogisticRegression()), target() > 60, positive="True")
    assert export(made, folder).outputs.label_of() == {0: "False", 1: "True"}
    assert {each.label for each in scored(folder, READINGS[200:])} == {"False", "True"}


def test_a_multi_class_model(folder: Path) -> None:
    """Three classes without a positive one: the value is the largest probability, the label its class."""
    made = trained(prepared(LogisticRegression()), np.digitize(target(), [55, 65]))
    assert export(made, folder).kind is Kind.MULTICLASS
    results = scored(folder, READINGS[200:])
    expected = made.pipeline.predict_proba(read_frame(READINGS[200:], INPUTS))
    np.testing.assert_allclose([each.value for each in results], expected.max(axis=1), atol=1e-6)
    assert {each.label for each in results} == {"0", "1", "2"}


def forest() -> Pipeline:
    """Trees on numbers that are not scaled."""
    return make_pipeline(
        ColumnTransformer(
            [
                ("numbers", SimpleImputer(), ["temp", "vibration"]),
                ("site", OneHotEncoder(handle_unknown="ignore"), ["site"]),
            ]
        ),
        RandomForestRegressor(10, random_state=0),
    )


def test_a_regressor(folder: Path) -> None:
    """A prediction is the value; there is no label and there are no class values."""
    made = trained(forest(), target())
    assert export(made, folder).kind is Kind.REGRESSOR
    results = scored(folder, READINGS[200:])
    expected = made.pipeline.predict(read_frame(READINGS[200:], INPUTS))
    np.testing.assert_allclose([each.value for each in results], expected, rtol=1e-6)
    assert {(each.label, len(each.values)) for each in results} == {(None, 0)}


def test_an_anomaly_detector_on_plain_numbers(folder: Path) -> None:
    """A detector fed with one matrix, without a ColumnTransformer: its score and its two labels arrive."""
    pipeline = make_pipeline(SimpleImputer(), IsolationForest(n_estimators=20, random_state=0))
    made = trained(pipeline, inputs=NUMBERS)
    manifest = export(made, folder)
    assert (manifest.kind, manifest.tensors) == (Kind.ANOMALY, {"X": ("temp", "vibration")})
    payloads = [READINGS[200], {"sensor": {"temp": 900, "vibration": 80}}]
    normal, odd = scored(folder, payloads)
    assert (normal.label, odd.label) == ("normal", "anomaly")
    expected = made.pipeline.decision_function(read_frame(payloads, NUMBERS))
    np.testing.assert_allclose([normal.value, odd.value], expected, atol=1e-6)


FEATURES = """
import numpy as np

def features(columns):
    temp = np.nan_to_num(columns["temp"], nan=60.0)
    return {"log_temp": np.log1p(np.abs(temp)), "north": columns["site"] == "N"}
"""


def test_own_features_are_the_same_in_training_and_serving(folder: Path) -> None:
    """With a features.py the same file makes the columns for scikit-learn and for ONNX."""
    (folder / "features.py").write_text(FEATURES)
    names = ("log_temp", "north")
    frame = apply_features(read_frame(READINGS, INPUTS), folder, names)
    pipeline = LogisticRegression().fit(frame[:200], binary()[:200])
    made = Trained(
        version="1",
        pipeline=pipeline,
        inputs=INPUTS,
        held_out=READINGS[200:],
        data="readings",
        rows=200,
        positive="hot",
        feature_columns=names,
    )
    manifest = export(made, folder)
    assert manifest.features is not None
    assert manifest.features.columns == names
    results = scored(folder, READINGS[200:])
    np.testing.assert_allclose(
        [each.value for each in results], pipeline.predict_proba(frame[200:])[:, 1], atol=1e-6
    )


def test_the_same_training_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two exports of the same training write files that are equal byte by byte."""
    folders = [tmp_path / run / "pumps" for run in ("a", "b")]
    for each in folders:
        each.mkdir(parents=True)
        export(trained(prepared(LogisticRegression()), binary(), positive="hot"), each)
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == ["expected.jsonl", "golden.jsonl", "manifest.json", "model.onnx", "sample.jsonl"]
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def refusal(made: Trained, folder: Path) -> str:
    """The sentence with which an export is refused; the folder must be as empty as before."""
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises((ExportError, ManifestError)) as caught:
        export(made, folder)
    assert sorted(path.name for path in folder.iterdir()) == before
    return str(caught.value)


class Shy(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Neither classifier nor regressor."""

    def fit(self, X: Any, y: Any = None) -> Shy:  # noqa: N803 - scikit-learn's names
        """Does nothing."""
        return self


def test_what_cannot_be_exported_is_refused_with_the_remedy(folder: Path) -> None:
    """Models without probabilities, of several outputs or of no known kind are refused by their name."""
    sentence = refusal(trained(prepared(LinearSVC()), binary()), folder)
    assert "LinearSVC" in sentence
    assert "CalibratedClassifierCV" in sentence
    two = np.column_stack([target() > 60, target() > 65]).astype(int)
    assert "several outputs" in refusal(
        trained(prepared(MultiOutputClassifier(LogisticRegression())), two), folder
    )
    assert "(DBSCAN) is neither a classifier" in refusal(trained(prepared(DBSCAN())), folder)
    assert "Shy" in refusal(trained(prepared(Shy())), folder)


def test_texts_without_a_column_transformer_are_refused(folder: Path) -> None:
    """One matrix cannot hold texts and numbers; the sentence says what to put first."""
    made = trained(prepared(LogisticRegression()), binary(), positive="hot")
    bare = replace(made, pipeline=made.pipeline[-1])
    assert "ColumnTransformer" in refusal(bare, folder)


def test_an_input_that_the_pipeline_ignores_is_refused(folder: Path) -> None:
    """An input that no step takes would be demanded of every event for nothing."""
    pipeline = Pipeline(
        [("prepare", ColumnTransformer([("n", SimpleImputer(), ["temp"])])), ("model", LogisticRegression())]
    )
    assert "does not use the input 'vibration'" in refusal(
        trained(pipeline, binary(), positive="hot"), folder
    )


def test_contradictions_in_the_training_are_refused(folder: Path) -> None:
    """A positive class that is none, and a sample that cannot be scored, are refused before a file is written."""
    made = trained(prepared(LogisticRegression()), binary(), positive="hot")
    assert "none of the labels (cold, hot)" in refusal(replace(made, positive="warm"), folder)
    assert "a classifier needs outputs.positive" in refusal(replace(made, positive=None), folder)
    assert "its own sample 0" in refusal(replace(made, sample=[{"sensor": {"temp": "hot"}}]), folder)
    assert "no held-out payloads" in refusal(replace(made, held_out=[]), folder)
    assert "Not one held-out" in refusal(replace(made, held_out=[{"site": 1}]), folder)
    assert "which the export writes itself" in refusal(replace(made, files={"model.onnx": b""}), folder)
    with pytest.raises(ExportError, match="Payload 1 of 2 does not fit the inputs"):
        read_frame([READINGS[1], {"site": 3}], INPUTS)


@pytest.mark.parametrize("method", ["predict_proba", "predict"])
def test_the_gate_refuses_other_numbers_and_other_labels(folder: Path, method: str) -> None:
    """Where Python and ONNX differ by 0.01, or in the label alone, the model before stays as it was."""
    made = trained(prepared(LogisticRegression()), binary(), positive="hot")
    export(made, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model = made.pipeline[-1]
    honest = getattr(model, method)
    # The converter reads the coefficients, so only Python's answers change.
    if method == "predict_proba":
        model.predict_proba = lambda rows: honest(rows) + 0.01
    else:
        model.predict = lambda rows: np.where(honest(rows) == "hot", "cold", "hot")
    sentence = refusal(made, folder)
    assert "ONNX and scikit-learn disagree on" in sentence
    assert "first: held-out row 0: scikit-learn says" in sentence
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("spoiled", ["NaN", "raise"])
def test_the_gate_tries_rows_that_training_never_saw(folder: Path, spoiled: str) -> None:
    """A model that goes wrong only where a site was never seen, or a value is null, is refused."""
    made = trained(prepared(LogisticRegression()), binary(), positive="hot")
    prepare = made.pipeline[0]
    honest = prepare.transform

    def transform(frame: Any, **kwargs: Any) -> Any:
        rows = np.asarray(honest(frame, **kwargs))
        unseen = ~frame["site"].isin(list("NSEW")).to_numpy()
        if spoiled == "raise" and unseen.any():
            raise ValueError("unseen")
        rows[unseen] += 1
        return rows

    prepare.transform = transform
    sentence = refusal(made, folder)
    assert "first: 'site' is" in sentence
    assert ("scikit-learn raises ValueError, ONNX says" in sentence) == (spoiled == "raise")


def test_what_both_refuse_is_no_mismatch(folder: Path) -> None:
    """Without an imputer both fail on NaN; without handle_unknown both fail on an unseen site: exported."""
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["temp", "vibration"]), ("site", OneHotEncoder(), ["site"])]
    )
    frame = read_frame(READINGS, INPUTS)
    known = frame["temp"].notna().to_numpy()
    pipeline = Pipeline([("prepare", columns), ("model", LogisticRegression())]).fit(
        frame[known], binary()[known]
    )
    # A few: what both refuse is tried row by row, which takes its time.
    held_out = [READINGS[index] for index in np.flatnonzero(known)[:40]]
    made = Trained(
        version="1",
        pipeline=pipeline,
        inputs=INPUTS,
        held_out=held_out,
        data="readings",
        rows=int(known.sum()),
        positive="hot",
    )
    manifest = export(made, folder)
    assert manifest.parity is not None
    assert manifest.parity.rows > len(held_out)


def test_a_manifest_says_how_near_onnx_came(folder: Path) -> None:
    """Parity, training and tools stand in the manifest; the hash is that of the file."""
    manifest = export(trained(prepared(Ridge()), target(), metrics={"r2": 0.5}, tested_on="later"), folder)
    assert manifest.parity is not None
    assert manifest.training is not None
    assert 0 <= manifest.parity.largest_difference <= manifest.parity.tolerance
    assert (manifest.training.metrics, manifest.training.tested_on) == ({"r2": 0.5}, "later")
    assert set(manifest.tools) == {"python", "scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy"}
    expected = [json.loads(line) for line in (folder / "expected.jsonl").read_text().splitlines()]
    assert [each["value"] for each in expected] == [each.value for each in scored(folder, READINGS[200:205])]
    assert all(math.isfinite(each["value"]) for each in expected)


def test_golden_rows_are_the_training_librarys_and_spread_over_its_scores(folder: Path) -> None:
    """The export writes at most twenty rows of the sample with scikit-learn's own scores, lowest to highest."""
    made = replace(
        trained(prepared(LogisticRegression()), binary(), positive="hot"), sample=READINGS[120:200]
    )
    manifest = export(made, folder)
    rows = [json.loads(line) for line in (folder / "golden.jsonl").read_text().splitlines()]
    assert manifest.golden is not None
    assert manifest.golden.rows == len(rows) == 20
    frame = read_frame([row["event"] for row in rows], INPUTS)
    column = list(made.pipeline.classes_).index("hot")
    wanted = made.pipeline.predict_proba(frame)[:, column]
    assert [row["value"] for row in rows] == pytest.approx(wanted.tolist(), abs=1e-8)
    assert [row["label"] for row in rows] == made.pipeline.predict(frame).tolist()
    values = [row["value"] for row in rows]
    assert values == sorted(values)
    assert {row["label"] for row in rows} == {"hot", "cold"}


def test_hole_29_a_branch_that_only_missing_values_reach_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree that asks for a missing value in one rare branch is refused, and the sentence says where it differs.

    By skl2onnx's own converter, that is, which sends each missing value to the right; by ours it is exported.
    """
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=1200), rng.normal(size=1200)
    b = np.where((a > 1.2) & (rng.random(1200) < 0.3), np.nan, b)
    labels = np.where(a > 1.2, np.where(np.isnan(b) | (b < 0.3), "x", "z"), "z")
    payloads = [
        {"a": i, "b": None if math.isnan(j) else j} for i, j in zip(a.tolist(), b.tolist(), strict=True)
    ]
    inputs = [
        Input(name="a", pointer="/a", type=NUMBER),
        Input(name="b", pointer="/b", type=NUMBER, missing="nan"),
    ]
    # None of the held-out payloads has a missing value, and few are in that branch: as in real data.
    held_out = [each for each in payloads[600:] if each["b"] is not None]
    held_out.sort(key=lambda each: each["a"] > 1.2)
    held_out = [*held_out[:400], *held_out[-12:], *held_out[400:420]]
    tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    tree.fit(read_frame(payloads[:600], inputs), labels[:600])
    made = Trained(
        version="1", pipeline=tree, inputs=inputs, held_out=held_out, data="made", rows=600, positive="x"
    )
    with monkeypatch.context() as patch:
        patch.setattr("everscore_models.tree_missing.register", lambda: None)
        patch.setitem(sklearn_operator_name_map, DecisionTreeClassifier, "SklearnDecisionTreeClassifier")
        with pytest.raises(ExportError, match="only rows with a null differ") as raised:
            export(made, folder)
    assert "'b' in" in str(raised.value)
    assert list(folder.iterdir()) == []
    assert export(made, folder).kind is Kind.CLASSIFIER
