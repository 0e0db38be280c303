"""LightGBM, XGBoost and CatBoost, as they save their models themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import xgboost

from everscore_models.survey.case import (
    NUMBERS,
    Case,
    Made,
    number,
    positive,
    table,
    three_classes,
    two_classes,
)

_COLUMNS = [*NUMBERS, "m"]
_TARGETS: Mapping[str, Any] = {
    "two": lambda frame: (two_classes(frame) == "yes").astype(int),
    "three": lambda frame: np.unique(three_classes(frame), return_inverse=True)[1],
    "number": number,
    "positive": positive,
}


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _lightgbm_cases()
    yield from _xgboost_cases()
    yield from _catboost_cases()


def _lightgbm(name: str, target: str, parameters: Mapping[str, Any], columns: list[str] = _COLUMNS) -> Case:
    def make(folder: Path) -> Made:
        frame = table()
        quiet = {"verbose": -1, "num_threads": 1, "seed": 1, "num_leaves": 7, "deterministic": True}
        texts = [name for name in columns if name == "word"]
        rows = frame[columns].astype(dict.fromkeys(texts, "category"))
        data = lightgbm.Dataset(rows, label=_TARGETS[target](frame))
        path = folder / "model.txt"
        lightgbm.train({**quiet, **parameters}, data, num_boost_round=20).save_model(path)
        return Made(path)

    return Case("LightGBM", name, make)


def _lightgbm_cases() -> Iterator[Case]:
    bagging = {"bagging_fraction": 0.7, "bagging_freq": 1}
    yield _lightgbm("binary", "two", {"objective": "binary"})
    yield _lightgbm("multiclass", "three", {"objective": "multiclass", "num_class": 3})
    yield _lightgbm("multiclassova", "three", {"objective": "multiclassova", "num_class": 3})
    for objective in ("regression", "regression_l1", "huber", "quantile", "mape"):
        yield _lightgbm(objective, "number", {"objective": objective})
    for objective in ("poisson", "gamma", "tweedie"):
        yield _lightgbm(objective, "positive", {"objective": objective})
    yield _lightgbm("boosting=rf, binary", "two", {"objective": "binary", "boosting": "rf", **bagging})
    yield _lightgbm("boosting=dart", "two", {"objective": "binary", "boosting": "dart"})
    yield _lightgbm("zero_as_missing", "two", {"objective": "binary", "zero_as_missing": True})
    yield _lightgbm(
        "categorical columns", "two", {"objective": "binary", "min_data_per_group": 5}, [*_COLUMNS, "word"]
    )
    yield _lightgbm("linear_tree", "number", {"objective": "regression", "linear_tree": True}, NUMBERS)


def _xgboost(name: str, target: str, parameters: Mapping[str, Any], columns: list[str] = _COLUMNS) -> Case:
    def make(folder: Path) -> Made:
        frame = table()
        texts = [name for name in columns if name == "word"]
        rows = frame[columns].astype(dict.fromkeys(texts, "category"))
        data = xgboost.DMatrix(rows, label=_TARGETS[target](frame), enable_categorical=bool(texts))
        path = folder / "model.json"
        settings = {"max_depth": 3, "nthread": 1, "seed": 1, **parameters}
        rounds = int(settings.pop("rounds", 20))
        xgboost.train(settings, data, rounds).save_model(path)
        return Made(path)

    return Case("XGBoost", name, make)


def _xgboost_cases() -> Iterator[Case]:
    yield _xgboost("binary:logistic", "two", {"objective": "binary:logistic"})
    yield _xgboost("multi:softprob", "three", {"objective": "multi:softprob", "num_class": 3})
    for objective in ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"):
        yield _xgboost(objective, "number", {"objective": objective})
    yield _xgboost("reg:quantileerror", "number", {"objective": "reg:quantileerror", "quantile_alpha": 0.9})
    for objective in ("count:poisson", "reg:gamma", "reg:tweedie"):
        yield _xgboost(objective, "positive", {"objective": objective})
    yield _xgboost("booster=dart", "two", {"objective": "binary:logistic", "booster": "dart"})
    yield _xgboost(
        "booster=gblinear", "two", {"objective": "binary:logistic", "booster": "gblinear"}, NUMBERS
    )
    forest = {"num_parallel_tree": 10, "subsample": 0.7, "learning_rate": 1, "rounds": 1}
    yield _xgboost("a random forest", "two", {"objective": "binary:logistic", **forest})
    yield _xgboost("categorical columns", "two", {"objective": "binary:logistic"}, [*_COLUMNS, "word"])


def _catboost(name: str, target: str, parameters: Mapping[str, Any], columns: list[str] = _COLUMNS) -> Case:
    def make(folder: Path) -> Made:
        frame = table()
        quiet = {"verbose": False, "allow_writing_files": False, "thread_count": 1, "random_seed": 1}
        fitted = catboost.CatBoost({**quiet, "iterations": 20, "depth": 3, **parameters})
        texts = [name for name in columns if name == "word"]
        fitted.fit(frame[columns], _TARGETS[target](frame), cat_features=texts or None)
        path = folder / "model.cbm"
        fitted.save_model(str(path))
        return Made(path)

    return Case("CatBoost", name, make)


def _catboost_cases() -> Iterator[Case]:
    yield _catboost("Logloss", "two", {"loss_function": "Logloss"})
    yield _catboost("MultiClass", "three", {"loss_function": "MultiClass"})
    for loss in ("RMSE", "MAE", "Quantile:alpha=0.9"):
        yield _catboost(loss, "number", {"loss_function": loss})
    for loss in ("Poisson", "Tweedie:variance_power=1.5"):
        yield _catboost(loss, "positive", {"loss_function": loss})
    yield _catboost("grow_policy=Lossguide", "two", {"loss_function": "Logloss", "grow_policy": "Lossguide"})
    yield _catboost("categorical columns", "two", {"loss_function": "Logloss"}, [*_COLUMNS, "word"])
