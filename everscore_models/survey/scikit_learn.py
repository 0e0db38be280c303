"""scikit-learn's estimators, losses and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn import (
    calibration,
    cluster,
    compose,
    covariance,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    isotonic,
    linear_model,
    mixture,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

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

LIBRARY = "scikit-learn"
_WITH_MISSING = [*NUMBERS, "m"]

# What to write in place of what is refused, where the refusal itself does not say it.
_INSTEAD = {
    "GaussianProcessClassifier": "whole numbers as classes, named by `--labels`; or another classifier",
    "GaussianProcessRegressor": "a larger `alpha`, which asks less of 32 bits; or another regressor",
    "PLSRegression": "`PCA` and `Ridge`",
    "TransformedTargetRegressor": "fit on the transformed target, and transform back where the score is read",
    "IsotonicRegression": "`HistGradientBoostingRegressor` with `monotonic_cst`",
    "EllipticEnvelope": "`IsolationForest`, or `GaussianMixture` in `features.py`",
    "GaussianMixture": "`KMeans`",
    "step: SplineTransformer": "`KBinsDiscretizer`, or the splines in `features.py`",
    "step: KNNImputer": "`SimpleImputer`; or refuse events without any input",
}

type Target = Callable[[pd.DataFrame], Any]


def _case(name: str, estimator: Any, target: Target | None, columns: Sequence[str] = NUMBERS) -> Case:
    def make(folder: Path) -> Made:
        frame = table()
        y = None if target is None else target(frame)
        path = folder / "model.joblib"
        joblib.dump(estimator.fit(frame[list(columns)], y), path)
        return Made(path)

    return Case(LIBRARY, name, make, _INSTEAD.get(name, ""))


def _named(estimator: Any) -> str:
    return str(type(estimator).__name__)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _classifiers()
    yield from _regressors()
    yield from _without_target()
    yield from _steps()


def _classifiers() -> Iterator[Case]:
    two: list[Any] = [
        linear_model.LogisticRegression(),
        linear_model.SGDClassifier(loss="log_loss", random_state=0),
        svm.SVC(),
        svm.LinearSVC(),
        neighbors.KNeighborsClassifier(),
        naive_bayes.GaussianNB(),
        naive_bayes.BernoulliNB(),
        discriminant_analysis.LinearDiscriminantAnalysis(),
        discriminant_analysis.QuadraticDiscriminantAnalysis(),
        tree.DecisionTreeClassifier(max_depth=5, random_state=0),
        ensemble.RandomForestClassifier(20, max_depth=5, random_state=0),
        ensemble.ExtraTreesClassifier(20, max_depth=5, random_state=0),
        ensemble.AdaBoostClassifier(n_estimators=10, random_state=0),
        ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0),
        ensemble.BaggingClassifier(n_estimators=5, random_state=0),
        calibration.CalibratedClassifierCV(linear_model.LogisticRegression()),
        neural_network.MLPClassifier(hidden_layer_sizes=(8,), max_iter=100, random_state=0),
        gaussian_process.GaussianProcessClassifier(),
        linear_model.Perceptron(),
        linear_model.RidgeClassifier(),
        model_selection.TunedThresholdClassifierCV(linear_model.LogisticRegression()),
    ]
    for each in two:
        yield _case(_named(each), each, two_classes)
    several = [
        ("a", linear_model.LogisticRegression()),
        ("b", tree.DecisionTreeClassifier(max_depth=3, random_state=0)),
    ]
    for voting in ("soft", "hard"):
        yield _case(
            f"VotingClassifier, {voting}", ensemble.VotingClassifier(several, voting=voting), two_classes
        )
    yield _case("StackingClassifier", ensemble.StackingClassifier(several), two_classes)
    for each in (
        discriminant_analysis.LinearDiscriminantAnalysis(),
        svm.SVC(probability=True, random_state=0),
    ):
        yield _case(f"{_named(each)}, three classes", each, three_classes)
    yield _case("LogisticRegression, three classes", linear_model.LogisticRegression(), three_classes)
    yield _case(
        "RandomForestClassifier, three classes",
        ensemble.RandomForestClassifier(20, max_depth=5, random_state=0),
        three_classes,
    )
    yield _case(
        "OneVsRestClassifier",
        multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
        three_classes,
    )
    histogram = partial(ensemble.HistGradientBoostingClassifier, max_iter=20, random_state=0)
    yield _case(
        "HistGradientBoostingClassifier, with missing values", histogram(), two_classes, _WITH_MISSING
    )
    yield _case("HistGradientBoostingClassifier, three classes", histogram(), three_classes, _WITH_MISSING)
    yield _case(
        "HistGradientBoostingClassifier, categorical_features",
        histogram(categorical_features=["n"]),
        two_classes,
        [*NUMBERS, "n"],
    )


def _regressors() -> Iterator[Case]:
    plain: list[Any] = [
        linear_model.LinearRegression(),
        linear_model.Ridge(),
        linear_model.Lasso(alpha=0.01),
        linear_model.ElasticNet(alpha=0.01),
        linear_model.HuberRegressor(),
        linear_model.TheilSenRegressor(random_state=0),
        linear_model.RANSACRegressor(random_state=0),
        linear_model.BayesianRidge(),
        linear_model.ARDRegression(),
        linear_model.QuantileRegressor(quantile=0.9, alpha=0.01),
        svm.SVR(),
        svm.LinearSVR(),
        neighbors.KNeighborsRegressor(),
        tree.DecisionTreeRegressor(max_depth=5, random_state=0),
        ensemble.RandomForestRegressor(20, max_depth=5, random_state=0),
        ensemble.ExtraTreesRegressor(20, max_depth=5, random_state=0),
        ensemble.GradientBoostingRegressor(n_estimators=20, random_state=0),
        ensemble.AdaBoostRegressor(n_estimators=10, random_state=0),
        neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=200, random_state=0),
        gaussian_process.GaussianProcessRegressor(alpha=0.1),
        cross_decomposition.PLSRegression(n_components=2),
        compose.TransformedTargetRegressor(linear_model.Ridge(), transformer=preprocessing.StandardScaler()),
    ]
    for each in plain:
        yield _case(_named(each), each, number)
    for each in (
        linear_model.PoissonRegressor(),
        linear_model.GammaRegressor(),
        linear_model.TweedieRegressor(power=1.5, link="log"),
    ):
        yield _case(_named(each), each, positive)
    yield _case("IsotonicRegression", isotonic.IsotonicRegression(out_of_bounds="clip"), number, ["a"])
    yield _case("MultiOutputRegressor", multioutput.MultiOutputRegressor(linear_model.Ridge()), _two_numbers)
    for loss in ("squared_error", "absolute_error", "quantile", "poisson", "gamma"):
        quantile = {"quantile": 0.9} if loss == "quantile" else {}
        model = ensemble.HistGradientBoostingRegressor(loss=loss, max_iter=20, random_state=0, **quantile)
        target = positive if loss in ("poisson", "gamma") else number
        yield _case(f"HistGradientBoostingRegressor, {loss}", model, target, _WITH_MISSING)


def _two_numbers(frame: pd.DataFrame) -> Any:
    found = number(frame)
    return pd.DataFrame({"first": found, "second": -2 * found + frame["c"].to_numpy()}).to_numpy()


def _without_target() -> Iterator[Case]:
    models: list[Any] = [
        ensemble.IsolationForest(n_estimators=30, random_state=0),
        neighbors.LocalOutlierFactor(novelty=True),
        svm.OneClassSVM(),
        covariance.EllipticEnvelope(random_state=0),
        cluster.KMeans(3, n_init=2, random_state=0),
        cluster.MiniBatchKMeans(3, n_init=2, random_state=0),
        mixture.GaussianMixture(3, random_state=0),
    ]
    for each in models:
        yield _case(_named(each), each, None)


def _steps() -> Iterator[Case]:
    numeric: list[Any] = [
        preprocessing.StandardScaler(),
        preprocessing.MinMaxScaler(),
        preprocessing.RobustScaler(),
        preprocessing.PowerTransformer(),
        preprocessing.QuantileTransformer(n_quantiles=50),
        preprocessing.KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
        preprocessing.PolynomialFeatures(2),
        preprocessing.SplineTransformer(),
        decomposition.PCA(2),
        decomposition.TruncatedSVD(2),
        feature_selection.SelectKBest(feature_selection.f_classif, k=2),
    ]
    classify = linear_model.LogisticRegression
    for each in numeric:
        yield _case(f"step: {_named(each)}", pipeline.make_pipeline(each, classify()), two_classes)
    missing: list[Any] = [
        impute.SimpleImputer(strategy="median"),
        impute.SimpleImputer(add_indicator=True),
        impute.KNNImputer(),
    ]
    for each, name in zip(
        missing, ("SimpleImputer", "SimpleImputer, add_indicator", "KNNImputer"), strict=True
    ):
        yield _case(f"step: {name}", pipeline.make_pipeline(each, classify()), two_classes, _WITH_MISSING)
    encoders: dict[str, Any] = {
        "OneHotEncoder, unknown refused": preprocessing.OneHotEncoder(),
        "OneHotEncoder, handle_unknown=ignore": preprocessing.OneHotEncoder(handle_unknown="ignore"),
        "OrdinalEncoder": preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        "TargetEncoder": preprocessing.TargetEncoder(random_state=0),
    }
    for name, each in encoders.items():
        prepare = compose.ColumnTransformer([("word", each, ["word"])], remainder="passthrough")
        yield _case(
            f"step: {name}", pipeline.make_pipeline(prepare, classify()), two_classes, [*NUMBERS, "word"]
        )
    texts = feature_extraction.text
    vectorizers: dict[str, Any] = {
        "CountVectorizer": texts.CountVectorizer(),
        "TfidfVectorizer": texts.TfidfVectorizer(),
        "TfidfVectorizer, pairs of words": texts.TfidfVectorizer(ngram_range=(1, 2)),
        "HashingVectorizer": texts.HashingVectorizer(n_features=64),
    }
    for name, each in vectorizers.items():
        prepare = compose.ColumnTransformer([("note", each, "note")])
        yield _case(f"step: {name}", pipeline.make_pipeline(prepare, classify()), two_classes, ["note"])
