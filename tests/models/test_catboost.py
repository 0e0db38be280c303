"""CatBoost's files: the same scores as CatBoost's own, also where its own ONNX export differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from everscore.score.output_form import Kind
from everscore_models.candidate import Candidate, Choices
from everscore_models.errors import ExportError
from everscore_models.sources.catboost_file import from_fitted, read
from tests.support.parity import assert_agrees

SETTINGS: dict[str, Any] = {
    "iterations": 12,
    "depth": 3,
    "verbose": False,
    "thread_count": 1,
    "allow_writing_files": False,
    "random_seed": 1,
}


def table(rows: int = 600) -> tuple[pd.DataFrame, Any]:
    """Numbers, one of them at times missing, and what they say of the outcome."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "the amount": random.normal(size=rows),
            "step": random.integers(-3, 4, rows).astype(float),
            "rest": random.normal(size=rows),
        }
    )
    frame.iloc[::7, 0] = np.nan
    return frame, (np.nan_to_num(frame.iloc[:, 0], nan=1.0) + frame.step * 0.4).to_numpy(float)


def payloads(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table, some with nulls, zeros and large numbers."""
    columns = frame.astype(object).where(frame.notna(), None)
    rows = [dict(zip(frame.columns, row, strict=True)) for row in columns.itertuples(index=False)]
    odd: list[tuple[int, str, Any]] = [
        (5, "step", 0.0),
        (11, "step", None),
        (31, "rest", 1e30),
        (13, "rest", None),
    ]
    for every, name, value in odd:
        for row in rows[::every]:
            row[name] = value
    return rows


def saved(model: Any, folder: Path, **choices: Any) -> Candidate:
    """The candidate of a fitted model's file."""
    path = folder / "model.cbm"
    model.save_model(str(path))
    return read(path, Choices(**choices))


def two(signal: Any) -> Any:
    """Two classes of texts."""
    return np.where(signal > 0.5, "réussi", "failed")


def four(signal: Any) -> Any:
    """Four classes of whole numbers, not from 0 on."""
    return np.digitize(signal, [0, 1, 2]) * 10


@pytest.mark.parametrize(
    ("outcome", "parameters", "classes"),
    [
        (two, {}, ["failed", "réussi"]),
        (two, {"loss_function": "CrossEntropy"}, None),
        (two, {"nan_mode": "Max"}, ["failed", "réussi"]),
        (two, {"grow_policy": "Lossguide", "max_leaves": 9}, ["failed", "réussi"]),
        (two, {"depth": 1, "iterations": 1}, ["failed", "réussi"]),
        (lambda signal: signal > 0, {}, ["False", "True"]),
        (lambda signal: np.where(signal > 0, 1.5, 0.5), {}, ["0.5", "1.5"]),
        (four, {}, [0, 10, 20, 30]),
        (four, {"loss_function": "MultiClassOneVsAll"}, [0, 10, 20, 30]),
        (four, {"grow_policy": "Depthwise"}, [0, 10, 20, 30]),
    ],
    ids=[
        "texts",
        "shares",
        "NaN on top",
        "lossguide",
        "one tree",
        "booleans",
        "floats",
        "four",
        "ova",
        "depthwise",
    ],
)
def test_classifiers_agree(
    tmp_path: Path, outcome: Callable[[Any], Any], parameters: Mapping[str, Any], classes: list[Any] | None
) -> None:
    """Classes of every type and loss have CatBoost's own probabilities and labels."""
    import catboost

    frame, signal = table()
    target = (signal > 0.5) * 0.9 if classes is None else outcome(signal)
    model = catboost.CatBoostClassifier(**SETTINGS | dict(parameters)).fit(frame, target)
    candidate = saved(model, tmp_path)
    assert candidate.kind is (Kind.MULTICLASS if classes and len(classes) > 2 else Kind.CLASSIFIER)
    assert candidate.outputs["classes"] == (classes or [0, 1])
    assert [each.name for each in candidate.columns] == ["the amount", "step", "rest"]
    assert_agrees(tmp_path / "model", candidate, payloads(frame))
    assert candidate.predict is not None
    found = candidate.predict(frame)
    assert [each.values for each in found] == pytest.approx(model.predict_proba(frame), abs=1e-6)
    assert [each.label for each in found] == [str(each) for each in np.ravel(model.predict(frame))]


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({}, []),
        ({"loss_function": "MAE"}, []),
        ({"loss_function": "Quantile:alpha=0.9"}, []),
        ({"loss_function": "Huber:delta=1"}, []),
        ({"loss_function": "Poisson"}, []),
        ({"loss_function": "Tweedie:variance_power=1.5"}, []),
        ({"nan_mode": "Max", "grow_policy": "Lossguide"}, []),
        ({"loss_function": "RMSEWithUncertainty"}, ["mean", "variance"]),
        ({"loss_function": "MultiQuantile:alpha=0.1,0.9"}, ["quantile 0.1", "quantile 0.9"]),
        ({"loss_function": "MultiRMSE"}, ["target 0", "target 1"]),
    ],
    ids=str,
)
def test_regressors_agree(tmp_path: Path, parameters: Mapping[str, Any], names: list[str]) -> None:
    """Each loss has CatBoost's own predictions, several of them by their names."""
    import catboost

    frame, signal = table()
    positive = np.abs(signal) * 20 + 0.1
    target = np.column_stack([positive, -signal]) if "target 0" in names else positive
    model = catboost.CatBoostRegressor(**SETTINGS | dict(parameters)).fit(frame, target)
    candidate = saved(model, tmp_path)
    assert candidate.outputs.get("columns", []) == names
    assert_agrees(tmp_path / "model", candidate, payloads(frame))
    assert candidate.predict is not None
    found = np.array([each.values for each in candidate.predict(frame)])
    assert found == pytest.approx(model.predict(frame).reshape(len(frame), -1), rel=1e-6)


