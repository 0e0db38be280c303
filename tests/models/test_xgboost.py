"""XGBoost's files: the same scores as XGBoost's own, names, categories and missing values included."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from everscore.score.output_form import Kind
from everscore_models.candidate import Candidate, Choices
from everscore_models.errors import ExportError
from everscore_models.sources.xgboost_file import from_document, read
from tests.support.parity import assert_agrees

KINDS = [f"kind {number:02} é" for number in range(60)]
SETTINGS: dict[str, Any] = {"n_estimators": 15, "max_depth": 4, "n_jobs": 1, "learning_rate": 0.3}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """XGBoost warns that gblinear will go, from a callback in which a warning is an error of its own."""
    import xgboost

    with xgboost.config_context(verbosity=0):
        yield


def table(rows: int = 800) -> tuple[pd.DataFrame, Any]:
    """Numbers and categories, and what they say of the outcome."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a.mount (€)": random.normal(size=rows),
            "step": random.integers(-3, 4, rows).astype(float),
            "kind": pd.Categorical(random.choice(KINDS, rows), categories=KINDS),
            "code": pd.Categorical(random.choice([10, 20, 30], rows)),
        }
    )
    frame.iloc[::7, 0] = np.nan
    signal = (
        np.nan_to_num(frame.iloc[:, 0])
        + frame.step * 0.4
        + (frame.kind.cat.codes % 3 == 0)
        + (frame.code == 10)
    )
    return frame, signal.to_numpy(float)


