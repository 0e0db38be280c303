"""LightGBM's text files: the same scores as LightGBM's own, where other converters differ without a word."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from everscore.score.output_form import Kind
from everscore_models.candidate import Candidate, Choices, Column
from everscore_models.errors import ExportError
from everscore_models.sources.lightgbm_text import from_text, read
from tests.support.parity import assert_agrees, differences

CATEGORIES = [f"kind {number:02}" for number in range(70)]
FOREST = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}
SETTINGS = {
    "verbose": -1,
    "num_threads": 1,
    "min_data_in_leaf": 5,
    "min_data_per_group": 5,
    "cat_smooth": 1,
    "learning_rate": 0.3,
    "deterministic": True,
    "seed": 1,
}
type Outcome = Callable[[Any], Any]


def plain(signal: Any) -> Any:
    """A number to predict."""
    return signal


def positive(signal: Any) -> Any:
    """A number above zero."""
    return np.abs(signal) * 30 + 0.1


def two(signal: Any) -> Any:
    """One of two classes."""
    return (signal > 1).astype(int)


def four(signal: Any) -> Any:
    """One of four classes."""
    return np.digitize(signal, [0, 1, 2])


def table(rows: int = 1000) -> tuple[pd.DataFrame, Any]:
    """Columns of every sort, and what they say of the outcome."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": random.normal(size=rows),
            "step": random.integers(-3, 4, rows).astype(float),
            "kind": pd.Categorical(random.choice(CATEGORIES, rows), categories=CATEGORIES),
            "code": random.integers(0, 8, rows),
        }
    )
    frame.loc[::7, "amount"] = np.nan
    signal = np.nan_to_num(frame.amount) + frame.step * 0.4 + (frame.kind.cat.codes % 3 == 0) + frame.code % 2
    return frame, signal.to_numpy()


