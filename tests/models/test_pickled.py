"""Models of scikit-learn out of joblib, pickle and skops files, and what they say of themselves."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, QuantileTransformer, StandardScaler

from everscore.score.input_form import Default, Input, InputType
from everscore.score.loading import load_model
from everscore.score.model import Model
from everscore.score.output_form import Kind
from everscore_models import ExportError, steps
from everscore_models.candidate import Candidate, Choices
from everscore_models.gate import compare
from everscore_models.probes import Trait, probes
from everscore_models.sources.pickled import read

TRUST = Choices(trust=True)
_rng = np.random.default_rng(11)
FRAME = pd.DataFrame(
    {
        "temp": _rng.normal(60, 9, 90),
        "site": _rng.choice(list("NSE"), 90),
        "level": _rng.integers(0, 4, 90),
        "on": _rng.random(90) < 0.5,
        "other": _rng.normal(size=90),
    }
)
LATE = np.where(FRAME["temp"] + 5 * FRAME["level"] > 66, "late", "fine")


def prepared(model: Any) -> Pipeline:
    """Each kind of column on its own way to the model."""
    texts = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["temp"]),
            ("texts", texts, ["site"]),
            ("levels", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["level", "on"]),
            ("rest", "passthrough", ["other"]),
        ]
    )
    return make_pipeline(columns, model)


def saved(path: Path, model: Any) -> Path:
    """The model in a file."""
    joblib.dump(model, path)
    return path


def dump_skops(model: Any, path: Path) -> None:
    """The model in a file of skops."""
    import skops.io

    skops.io.dump(model, path)


def refusal(path: Path, choices: Choices = TRUST) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(ExportError) as caught:
        read(path, choices)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize("suffix", ["joblib", "pkl", "skops"])
def test_a_pipeline_tells_its_columns_classes_and_answers(tmp_path: Path, suffix: str) -> None:
    """Names, types by its encoders, what may be missing, classes and its own predictions, from each form of file."""
    model = prepared(LogisticRegression()).fit(FRAME, LATE)
    path = tmp_path / f"model.{suffix}"
    if suffix == "skops":
        dump_skops(model, path)
    elif suffix == "pkl":
        path.write_bytes(pickle.dumps(model))
    else:
        saved(path, model)
    found = read(path, Choices() if suffix == "skops" else TRUST)
    assert [(each.name, each.type, each.takes_nan) for each in found.columns] == [
        ("temp", None, True),
        ("site", InputType.TEXT, None),
        ("level", InputType.INTEGER, True),
        ("on", InputType.BOOLEAN, True),
        ("other", None, False),
    ]
    assert [each.fill for each in found.columns] == [None, "?", None, None, None]
    assert (found.kind, found.library) == (Kind.CLASSIFIER, "scikit-learn")
    assert found.outputs["classes"] == ["fine", "late"]
    assert found.outputs["positive"] == "late"
    assert {"scikit-learn", "skl2onnx"} <= found.tools.keys()
    assert found.predict is not None
    said = found.predict(FRAME[["other", "on", "level", "site", "temp"]])
    assert [each.label for each in said] == model.predict(FRAME).tolist()
    assert [each.values for each in said] == [tuple(row) for row in model.predict_proba(FRAME).tolist()]


def test_labels_and_the_positive_one_are_those_that_were_chosen(tmp_path: Path) -> None:
    """Other names for the classes, in their order, and the other class as positive; wrong ones are refused."""
    path = saved(tmp_path / "model.joblib", LogisticRegression().fit(FRAME[["temp"]], LATE == "late"))
    found = read(path, Choices(trust=True, labels=["in time", "late"], positive="in time"))
    assert (found.outputs["labels"], found.outputs["positive"]) == (["in time", "late"], "in time")
    assert found.predict is not None
    assert {each.label for each in found.predict(FRAME)} == {"in time", "late"}
    assert "has 2 classes (False, True), and 1 labels were given (late)" in refusal(
        path, Choices(trust=True, labels=["late"])
    )
    assert "'early' is none of the model's labels: False, True" in refusal(
        path, Choices(trust=True, positive="early")
    )


def test_a_matrix_a_search_and_several_regressors(tmp_path: Path) -> None:
    """Without names the columns are x0, x1; of a search its best model counts; a dict is several in one."""
    matrix = FRAME[["temp", "other"]].to_numpy()
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2).fit(matrix, FRAME["temp"] * 2)
    found = read(saved(tmp_path / "a.joblib", search), TRUST)
    assert [each.name for each in found.columns] == ["x0", "x1"]
    assert (found.kind, found.tensors) == (Kind.REGRESSOR, {"X": ["x0", "x1"]})
    quantiles = {
        f"q{level}": HistGradientBoostingRegressor(loss="quantile", quantile=level / 100, max_iter=2).fit(
            matrix, FRAME["temp"]
        )
        for level in (10, 90)
    }
    found = read(saved(tmp_path / "b.joblib", quantiles), TRUST)
    assert found.outputs["columns"] == ["q10", "q90"]
    assert all(each.takes_nan for each in found.columns)
    assert found.predict is not None
    frame = pd.DataFrame(matrix, columns=["x0", "x1"])
    assert found.predict(frame)[3].values == tuple(each.predict(matrix)[3] for each in quantiles.values())
    with pytest.raises(ExportError, match="A regressor has no class"):
        read(tmp_path / "b.joblib", Choices(trust=True, positive="q10"))


def test_a_clusterer_and_a_text_model(tmp_path: Path) -> None:
    """Clusters by their numbers; a text model is one column of texts, and brings its features.py along."""
    found = read(saved(tmp_path / "a.joblib", KMeans(2, n_init=1).fit(FRAME[["temp"]])), TRUST)
    assert (found.kind, found.outputs["labels"]) == (Kind.CLUSTERER, ["0", "1"])
    texts = ["forêt verte", "森林 静か", "grüner Wald"] * 4
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [0, 1, 2] * 4)
    found = read(saved(tmp_path / "b.joblib", model), TRUST)
    assert [(each.name, each.type) for each in found.columns] == [("text", InputType.TEXT)]
    assert found.features is not None
    assert found.feature_columns == ["text"]
    assert found.predict is not None
    (answer,) = found.predict(pd.DataFrame({"text": ["forêt"]}))
    assert answer.label == "0"


def loaded(found: Candidate, inputs: Sequence[Input], folder: Path) -> Model:
    """The candidate as a model's folder, loaded by the code that scores in production."""
    (folder / "model.onnx").write_bytes(found.content)
    document: dict[str, Any] = {
        "schema": 2,
        "name": folder.name,
        "version": "1",
        "kind": str(found.kind),
        "sha256": hashlib.sha256(found.content).hexdigest(),
        "inputs": [each.model_dump(mode="json") for each in inputs],
        "tensors": {name: list(columns) for name, columns in found.tensors.items()},
        "outputs": dict(found.outputs),
    }
    if found.features is not None:
        (folder / "features.py").write_text(found.features)
        document["features"] = {
            "sha256": hashlib.sha256(found.features.encode()).hexdigest(),
            "columns": list(found.feature_columns),
        }
    (folder / "manifest.json").write_text(json.dumps(document))
    return load_model(folder)