def payloads(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table, some with nulls, zeros and large numbers."""
    columns = frame.astype(object).where(frame.notna(), None)
    rows = [dict(zip(frame.columns, row, strict=True)) for row in columns.itertuples(index=False)]
    odd: list[tuple[int, str, Any]] = [
        (5, "step", 0.0),
        (11, "step", None),
        (31, "step", 1e30),
        (23, "kind", None),
    ]
    for every, name, value in odd:
        for row in rows[::every]:
            if name in row:
                row[name] = value
    return rows


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that are no categories."""
    return frame.iloc[:, :2]


def saved(model: Any, folder: Path, suffix: str = "json") -> Candidate:
    """The candidate of a fitted model's file."""
    path = folder / f"model.{suffix}"
    model.save_model(path)
    return read(path, Choices())


@pytest.mark.parametrize(
    ("outcome", "parameters"),
    [
        ("two", {}),
        ("two", {"booster": "dart", "rate_drop": 0.3}),
        ("two", {"objective": "binary:hinge"}),
        ("two", {"objective": "binary:logitraw"}),
        ("two", {"base_score": 0.01}),
        ("two", {"scale_pos_weight": 30}),
        ("two", {"booster": "gblinear"}),
        ("four", {}),
        ("four", {"objective": "multi:softmax"}),
        ("four", {"num_parallel_tree": 3}),
    ],
    ids=str,
)
def test_classifiers_agree(tmp_path: Path, outcome: str, parameters: Mapping[str, Any]) -> None:
    """Each objective and booster of classes gives XGBoost's own probabilities, fitted with names or not."""
    import xgboost

    frame, signal = table()
    classes = (signal > 1).astype(int) if outcome == "two" else np.digitize(signal, [0, 1, 2])
    model = xgboost.XGBClassifier(**SETTINGS, **parameters).fit(numbers(frame), classes)
    candidate = saved(model, tmp_path)
    assert candidate.kind is (Kind.CLASSIFIER if outcome == "two" else Kind.MULTICLASS)
    assert_agrees(tmp_path / "model", candidate, payloads(numbers(frame)))
    assert candidate.predict is not None
    own = model.predict(numbers(frame))
    said = [int(each.label or -1) for each in candidate.predict(numbers(frame))]
    if (
        parameters.get("objective") != "binary:logitraw"
    ):  # whose labels scikit-learn's class takes from logits
        assert np.mean(own == said) > 0.999


@pytest.mark.parametrize(
    "parameters",
    [
        {"objective": "reg:squarederror"},
        {"objective": "reg:squarederror", "base_score": 1e6},
        {"objective": "reg:absoluteerror"},
        {"objective": "reg:pseudohubererror"},
        {"objective": "reg:quantileerror", "quantile_alpha": 0.9},
        {"objective": "reg:logistic"},
        {"objective": "count:poisson"},
        {"objective": "reg:gamma"},
        {"objective": "reg:tweedie"},
        {"booster": "gblinear"},
    ],
    ids=str,
)
def test_regressors_agree(tmp_path: Path, parameters: Mapping[str, Any]) -> None:
    """Each objective of numbers gives XGBoost's own prediction, with any base score."""
    import xgboost

    frame, signal = table()
    outcome = np.abs(signal) / 10 + 0.01
    model = xgboost.XGBRegressor(**SETTINGS, **parameters).fit(numbers(frame), outcome)
    assert_agrees(tmp_path / "model", saved(model, tmp_path), payloads(numbers(frame)))


@pytest.mark.parametrize("suffix", ["json", "ubj"])
@pytest.mark.parametrize("one_hot", [1, 100])
def test_categories_come_from_the_file(tmp_path: Path, suffix: str, one_hot: int) -> None:
    """Categories are texts or whole numbers in the events, and scored as XGBoost scores a data frame."""
    import xgboost

    frame, signal = table()
    model = xgboost.XGBClassifier(**SETTINGS, enable_categorical=True, max_cat_to_onehot=one_hot)
    model.fit(frame, (signal > 1).astype(int))
    candidate = saved(model, tmp_path, suffix)
    assert candidate.columns[2].categories == tuple(KINDS)
    assert (candidate.columns[3].type, candidate.columns[3].categories) == ("integer", (10, 20, 30))
    assert {each.unseen for each in candidate.columns} == {"reject"}
    assert_agrees(tmp_path / "model", candidate, payloads(frame))
    codes = frame.assign(kind=frame.kind.cat.codes.astype(float), code=frame.code.cat.codes.astype(float))
    assert candidate.predict is not None
    found = [each.values[1] for each in candidate.predict(codes)]
    assert found == pytest.approx(model.predict_proba(frame)[:, 1], abs=1e-6)


def test_a_code_with_a_fraction_is_its_whole_part(tmp_path: Path) -> None:
    """XGBoost cuts 1.7 to 1 and takes what is below zero for no category; so does the graph."""
    import xgboost

    random = np.random.default_rng(0)
    codes = random.integers(0, 9, (500, 1)).astype(float)
    rows = xgboost.DMatrix(codes, codes[:, 0] % 3, feature_types=["c"], enable_categorical=True)
    booster = xgboost.train({"nthread": 1, "max_cat_to_onehot": 1}, rows, 5)
    candidate = saved(booster, tmp_path)
    assert "--categories" in candidate.notes[0]
    events: list[dict[str, Any]] = [{"f0": each} for each in (1.0, 1.7, 2.2, 8.9, 0.0, 50.0, None)]
    assert_agrees(tmp_path / "model", candidate, events)


def test_early_stopping_counts_as_it_does_for_the_class_that_saved_it(tmp_path: Path) -> None:
    """XGBClassifier scores with the best round, a Booster with all; the candidate does as the saver did."""
    import xgboost

    frame, signal = table()
    columns, outcome = numbers(frame), np.digitize(signal, [0, 1, 2])
    model = xgboost.XGBClassifier(**SETTINGS | {"n_estimators": 60}, early_stopping_rounds=5)
    model.fit(columns[200:], outcome[200:], eval_set=[(columns[:200], outcome[:200])], verbose=False)
    assert model.best_iteration < 50
    candidate = saved(model, tmp_path)
    assert f"first {model.best_iteration + 1} rounds" in candidate.notes[-1]
    assert_agrees(tmp_path / "class", candidate, payloads(columns))
    assert candidate.predict is not None
    found = np.array([each.values for each in candidate.predict(columns)])
    assert found == pytest.approx(model.predict_proba(columns), abs=1e-6)
    booster = model.get_booster()
    booster.set_attr(scikit_learn=None)
    assert_agrees(tmp_path / "booster", saved(booster, tmp_path), payloads(columns))


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9]}, ["quantile 0.1", "quantile 0.9"]),
        ({}, ["target 0", "target 1"]),
        ({"multi_strategy": "multi_output_tree"}, ["target 0", "target 1"]),
    ],
    ids=["quantiles", "targets", "leaves of several numbers"],
)
def test_several_numbers_have_names(tmp_path: Path, parameters: Mapping[str, Any], names: list[str]) -> None:
    """Quantiles and several targets are the columns of one regressor."""
    import xgboost

    frame, signal = table()
    outcome = signal if "quantile_alpha" in parameters else np.column_stack([signal, -signal])
    model = xgboost.XGBRegressor(**SETTINGS, **parameters).fit(numbers(frame), outcome)
    candidate = saved(model, tmp_path)
    assert candidate.outputs["columns"] == names
    assert_agrees(tmp_path / "model", candidate, payloads(numbers(frame)))


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_forests_agree(tmp_path: Path) -> None:
    """XGBoost's random forests are converted like its boosted trees."""
    import xgboost

    frame, signal = table()
    forest = xgboost.XGBRFClassifier(n_estimators=15, n_jobs=1).fit(numbers(frame), (signal > 1).astype(int))
    assert_agrees(tmp_path / "model", saved(forest, tmp_path), payloads(numbers(frame)))


