"""LightGBM, XGBoost and CatBoost as steps of scikit-learn's pipelines: exported with their own scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from everscore.score.manifest import Manifest
from everscore_models import ExportError, Input, Trained
from everscore_models.convert import convert
from everscore_models.export import export

INPUTS = [
    Input(name="the amount", pointer="/the amount", type="number", missing="nan"),
    Input(name="step", pointer="/step", type="number"),
    Input(name="word", pointer="/word", type="text"),
]

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")


def lightgbm(**settings: Any) -> Any:
    """A small classifier of LightGBM."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1, min_child_samples=5, **settings)


def xgboost(**settings: Any) -> Any:
    """A small classifier of XGBoost."""
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=8, n_jobs=1, max_depth=3, **settings)


def catboost(**settings: Any) -> Any:
    """A small classifier of CatBoost."""
    from catboost import CatBoostClassifier

    quiet = {"verbose": False, "allow_writing_files": False, "thread_count": 1}
    return CatBoostClassifier(iterations=8, depth=3, **quiet, **settings)


LIBRARIES = pytest.mark.parametrize(
    "classifier", [lightgbm, xgboost, catboost], ids=lambda each: each.__name__
)
type Make = Callable[..., Any]


def table(rows: int = 400) -> tuple[pd.DataFrame, Any]:
    """Columns with missing values, whole numbers and texts, and what they say of the outcome."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "the amount": random.normal(size=rows).astype(np.float32).astype(np.float64),
            "step": random.integers(0, 5, rows).astype(float),
            "word": random.choice(["forêt", "bb", "c"], rows),
        }
    )
    frame.iloc[::9, 0] = np.nan
    signal = np.nan_to_num(frame.iloc[:, 0]) + frame.step * 0.3 + (frame.word == "c")
    return frame, signal.to_numpy(float)


def prepared(words: Any = None) -> ColumnTransformer:
    """Numbers as they are, words as columns of their own."""
    encoder = words or OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [("numbers", "passthrough", ["the amount", "step"]), ("words", encoder, ["word"])]
    )


def exported(folder: Path, pipeline: Any, outcome: Any, positive: str | None = None, **fit: Any) -> Manifest:
    """Fits, exports with the parity gate, and returns the manifest."""
    frame, _ = table()
    pipeline.fit(frame, outcome, **fit)
    columns = frame.astype(object).where(frame.notna(), None)
    events = [dict(zip(frame.columns, row, strict=True)) for row in columns.itertuples(index=False)]
    manifest = export(
        Trained(
            version="1",
            pipeline=pipeline,
            inputs=INPUTS,
            held_out=events,
            data="made up",
            rows=len(frame),
            positive=positive,
        ),
        folder,
    )
    assert manifest.parity is not None
    assert manifest.parity.rows > 900
    assert manifest.parity.largest_difference < 1e-6
    return manifest


def two() -> Any:
    """Two classes by number."""
    return (table()[1] > 1).astype(int)


@LIBRARIES
def test_a_pipeline_agrees(tmp_path: Path, classifier: Make) -> None:
    """Fitted on named columns, as the last step, each scores as its library does."""
    exported(tmp_path, make_pipeline(prepared(), classifier()), two(), "1")


@LIBRARIES
def test_several_classes_agree(tmp_path: Path, classifier: Make) -> None:
    """More than two classes keep their order."""
    classes = np.digitize(table()[1], [0, 1, 2])
    assert exported(tmp_path, make_pipeline(prepared(), classifier()), classes).outputs.classes == (
        0,
        1,
        2,
        3,
    )


@pytest.mark.parametrize("classifier", [lightgbm, catboost], ids=lambda each: each.__name__)
def test_classes_may_be_texts(tmp_path: Path, classifier: Make) -> None:
    """Text classes are the labels."""
    outcome = np.where(two() == 1, "late", "à l'heure")
    manifest = exported(tmp_path, make_pipeline(prepared(), classifier()), outcome, "late")
    assert set(manifest.outputs.classes) == {"late", "à l'heure"}


@LIBRARIES
def test_calibrated_agrees(tmp_path: Path, classifier: Make) -> None:
    """CalibratedClassifierCV around each agrees; LightGBM's it asks for margins, since they have such."""
    pipeline = make_pipeline(prepared(), CalibratedClassifierCV(classifier(), cv=2))
    exported(tmp_path, pipeline, two(), "1")


def test_calibrated_margins_of_several_classes_agree(tmp_path: Path) -> None:
    """Each class of a calibrated LightGBM has its own margin."""
    pipeline = make_pipeline(prepared(), CalibratedClassifierCV(lightgbm(), cv=2))
    exported(tmp_path, pipeline, np.digitize(table()[1], [0, 1, 2]))