def payloads(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table, with what a trap needs in some of them."""
    odd: list[tuple[int, str, Any]] = [
        (5, "step", 0.0),
        (7, "kind", "never seen"),
        (11, "step", None),
        (13, "code", 3.7),
        (17, "code", -0.5),
        (19, "code", 3e9),
        (23, "kind", None),
        (29, "step", -1e-36),
        (31, "amount", 1e300),
        (37, "code", None),
    ]
    columns = frame.astype(object).where(frame.notna(), None)
    rows = [dict(zip(frame.columns, row, strict=True)) for row in columns.itertuples(index=False)]
    for every, name, value in odd:
        for row in rows[::every]:
            row[name] = value
    return rows


def booster_of(outcome: Outcome, rounds: int = 20, **parameters: Any) -> tuple[Any, pd.DataFrame]:
    """A trained model, and what it was trained on."""
    import lightgbm

    frame, signal = table()
    data = lightgbm.Dataset(frame, outcome(signal), categorical_feature=["kind", "code"])
    return lightgbm.train(SETTINGS | parameters, data, rounds), frame


def trained(outcome: Outcome, rounds: int = 20, **parameters: Any) -> tuple[str, pd.DataFrame]:
    """The text of a model, and what it was trained on."""
    booster, frame = booster_of(outcome, rounds, **parameters)
    return booster.model_to_string(), frame


def candidate_of(text: str, **choices: Any) -> Candidate:
    """The candidate of a text, with the categories that it keeps without their column's name."""
    return from_text(text, Choices(categories={"kind": CATEGORIES}, **choices))


@pytest.mark.parametrize(
    ("outcome", "parameters"),
    [
        (two, {"objective": "binary"}),
        (two, {"objective": "binary", "sigmoid": 2.0}),
        (two, {"objective": "binary", "boosting": "dart"}),
        (two, {"objective": "binary", "data_sample_strategy": "goss"}),
        (two, {"objective": "binary", "use_missing": False}),
        (two, {"objective": "cross_entropy"}),
        (two, {"objective": "cross_entropy_lambda"}),
        (four, {"objective": "multiclass", "num_class": 4}),
        (four, {"objective": "multiclassova", "num_class": 4}),
        (plain, {"objective": "regression"}),
        (plain, {"objective": "regression", "reg_sqrt": True}),
        (plain, {"objective": "regression_l1"}),
        (plain, {"objective": "huber"}),
        (plain, {"objective": "fair"}),
        (plain, {"objective": "quantile", "alpha": 0.8}),
        (plain, {"objective": "mape"}),
        (positive, {"objective": "poisson"}),
        (positive, {"objective": "gamma"}),
        (positive, {"objective": "tweedie"}),
    ],
    ids=lambda each: "-".join(str(value) for value in each.values()) if isinstance(each, dict) else "",
)
def test_every_objective_agrees(tmp_path: Path, outcome: Outcome, parameters: Mapping[str, Any]) -> None:
    """Each objective's scores are LightGBM's own, with nulls, zeros, unseen categories and odd codes."""
    text, frame = trained(outcome, **parameters)
    assert_agrees(tmp_path, candidate_of(text), payloads(frame))


@pytest.mark.parametrize(
    ("outcome", "parameters"),
    [
        (two, {"objective": "binary"}),
        (four, {"objective": "multiclass", "num_class": 4}),
        (plain, {"objective": "regression"}),
    ],
    ids=["two", "four", "number"],
)
def test_random_forest_is_divided_by_its_trees(
    tmp_path: Path, outcome: Outcome, parameters: Mapping[str, Any]
) -> None:
    """A LightGBM random forest is the mean of its trees, however many they are."""
    text, frame = trained(outcome, rounds=30, **parameters, **FOREST)
    assert_agrees(tmp_path, candidate_of(text), payloads(frame))


def test_zeros_that_mean_missing_go_where_missing_values_go(tmp_path: Path) -> None:
    """With zero_as_missing a zero, one of either sign and one below 1e-35 are scored as LightGBM does."""
    text, frame = trained(two, objective="binary", zero_as_missing=True)
    assert "Abs" in str(candidate_of(text).content)
    assert_agrees(tmp_path, candidate_of(text), payloads(frame))


@pytest.mark.parametrize(
    ("outcome", "parameters", "trap"),
    [
        (two, {"objective": "binary", **FOREST}, {}),
        (two, {"objective": "binary", "zero_as_missing": True}, {"step": 0.0}),
        (two, {"objective": "binary"}, {"code": 3.7}),
        (two, {"objective": "binary", "sigmoid": 2.0}, {}),
        (four, {"objective": "multiclassova", "num_class": 4}, {}),
        (plain, {"objective": "regression", "reg_sqrt": True}, {}),
    ],
    ids=["forest", "zeros", "fraction", "sigmoid", "one against all", "square root"],
)
def test_a_comparison_shows_what_another_converter_changes(
    tmp_path: Path, outcome: Outcome, parameters: Mapping[str, Any], trap: Mapping[str, Any]
) -> None:
    """What onnxmltools converts without a word differs from LightGBM in rows that hold the trap."""
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    booster, frame = booster_of(outcome, **parameters)
    own = candidate_of(booster.model_to_string())
    other = onnxmltools.convert_lightgbm(
        booster, initial_types=[("X", FloatTensorType([None, 4]))], zipmap=False, target_opset=15
    )
    output = {"value": other.graph.output[-1].name}
    foreign = dataclasses.replace(own, content=other.SerializeToString(), outputs={**own.outputs, **output})
    rows = [{**row, **trap} for row in payloads(frame)[1:200] if row["amount"] != 1e300]
    apart, _ = differences(tmp_path / "other", foreign, rows)
    assert max(apart) > 100 * own.tolerance
    assert_agrees(tmp_path / "own", own, rows)


def test_thresholds_closer_than_32_bits_are_told_apart(tmp_path: Path) -> None:
    """Values that differ by less than 32 bits can tell go each its own way."""
    import lightgbm

    times = 1_700_000_000.0 + np.arange(400) * 3.0
    outcome = (np.arange(400) % 2).astype(float)
    data = lightgbm.Dataset(pd.DataFrame({"time": times}), outcome)
    parameters = SETTINGS | {"objective": "regression", "min_data_in_leaf": 1, "min_data_in_bin": 1}
    text = lightgbm.train(parameters | {"max_bin": 500, "num_leaves": 400}, data, 5).model_to_string()
    candidate = from_text(text, Choices())
    rows = [{"time": each} for each in times]
    assert len(np.unique(times.astype(np.float32))) < 20
    assert candidate.predict is not None
    assert len({each.values for each in candidate.predict(pd.DataFrame({"time": times}))}) > 1
    assert_agrees(tmp_path, candidate, rows)


def test_columns_and_classes_come_from_the_file() -> None:
    """Names, categories and kind stand in the text; class names do not, and are given."""
    import lightgbm

    frame, signal = table()
    frame["code"] = frame.code.astype("category")
    booster = lightgbm.train(SETTINGS | {"objective": "binary"}, lightgbm.Dataset(frame, two(signal)), 3)
    text = booster.model_to_string()
    candidate = from_text(text, Choices(labels=["early", "late"]))
    assert candidate.kind is Kind.CLASSIFIER
    assert [each.name for each in candidate.columns] == ["amount", "step", "kind", "code"]
    assert candidate.columns[0] == Column(name="amount", takes_nan=True)
    kind, code = candidate.columns[2:]
    assert (kind.type, kind.categories, kind.unseen) == ("text", tuple(CATEGORIES), "nan")
    assert (code.type, code.categories) == ("integer", tuple(range(8)))
    assert candidate.outputs["labels"] == ["early", "late"]
    assert candidate.outputs["positive"] == "late"
    assert candidate.tensors == {"X": ["amount", "step", "kind", "code"]}
    assert not candidate.notes
    assert "--labels" in from_text(text, Choices()).notes[0]


def test_conversion_is_the_same_every_time() -> None:
    """The same text gives the same bytes."""
    text, _ = trained(two, rounds=3, objective="binary")
    assert candidate_of(text).content == candidate_of(text).content


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    """What cannot be converted is one sentence that names it."""
    text, _ = trained(two, rounds=3, objective="binary")
    path = tmp_path / "model.txt"
    path.write_text(text[: len(text) // 4])
    with pytest.raises(ExportError, match="cut off"):
        read(path, Choices())
    with pytest.raises(ExportError, match="2 of 3 trees"):
        candidate_of(text.replace("\nTree=2\n", "\n"))
    with pytest.raises(ExportError, match=r"categorical \(kind, code\).*--categories"):
        from_text(text, Choices())
    with pytest.raises(ExportError, match="2 classes, and 3 labels"):
        candidate_of(text, labels=["a", "b", "c"])
    with pytest.raises(ExportError, match="'c' is none of the model's labels: a, b"):
        candidate_of(text, labels=["a", "b"], positive="c")
    linear = trained(plain, rounds=2, objective="regression", linear_tree=True)[0]
    with pytest.raises(ExportError, match="linear_tree"):
        candidate_of(linear)
    with pytest.raises(ExportError, match="'strange' cannot be converted"):
        candidate_of(text.replace("objective=binary", "objective=strange"))


def test_trees_without_splits_are_constants(tmp_path: Path) -> None:
    """A model that found nothing to split on answers with one number."""
    text, frame = trained(plain, rounds=2, objective="regression", min_gain_to_split=1e9)
    assert "num_leaves=1\n" in text
    assert_agrees(tmp_path, candidate_of(text), payloads(frame)[:20])


def test_without_lightgbm_the_text_is_converted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """LightGBM is needed for its own answers alone."""
    text, _ = trained(two, rounds=3, objective="binary")
    with_it = candidate_of(text)
    monkeypatch.setattr("everscore_models.sources.lightgbm_text.installed", lambda _: False)
    without = candidate_of(text)
    assert without.predict is None
    assert without.content == with_it.content