def test_without_names_columns_are_numbered(tmp_path: Path) -> None:
    """A model that was fitted on an array calls its columns f0, f1 …"""
    import xgboost

    frame, signal = table()
    array = numbers(frame).to_numpy()
    model = xgboost.XGBRegressor(**SETTINGS).fit(array, signal)
    candidate = saved(model, tmp_path)
    assert [each.name for each in candidate.columns] == ["f0", "f1"]
    assert_agrees(tmp_path / "model", candidate, payloads(pd.DataFrame(array, columns=["f0", "f1"])))


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    """What cannot be converted is one sentence that names it."""
    import xgboost

    frame, signal = table(200)
    columns = numbers(frame)
    pair = np.column_stack([signal > 0, signal > 1]).astype(int)
    with pytest.raises(ExportError, match="2 labels at once"):
        saved(xgboost.XGBClassifier(**SETTINGS).fit(columns, pair), tmp_path)
    whole = xgboost.XGBRegressor(**SETTINGS).fit(columns, signal)
    for suffix in ("json", "ubj"):
        path = tmp_path / f"cut.{suffix}"
        whole.save_model(path)
        path.write_bytes(path.read_bytes()[:700])
        with pytest.raises(ExportError, match="cut off"):
            read(path, Choices())
    (tmp_path / "other.json").write_text('{"learner": {}}')
    with pytest.raises(ExportError, match="save_model"):
        read(tmp_path / "other.json", Choices())
    document = json.loads(
        xgboost.XGBRegressor(**SETTINGS).fit(columns, signal).get_booster().save_raw("json")
    )
    document["learner"]["objective"]["name"] = "reg:strange"
    with pytest.raises(ExportError, match="'reg:strange' cannot be converted"):
        from_document(document, Choices())


def test_a_linear_model_of_several_classes_is_refused(tmp_path: Path) -> None:
    """XGBoost 3.4 gives every class of a linear model the first one's starting point."""
    import xgboost

    frame, signal = table(200)
    model = xgboost.XGBClassifier(**SETTINGS, booster="gblinear")
    model.fit(numbers(frame), np.digitize(signal, [0, 1, 2]))
    with pytest.raises(ExportError, match=r"gblinear.*LogisticRegression"):
        saved(model, tmp_path)


def test_without_xgboost_json_is_converted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XGBoost is needed for its own answers and for its binary form, whose refusal names both ways out."""
    import xgboost

    frame, signal = table(200)
    model = xgboost.XGBRegressor(**SETTINGS).fit(numbers(frame), signal)
    with_it = saved(model, tmp_path)
    monkeypatch.setattr("everscore_models.sources.xgboost_file.installed", lambda _: False)
    without = saved(model, tmp_path)
    assert without.predict is None
    assert without.content == with_it.content
    with pytest.raises(ExportError, match=r"pip install xgboost-cpu.*\.json"):
        saved(model, tmp_path, "ubj")


def test_dart_of_older_releases_is_read(tmp_path: Path) -> None:
    """In older releases, such as 2.1, a file of dart has its trees one level deeper, and one base score as plain text."""
    import xgboost

    frame, signal = table(200)
    model = xgboost.XGBRegressor(**SETTINGS, booster="dart", rate_drop=0.5, base_score=0.25)
    booster = model.fit(numbers(frame), signal).get_booster()
    document = json.loads(booster.save_raw("json"))
    learner = document["learner"]
    weights = learner["gradient_booster"]["model"]["weight_drop"]
    assert min(weights) < 1
    candidate = from_document(document, Choices())
    trees = learner["gradient_booster"]["model"]
    older = {key: trees[key] for key in ("gbtree_model_param", "tree_info", "trees")}
    learner["gradient_booster"] = {
        "name": "dart",
        "gbtree": {"name": "gbtree", "model": older},
        "weight_drop": weights,
    }
    learner["learner_model_param"]["base_score"] = "2.5E-1"
    assert from_document(document, Choices()).content == candidate.content
    assert_agrees(tmp_path, candidate, payloads(numbers(frame)))
