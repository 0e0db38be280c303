"""`everscore model add` with files of LightGBM, XGBoost, CatBoost and skops, as docs/models.md has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from everscore.event.scores import Scores
from everscore.score.loading import load_named
from everscore_cli.main import main

_rng = np.random.default_rng(3)
ROWS = 300
TEMP = np.where(_rng.random(ROWS) < 0.1, np.nan, (_rng.normal(60, 9, ROWS) * 4).round() / 4)
LOAD = _rng.integers(0, 4, ROWS).astype(float)
SITE = _rng.choice(["Nord", "Süd", "Est"], ROWS)
TARGET = (np.nan_to_num(TEMP, nan=50) + 5 * LOAD + np.where(SITE == "Est", 9, 0) > 68).astype(int)


def events(folder: Path, *, texts: bool) -> Path:
    """A table of events; what is missing is an empty cell."""
    frame = pd.DataFrame({"temp": TEMP, "load": LOAD.astype(int)})
    if texts:
        frame["site"] = SITE
    path = folder / "events.csv"
    frame.to_csv(path, index=False)
    return path


def add(folder: Path, file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    """What `everscore model add --json` says of it, or the sentence of its refusal."""
    arguments = [str(file), "--events", str(folder / "events.csv"), "--models", str(folder / "models"), *more]
    with pytest.raises(SystemExit) as ended:
        main(["model", "add", *arguments, "--json"])
    said = capsys.readouterr()
    if ended.value.code:
        return {"refused": said.err}
    found: dict[str, Any] = json.loads(said.out)
    return found


def scores(folder: Path, name: str, *, texts: bool) -> list[float]:
    """What production gives the events."""
    model = load_named(folder / "models" / name)
    payloads = [
        {"temp": None if np.isnan(temp) else temp, "load": load} | ({"site": site} if texts else {})
        for temp, load, site in zip(TEMP.tolist(), LOAD.tolist(), SITE.tolist(), strict=True)
    ]
    found = model.score(payloads)
    assert all(isinstance(each, Scores) for each in found)
    return [each.value for each in found if isinstance(each, Scores)]


def lightgbm(folder: Path) -> tuple[Path, list[float]]:
    """With texts as categories and missing values."""
    import lightgbm

    frame = pd.DataFrame({"temp": TEMP, "load": LOAD, "site": pd.Categorical(SITE)})
    fitted = lightgbm.LGBMClassifier(n_estimators=20, num_leaves=7, verbose=-1, n_jobs=1).fit(frame, TARGET)
    fitted.booster_.save_model(folder / "churn.txt")
    return folder / "churn.txt", np.asarray(fitted.predict_proba(frame))[:, 1].tolist()


def xgboost(folder: Path) -> tuple[Path, list[float]]:
    """With missing values."""
    import xgboost

    frame = pd.DataFrame({"temp": TEMP, "load": LOAD})
    fitted = xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1).fit(frame, TARGET)
    fitted.save_model(folder / "churn.json")
    return folder / "churn.json", fitted.predict_proba(frame)[:, 1].tolist()


def catboost(folder: Path) -> tuple[Path, list[float]]:
    """With missing values."""
    import catboost

    frame = pd.DataFrame({"temp": TEMP, "load": LOAD})
    fitted = catboost.CatBoostClassifier(
        iterations=20, depth=3, verbose=False, thread_count=1, allow_writing_files=False
    ).fit(frame, TARGET)
    fitted.save_model(str(folder / "churn.cbm"))
    return folder / "churn.cbm", fitted.predict_proba(frame)[:, 1].tolist()


def skops(folder: Path) -> tuple[Path, list[float]]:
    """Of scikit-learn, gradient boosting by histograms, without trust."""
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame = pd.DataFrame({"temp": TEMP, "load": LOAD})
    fitted = HistGradientBoostingClassifier(max_iter=15, max_leaf_nodes=7).fit(frame, TARGET)
    skops.io.dump(fitted, folder / "churn.skops")
    return folder / "churn.skops", fitted.predict_proba(frame)[:, 1].tolist()


@pytest.mark.parametrize("library", [lightgbm, xgboost, catboost, skops])
def test_a_file_becomes_a_model_with_the_librarys_scores(
    library: Callable[[Path], tuple[Path, list[float]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command, without own code: missing values and categories of texts included."""
    texts = library is lightgbm
    events(tmp_path, texts=texts)
    file, wanted = library(tmp_path)
    more = ("--trust",) if file.suffix == ".skops" else ()
    said = add(tmp_path, file, capsys, *more)
    assert "refused" not in said, said
    assert said["compared"] == "library"
    assert said["rows"] > ROWS
    assert scores(tmp_path, "churn", texts=texts) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("trap", ["rf", "zero_as_missing", "fraction"])
