"""LightGBM, XGBoost and CatBoost in a pickle without a pipeline around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV

from everscore_models.candidate import Candidate, Choices
from everscore_models.errors import ExportError
from everscore_models.sources.pickled import read
from tests.support.parity import assert_agrees

KINDS = ["forêt", "mer", "ville"]


def table(rows: int = 300) -> tuple[pd.DataFrame, Any]:
    """Numbers and a category, and the class that they speak for."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": random.normal(size=rows),
            "kind": pd.Categorical(random.choice(KINDS, rows), categories=KINDS),
        }
    )
    return frame, np.where(frame.amount + (frame.kind == "mer") > 0.5, "late", "early")


def events(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table."""
    columns = frame.astype(object)
    return [dict(zip(frame.columns, row, strict=True)) for row in columns.itertuples(index=False)]


def pickled(found: Any, folder: Path) -> Candidate:
    """The candidate of what joblib saved."""
    path = folder / "model.joblib"
    joblib.dump(found, path)
    return read(path, Choices(trust=True))


def lightgbm() -> Any:
    """A classifier of LightGBM, not fitted."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1, min_child_samples=5)


def test_lightgbm_keeps_its_categories_and_classes(tmp_path: Path) -> None:
    """A fitted LGBMClassifier knows the names of its classes and categories, which its text does not."""
    frame, outcome = table()
    model = lightgbm().fit(frame, outcome)
    candidate = pickled(model, tmp_path)
    assert candidate.outputs["labels"] == ["early", "late"]
    assert candidate.columns[1].categories == tuple(KINDS)
    assert candidate.notes == []
    assert_agrees(tmp_path / "model", candidate, [*events(frame), {"amount": 1.0, "kind": "new"}])
    assert candidate.predict is not None
    codes = frame.assign(kind=frame.kind.cat.codes.astype(float))
    assert [each.label for each in candidate.predict(codes)] == model.predict(frame).tolist()
    own = pickled(model.booster_, tmp_path)
    assert own.content == candidate.content
    assert own.outputs["labels"] == ["0", "1"]


def test_xgboost_keeps_its_categories(tmp_path: Path) -> None:
    """A fitted XGBClassifier and its Booster are read as their files are."""
    from xgboost import XGBClassifier

    frame, outcome = table()
    model = XGBClassifier(n_estimators=5, n_jobs=1, max_depth=3)
    model.fit(frame, (outcome == "late").astype(int))
    candidate = pickled(model, tmp_path)
    assert candidate.columns[1].categories == tuple(KINDS)
    assert_agrees(tmp_path / "model", candidate, events(frame))
    assert pickled(model.get_booster(), tmp_path).content == candidate.content
    with pytest.raises(ExportError, match="takes 0 for a missing value"):
        pickled(model.set_params(missing=0), tmp_path)


def test_catboost_and_the_best_of_a_search(tmp_path: Path) -> None:
    """A fitted CatBoostClassifier is read, and of a search the best model."""
    from catboost import CatBoostClassifier

    frame, outcome = table()
    quiet = {"verbose": False, "allow_writing_files": False, "thread_count": 1}
    model = CatBoostClassifier(iterations=5, depth=3, **quiet).fit(frame[["amount"]], outcome)
    candidate = pickled(model, tmp_path)
    assert candidate.outputs["classes"] == ["early", "late"]
    assert_agrees(tmp_path / "model", candidate, events(frame[["amount"]]))
    search = GridSearchCV(lightgbm(), {"num_leaves": [4, 8]}, cv=2).fit(frame, outcome)
    assert pickled(search, tmp_path).columns[1].categories == tuple(KINDS)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_what_is_not_fitted_is_refused(tmp_path: Path, library: str) -> None:
    """A model that was saved before fit() is one sentence."""
    import catboost
    import xgboost

    models = {"lightgbm": lightgbm, "xgboost": xgboost.XGBClassifier, "catboost": catboost.CatBoostClassifier}
    with pytest.raises(ExportError, match=r"is not fitted: save it after fit"):
        pickled(models[library](), tmp_path)