def test_texts_that_boosting_itself_takes_as_categories(tmp_path: Path) -> None:
    """A model fitted on a data frame with columns of categories brings them along; unseen and missing ones agree."""
    frame = FRAME[["temp", "site", "level"]].assign(site=FRAME["site"].where(FRAME["level"] > 0))
    frame = frame.astype({"site": "category", "level": "category"})
    target = (FRAME["site"] == "E") != (FRAME["level"] == 2)
    model = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=3).fit(frame, target)
    found = read(saved(tmp_path / "a.joblib", model), TRUST)
    site = found.columns[1]
    assert (site.type, site.categories, site.unseen) == (InputType.TEXT, ("E", "N", "S"), "nan")
    inputs = [
        Input(name="temp", pointer="/temp", type=InputType.NUMBER, missing="nan"),
        Input(
            name="site",
            pointer="/site",
            type=InputType.TEXT,
            categories=site.categories,
            unseen="nan",
            missing="nan",
        ),
        Input(name="level", pointer="/level", type=InputType.INTEGER, missing="nan"),
    ]
    events = [
        {"temp": temp, "site": site if isinstance(site, str) else None, "level": level}
        for temp, site, level in zip(FRAME["temp"], frame["site"], FRAME["level"].tolist(), strict=True)
    ]
    folder = tmp_path / "model"
    folder.mkdir()
    assert found.predict is not None
    compared = compare(probes(events, inputs), inputs, found.predict, loaded(found, inputs, folder), 1e-5)
    assert compared.rows > 2 * len(events)
    own = model.predict_proba(frame)[:, 1].tolist()
    scores = load_model(folder).score(events)
    assert [getattr(each, "value", None) for each in scores] == pytest.approx(own, abs=1e-5)
    with pytest.raises(ExportError, match="itself knows the categories of 'site': E, N, S"):
        read(tmp_path / "a.joblib", Choices(trust=True, categories={"site": ["N", "S"]}))