def test_the_silent_traps_of_lightgbm(trap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What LightGBM answers is what is stored: for a random forest, for zeros, for a code with a fraction."""
    import lightgbm as library

    options = {
        "rf": {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
        "zero_as_missing": {"zero_as_missing": True},
        "fraction": {},
    }[trap]
    frame = pd.DataFrame({"temp": TEMP, "load": LOAD})
    given = {"categorical_feature": ["load"]} if trap == "fraction" else {}
    fitted = library.LGBMClassifier(n_estimators=20, num_leaves=7, verbose=-1, n_jobs=1, **options).fit(  # type: ignore[arg-type]
        frame,
        TARGET,
        **given,  # type: ignore[arg-type]
    )
    fitted.booster_.save_model(tmp_path / "churn.txt")
    events(tmp_path, texts=False)
    said = add(tmp_path, tmp_path / "churn.txt", capsys)
    assert "refused" not in said, said
    wanted = np.asarray(fitted.predict_proba(frame))[:, 1].tolist()
    assert scores(tmp_path, "churn", texts=False) == pytest.approx(wanted, abs=1e-5)
    if trap == "fraction":
        (got,) = load_named(tmp_path / "models" / "churn").score([{"temp": 60.0, "load": 2.7}])
        asked = fitted.predict_proba(pd.DataFrame({"temp": [60.0], "load": [2.7]}))
        assert isinstance(got, Scores)
        assert got.value == pytest.approx(np.asarray(asked)[0, 1], abs=1e-5)


def test_a_file_without_its_categories_asks_for_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """LightGBM's text that was cut before its last line, which holds the values of pandas' categories."""
    events(tmp_path, texts=True)
    file, wanted = lightgbm(tmp_path)
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.index("pandas_categorical")], encoding="utf-8")
    said = add(tmp_path, file, capsys)
    assert "takes numbers for 'site', and /site holds texts" in said["refused"]
    assert "--categories" in said["refused"]
    said = add(tmp_path, file, capsys, "--categories", "site=Est,Nord,Süd")
    assert "refused" not in said, said
    assert scores(tmp_path, "churn", texts=True) == pytest.approx(wanted, abs=1e-5)


def test_values_that_are_thresholds_go_the_same_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With more than 255 values scikit-learn's histograms split at values of the data, as decimals have them."""
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(3)
    temp = rng.normal(60, 9, 400).round(2)
    target = (temp + rng.normal(0, 4, 400) > 60).astype(int)
    frame = pd.DataFrame({"temp": temp})
    frame.to_csv(tmp_path / "events.csv", index=False)
    fitted = HistGradientBoostingClassifier(max_iter=15, max_leaf_nodes=7).fit(frame, target)
    skops.io.dump(fitted, tmp_path / "churn.skops")
    said = add(tmp_path, tmp_path / "churn.skops", capsys, "--trust")
    assert "refused" not in said, said
    parity = load_named(tmp_path / "models" / "churn").manifest.parity
    assert parity is not None
    assert parity.rounded_share == 0