def test_stacked_and_voting_agree(tmp_path: Path) -> None:
    """All three libraries under one StackingClassifier, and under one VotingClassifier."""
    models = [("a", lightgbm()), ("b", xgboost()), ("c", catboost())]
    stacked = StackingClassifier(models, final_estimator=LogisticRegression(), cv=2)
    exported(tmp_path, make_pipeline(prepared(), stacked), two(), "1")
    voting = VotingClassifier(models, voting="soft", flatten_transform=False)
    exported(tmp_path, make_pipeline(prepared(), voting), two(), "1")


def test_regressors_agree(tmp_path: Path) -> None:
    """A regressor of each, all three stacked, and one of several numbers."""
    from catboost import CatBoostRegressor
    from lightgbm import LGBMRegressor
    from xgboost import XGBRegressor

    signal = table()[1]
    models = [
        ("a", LGBMRegressor(n_estimators=8, n_jobs=1, verbose=-1)),
        ("b", XGBRegressor(n_estimators=8, n_jobs=1, max_depth=3)),
        ("c", CatBoostRegressor(iterations=8, verbose=False, allow_writing_files=False, thread_count=1)),
    ]
    for _, model in models:
        exported(tmp_path, make_pipeline(prepared(), model), signal)
    exported(tmp_path, make_pipeline(prepared(), StackingRegressor(models, cv=2)), signal)
    several = make_pipeline(prepared(), XGBRegressor(n_estimators=8, n_jobs=1, max_depth=3))
    manifest = exported(tmp_path, several, np.column_stack([signal, -signal]))
    assert len(manifest.outputs.columns) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"boosting_type": "rf", "subsample": 0.7, "subsample_freq": 1},
        {"zero_as_missing": True},
        {"objective": "cross_entropy"},
    ],
    ids=["forest", "zeros", "cross entropy"],
)
def test_traps_of_lightgbm_agree_or_are_named(tmp_path: Path, settings: dict[str, Any]) -> None:
    """A random forest and zeros that mean missing agree; what gives no pair of probabilities is refused."""
    pipeline = make_pipeline(prepared(), lightgbm(**settings))
    if settings.get("objective") == "cross_entropy":
        with pytest.raises(ExportError, match="gives no probabilities of its 2 classes"):
            exported(tmp_path, pipeline, two(), "1")
        return
    exported(tmp_path, pipeline, two(), "1")


def test_encoded_categories_agree(tmp_path: Path) -> None:
    """OrdinalEncoder's codes as LightGBM's categories, unseen words among them."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    pipeline = make_pipeline(prepared(codes), lightgbm())
    exported(tmp_path, pipeline, two(), "1", lgbmclassifier__categorical_feature=[2])
    assert pipeline[-1].booster_.params["categorical_column"] == [2]


def test_a_number_that_stands_for_missing_agrees(tmp_path: Path) -> None:
    """XGBoost's missing=0 makes zeros missing in ONNX too."""
    exported(tmp_path, make_pipeline(prepared(), xgboost(missing=0)), two(), "1")


def test_lightgbm_alone_reads_64_bits(tmp_path: Path) -> None:
    """Seconds since 1970 that 32 bits cannot tell apart go each its own way, through the exporter too."""
    from lightgbm import LGBMRegressor

    times = 1_700_000_000.0 + np.arange(400) * 3.0
    model = LGBMRegressor(n_estimators=5, n_jobs=1, verbose=-1, min_child_samples=1, min_data_in_bin=1)
    model.fit(pd.DataFrame({"time": times}), np.arange(400) // 2 % 2)
    trained = Trained(
        version="1",
        pipeline=model,
        inputs=[Input(name="time", pointer="/time", type="number")],
        held_out=[{"time": each} for each in times.tolist()],
        data="made up",
        rows=400,
    )
    manifest = export(trained, tmp_path)
    assert manifest.parity is not None
    assert manifest.parity.largest_difference < 1e-6
    assert len(np.unique(model.predict(pd.DataFrame({"time": times})))) > 1


@LIBRARIES
def test_calibrated_around_a_pipeline_names_the_way_out(tmp_path: Path, classifier: Make) -> None:
    """Around a pipeline the converter would calibrate other scores; around the model alone it works."""
    pipeline = CalibratedClassifierCV(make_pipeline(prepared(), classifier()), cv=2)
    with pytest.raises(ExportError, match=r"put it into the pipeline, around the \w+Classifier alone"):
        exported(tmp_path, pipeline, two(), "1")


def test_calibrated_around_margins_of_a_pipeline_is_refused(tmp_path: Path) -> None:
    """LogisticRegression's margins behind a scaler, too, are not what the converter would calibrate."""
    frame, _ = table()
    steps = make_pipeline(StandardScaler(), LogisticRegression())
    model = CalibratedClassifierCV(steps, cv=2).fit(frame[["step"]].to_numpy(), two())
    with pytest.raises(ExportError, match="around the LogisticRegression alone"):
        convert(model, [], ["step"], [], "1")
    inside = make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression(), cv=2))
    inside.fit(frame[["step"]].to_numpy(), two())
    assert convert(inside, [], ["step"], [], "1").content