def test_a_candidate_answers_as_its_graph_does(tmp_path: Path) -> None:
    """With inputs out of what the file says, ONNX agrees with the candidate's own answers on odd rows too."""
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["temp"]),
            (
                "texts",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
                ),
                ["site"],
            ),
            ("flags", OneHotEncoder(handle_unknown="ignore"), ["on"]),
            ("words", TfidfVectorizer(), "words"),
            ("rest", "passthrough", ["level"]),
        ]
    )
    levels = ("low", "mid", "high", "top")
    frame = FRAME.assign(words="Forêt " + FRAME["site"] + " ÉTÉ " + FRAME["level"].astype(str) + "x")
    model = make_pipeline(columns, LogisticRegression()).fit(frame.drop(columns="other"), LATE)
    found = read(saved(tmp_path / "a.joblib", model), TRUST)
    inputs = [
        Input(
            name=each.name,
            pointer=f"/{each.name}",
            type=each.type or InputType.NUMBER,
            missing="nan" if each.takes_nan else "reject" if each.fill is None else Default(value=each.fill),
        )
        if each.name != "level"
        else Input(name="level", pointer="/level", type=InputType.TEXT, categories=levels)
        for each in found.columns
    ]
    rows: list[dict[str, Any]] = frame.drop(columns="other").to_dict("records")  # type: ignore[assignment]
    events = [{**row, "level": levels[row["level"]]} for row in rows]
    folder = tmp_path / "model"
    folder.mkdir()
    assert found.predict is not None
    compared = compare(
        probes(events, inputs), inputs, found.predict, loaded(found, inputs, folder), found.tolerance
    )
    assert compared.rows > len(events)
    assert {each.trait for each in compared.probes} >= {
        Trait.NULL,
        Trait.UNSEEN,
        Trait.EXTREME,
        Trait.BOOLEAN,
    }


def test_codes_of_categories_that_somebody_names(tmp_path: Path) -> None:
    """A model that learned codes takes the values by name; unseen ones are missing to one that takes those."""
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features=["level"])
    path = saved(tmp_path / "a.joblib", model.fit(FRAME[["temp", "level"]], LATE))
    found = read(path, Choices(trust=True, categories={"level": ["low", "mid", "high", "top"]}))
    level = found.columns[1]
    assert (level.type, level.unseen, level.categories) == (
        InputType.TEXT,
        "nan",
        ("low", "mid", "high", "top"),
    )
    assert "no column 'lvl', only temp, level" in refusal(
        path, Choices(trust=True, categories={"lvl": ["low"]})
    )