def test_categories_are_refused_with_the_way_out(tmp_path: Path) -> None:
    """Categorical features are named in the refusal, and no file is left behind."""
    import catboost

    frame, signal = table(200)
    frame["kind of thing"] = np.where(frame.step > 0, "a", "b")
    model = catboost.CatBoostClassifier(**SETTINGS, cat_features=["kind of thing"]).fit(frame, signal > 0)
    with pytest.raises(ExportError, match=r"takes kind of thing as categories.*OneHotEncoder"):
        saved(model, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["model.cbm"]


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    """A truncated file, a loss for several labels, and labels that do not fit are refused."""
    import catboost

    frame, signal = table(200)
    model = catboost.CatBoostClassifier(**SETTINGS).fit(frame, signal > 0)
    model.save_model(str(tmp_path / "model.cbm"))
    cut = tmp_path / "cut.cbm"
    cut.write_bytes((tmp_path / "model.cbm").read_bytes()[:500])
    with pytest.raises(ExportError, match="cut off"):
        read(cut, Choices())
    with pytest.raises(ExportError, match="2 classes, and 1 labels"):
        read(tmp_path / "model.cbm", Choices(labels=["one"]))
    several = catboost.CatBoostClassifier(**SETTINGS, loss_function="MultiLogloss")
    several.fit(frame, np.column_stack([signal > 0, signal > 1]).astype(int))
    with pytest.raises(ExportError, match="'MultiLogloss' cannot be converted"):
        from_fitted(several, Choices())


def test_a_threshold_of_its_own_is_said() -> None:
    """A model with a probability threshold says so, since its labels are CatBoost's own only at one half."""
    import catboost

    frame, signal = table(200)
    model = catboost.CatBoostClassifier(**SETTINGS).fit(frame, signal > 0)
    model.set_probability_threshold(0.3)
    assert "from 0.3 on" in from_fitted(model, Choices()).notes[0]


def test_without_catboost_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CatBoost's files are read by CatBoost alone."""
    monkeypatch.setattr("everscore_models.sources.catboost_file.installed", lambda _: False)
    with pytest.raises(ExportError, match="pip install catboost"):
        read(tmp_path / "model.cbm", Choices())