class Own(RegressorMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """A model of the user's own."""

    def fit(self, X: Any, y: Any) -> Own:  # noqa: N803 - scikit-learn's names
        """Learns the mean."""
        self.mean_ = float(np.mean(y))
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803
        """The mean."""
        return np.full(len(X), self.mean_)


def test_a_pickle_is_loaded_only_with_trust(tmp_path: Path) -> None:
    """Nothing of it runs without; the sentence says that loading runs code, and what runs none."""
    ran = tmp_path / "ran"

    class Trap:
        """Runs code when it is loaded."""

        def __reduce__(self) -> tuple[Any, Sequence[Any]]:
            return Path.touch, (ran,)

    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Trap()))
    sentence = refusal(path, Choices())
    assert "loading one runs whatever code is in it: add --trust" in sentence
    assert "skops" in sentence
    assert not ran.exists()
    assert "holds a NoneType, no model" in refusal(path)
    assert ran.exists()


def test_types_of_others_in_a_skops_file_are_named(tmp_path: Path) -> None:
    """They need trust, and are named; with it the file loads."""
    path = tmp_path / "model.skops"
    dump_skops(Own().fit(FRAME[["temp"]], FRAME["temp"]), path)
    assert f"does not trust by itself ({Own.__module__}.Own): add --trust" in refusal(path, Choices())
    assert "(Own) cannot be converted" in refusal(path, TRUST)


def test_files_that_hold_no_fitted_model_are_refused(tmp_path: Path) -> None:
    """Truncated, no pickle, not fitted, something else, a package or a function that is not there: a sentence each."""
    whole = pickle.dumps(Ridge().fit(FRAME[["temp"]], FRAME["temp"]))
    path = tmp_path / "model.pkl"
    for content in (whole[:-30], b"", b"hello\nworld", gzip.compress(whole, mtime=0)[:-40]):
        path.write_bytes(content)
        assert "is truncated or no model of scikit-learn" in refusal(path)
    (tmp_path / "model.skops").write_bytes(b"PK\x03\x04 no archive")
    assert "is truncated or no model" in refusal(tmp_path / "model.skops", Choices())
    assert "a LogisticRegression that is not fitted: save it after fit()" in refusal(
        saved(path, make_pipeline(StandardScaler(), LogisticRegression()))
    )
    assert "holds a dict with model, columns, no model: save the fitted estimator" in refusal(
        saved(path, {"model": Ridge(), "columns": ["a"]})
    )
    assert "holds a ndarray, no model" in refusal(saved(path, np.zeros(3)))
    path.write_bytes(b"cnot_there_at_all\nModel\n.")
    assert "needs the package not_there_at_all: pip install not_there_at_all" in refusal(path)
    path.write_bytes(b"c__main__\nlowered_by_me\n.")
    assert "stood in the program which wrote it" in refusal(path)


def test_another_version_of_scikit_learn_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of an older version loads; the note says whose predictions it is compared with."""
    model = Ridge().fit(FRAME[["temp"]], FRAME["temp"])
    monkeypatch.setattr(sys.modules["sklearn.base"], "__version__", "1.5.2")
    path = saved(tmp_path / "model.joblib", model)
    monkeypatch.undo()
    (note,) = read(path, TRUST).notes
    assert note.startswith("It was fitted with scikit-learn 1.5.2, and this is ")


def test_what_takes_minutes_is_told_before_it_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A QuantileTransformer of many quantiles converts slowly: whoever waits reads why, and what is quicker."""
    frame = FRAME[["temp", "other"]]
    model = make_pipeline(QuantileTransformer(n_quantiles=90), LogisticRegression()).fit(frame, LATE)
    monkeypatch.setattr(steps, "_QUICK_QUANTILES", 50)
    told: list[str] = []
    found = read(saved(tmp_path / "m.joblib", model), Choices(trust=True, tell=told.append))
    assert told == ["convert to ONNX; " + found.notes[0]]
    assert "has 90 quantiles, which takes minutes: n_quantiles=100 takes seconds" in told[0]
