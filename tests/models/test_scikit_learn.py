"""Each row of what was measured of scikit-learn's estimators: it converts and agrees, or is refused in words."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import (
    GammaRegressor,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, LinearSVC, NuSVC, OneClassSVM
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from everscore.event.scores import Scores
from everscore.score.loading import load_model
from everscore.score.manifest import Manifest
from everscore.score.output_form import Kind
from everscore_models import Default, ExportError, Input, InputType, Trained, histogram_boosting, read_frame
from everscore_models import convert as conversion
from everscore_models.export import export

type Array = np.ndarray[Any, Any]

ROWS, HELD_OUT = 160, 60
COLUMNS = ("a", "b", "c")
_rng = np.random.default_rng(5)
_NUMBERS = _rng.normal(size=(ROWS + HELD_OUT, 3)).round(3)
_SUM = _NUMBERS[:, 0] + _NUMBERS[:, 1] ** 2 + 0.3 * _rng.normal(size=len(_NUMBERS))
_HOLES = _rng.random(_NUMBERS.shape) < 0.15
TWO = np.where(_SUM > 0.8, "high", "low")
THREE = np.digitize(_SUM, [0, 1.2])
POSITIVE = np.abs(_SUM) + 0.1


def inputs(kind: InputType = InputType.NUMBER, missing: Any = "reject") -> list[Input]:
    """The three columns."""
    return [Input(name=each, pointer=f"/{each}", type=kind, missing=missing) for each in COLUMNS]


def events(*, missing: bool = False, whole: bool = False) -> list[dict[str, Any]]:
    """All rows as payloads."""
    numbers = np.round(_NUMBERS * 2) if whole else _NUMBERS
    found = [dict(zip(COLUMNS, row, strict=True)) for row in numbers.tolist()]
    if missing:
        for row, holes in zip(found, _HOLES.tolist(), strict=True):
            row.update({name: None for name, hole in zip(COLUMNS, holes, strict=True) if hole})
    return found


def train(
    estimator: Any, target: Array | None = None, *, missing: bool = False, whole: bool = False, **changes: Any
) -> Trained:
    """Fits on the first rows, and holds the others out."""
    rows = events(missing=missing, whole=whole)
    described = inputs(changes.pop("kind", InputType.NUMBER), "nan" if missing else "reject")
    frame = read_frame(rows, described)[:ROWS].to_numpy(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, on so few rows
        for each in estimator.values() if isinstance(estimator, Mapping) else [estimator]:
            each.fit(frame, None if target is None else target[:ROWS])
    two = target is not None and hasattr(estimator, "classes_") and len(estimator.classes_) == 2
    return Trained(
        version="1",
        pipeline=estimator,
        inputs=described,
        held_out=rows[ROWS:],
        data="made",
        rows=ROWS,
        positive=str(estimator.classes_[1]) if two else None,
        sample=[each for each in rows[ROWS:] if missing or None not in each.values()][:3],
        **changes,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for a model."""
    made = tmp_path / "made"
    made.mkdir()
    return made


def exported(made: Trained, folder: Path) -> Manifest:
    """Exports, which compares on real and made-up rows, and loads what was written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skl2onnx's own, of deprecations
        manifest = export(made, folder)
    assert manifest.parity is not None
    assert manifest.parity.rows >= HELD_OUT
    load_model(folder)
    return manifest


def refusal(made: Trained, folder: Path) -> str:
    """The sentence with which the export is refused; nothing is written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ExportError) as caught:
            export(made, folder)
    assert list(folder.iterdir()) == []
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def logistic(*steps: Any) -> Pipeline:
    """Some steps before a logistic regression."""
    return make_pipeline(*steps, LogisticRegression())


CLASSIFIERS: dict[str, Any] = {
    "LogisticRegression": LogisticRegression(),
    "SGDClassifier(log_loss)": SGDClassifier(loss="log_loss", random_state=0),
    "SVC": SVC(probability=True, random_state=0),
    "NuSVC": NuSVC(probability=True, random_state=0, nu=0.2),
    "MLPClassifier": MLPClassifier((4,), max_iter=20, random_state=0),
    "GaussianNB": GaussianNB(),
    "KNeighborsClassifier": KNeighborsClassifier(),
    "AdaBoostClassifier": AdaBoostClassifier(n_estimators=5, random_state=0),
    "BaggingClassifier": BaggingClassifier(n_estimators=3, random_state=0),
    "GradientBoostingClassifier": GradientBoostingClassifier(n_estimators=3, random_state=0),
    "RandomForestClassifier": RandomForestClassifier(7, random_state=0),
    "ExtraTreesClassifier": ExtraTreesClassifier(7, random_state=0),
    "CalibratedClassifierCV(sigmoid)": CalibratedClassifierCV(LinearSVC(), cv=2),
    "StackingClassifier": StackingClassifier([("bayes", GaussianNB()), ("line", LogisticRegression())], cv=2),
    "VotingClassifier(soft)": VotingClassifier(
        [("bayes", GaussianNB()), ("line", LogisticRegression())], voting="soft", flatten_transform=False
    ),
    "HistGradientBoostingClassifier": HistGradientBoostingClassifier(max_iter=5),
    "HistGradientBoosting within CalibratedClassifierCV": CalibratedClassifierCV(
        HistGradientBoostingClassifier(max_iter=3), cv=2
    ),
    "PCA": logistic(StandardScaler(), PCA(2)),
    "PolynomialFeatures": logistic(PolynomialFeatures()),
    "PowerTransformer": logistic(PowerTransformer()),
    "QuantileTransformer": logistic(QuantileTransformer(n_quantiles=5)),
    "KBinsDiscretizer(ordinal)": logistic(KBinsDiscretizer(3, encode="ordinal")),
    "KBinsDiscretizer(onehot-dense)": logistic(KBinsDiscretizer(3, encode="onehot-dense")),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_of_three_classes(folder: Path, name: str) -> None:
    """It converts, and its numbers and labels are scikit-learn's on real and on made-up rows."""
    assert exported(train(CLASSIFIERS[name], THREE), folder).kind is Kind.MULTICLASS


@pytest.mark.parametrize(
    "estimator",
    [
        PoissonRegressor(),
        GammaRegressor(),
        TweedieRegressor(power=1.5),
        KNeighborsRegressor(),
        GradientBoostingRegressor(loss="quantile", n_estimators=3),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_regressor(folder: Path, estimator: Any) -> None:
    """It converts, and its predictions are scikit-learn's."""
    assert exported(train(estimator, POSITIVE), folder).kind is Kind.REGRESSOR


def test_a_gaussian_process_agrees_within_a_wider_tolerance(folder: Path) -> None:
    """Its kernel is computed from 32-bit floats: 1e-3 of the spread is what it keeps, as the training says."""
    made = train(GaussianProcessRegressor(alpha=0.1), POSITIVE, tolerance=1e-3)
    assert exported(made, folder).kind is Kind.REGRESSOR


@pytest.mark.parametrize(
    "estimator",
    [IsolationForest(n_estimators=5, random_state=0), OneClassSVM(), LocalOutlierFactor(novelty=True)],
    ids=lambda each: type(each).__name__,
)
def test_an_anomaly_detector(folder: Path, estimator: Any) -> None:
    """Score and label are scikit-learn's; of a machine whose scores go into hundreds relative to their spread."""
    manifest = exported(train(estimator), folder)
    assert (manifest.kind, manifest.outputs.labels) == (Kind.ANOMALY, ("anomaly", "normal"))


@pytest.mark.parametrize(
    "estimator",
    [KMeans(3, n_init=1, random_state=0), MiniBatchKMeans(3, n_init=1, random_state=0)],
    ids=lambda each: type(each).__name__,
)
def test_clusters_are_labels_and_distances_are_values(folder: Path, estimator: Any) -> None:
    """K-means is a clusterer: its values are the distances to the centres, its label the nearest one's number."""
    made = train(make_pipeline(StandardScaler(), estimator))
    manifest = exported(made, folder)
    assert (manifest.kind, manifest.outputs.labels) == (Kind.CLUSTERER, ("0", "1", "2"))
    (score,) = load_model(folder).score(made.held_out[:1])
    assert isinstance(score, Scores)
    frame = read_frame(made.held_out[:1], made.inputs).to_numpy()
    distances = made.pipeline.transform(frame)[0]
    assert list(score.values.values()) == pytest.approx(distances.tolist(), abs=1e-5)
    assert score.label == str(made.pipeline.predict(frame)[0])
    assert score.value == pytest.approx(distances.min(), abs=1e-5)


@pytest.mark.parametrize("target", ["two classes", "three classes", "booleans"])
@pytest.mark.parametrize("categorical", [None, [2]], ids=["numbers", "categories"])
def test_histogram_boosting_classifies(folder: Path, target: str, categorical: list[int] | None) -> None:
    """HistGradientBoosting converts under protobuf 7, with missing values and with categories by their codes."""
    wanted = {"two classes": TWO, "three classes": THREE, "booleans": _SUM > 0.8}[target]
    estimator = HistGradientBoostingClassifier(
        max_iter=5, min_samples_leaf=5, categorical_features=categorical
    )
    manifest = exported(train(estimator, wanted, missing=True, whole=True), folder)
    assert manifest.kind is (Kind.MULTICLASS if target == "three classes" else Kind.CLASSIFIER)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson", "gamma", "quantile"])
def test_histogram_boosting_predicts_with_each_loss(folder: Path, loss: str) -> None:
    """Of poisson and gamma the exponential is in the graph; missing values go as scikit-learn sends them."""
    estimator = HistGradientBoostingRegressor(
        loss=loss, quantile=0.8 if loss == "quantile" else None, max_iter=5, min_samples_leaf=5
    )
    assert exported(train(estimator, POSITIVE, missing=True), folder).kind is Kind.REGRESSOR


def test_many_categories_unseen_and_missing_ones_go_as_scikit_learn_sends_them() -> None:
    """With 120 categories, some negative, on either side of a split: known, unseen and missing codes agree."""
    import onnxruntime

    rng = np.random.default_rng(2)
    codes = rng.integers(0, 120, 6000) * 2.0 - 40
    rows = np.column_stack([rng.normal(size=6000), np.where(rng.random(6000) < 0.1, np.nan, codes)])
    target = np.where(np.isin(codes, rng.choice(np.unique(codes), 60, replace=False)), 3.0, 0.0) + rows[:, 0]
    estimator = HistGradientBoostingRegressor(max_iter=8, min_samples_leaf=2, categorical_features=[1])
    estimator.fit(rows, target)
    sets = [tree.raw_left_cat_bitsets for each in estimator._predictors for tree in each]
    assert max(int(word).bit_count() for each in sets for word in each.ravel()) > 5
    converted = conversion.convert(estimator, [], ["x", "code"], [], None)
    asked = np.column_stack([np.repeat([-0.5, 0.5], 253), np.tile([*range(-45, 206), 1e6, np.nan], 2)])
    session = onnxruntime.InferenceSession(converted.content)
    (found,) = session.run(None, {"X": asked.astype(np.float32)})
    np.testing.assert_allclose(np.ravel(found), estimator.predict(asked), atol=1e-5)


def test_skl2onnx_still_needs_help_with_histogram_boosting() -> None:
    """Its own converter fails with this protobuf, or leaves the exponential out: else our own can go."""
    from skl2onnx import convert_sklearn, update_registered_converter
    from skl2onnx.common.data_types import FloatTensorType
    from skl2onnx.common.shape_calculator import (
        calculate_linear_regressor_output_shapes,
    )
    from skl2onnx.operator_converters.random_forest import (
        convert_sklearn_random_forest_regressor_converter,
    )

    estimator = HistGradientBoostingRegressor(max_iter=2).fit(_NUMBERS, _SUM)
    update_registered_converter(
        HistGradientBoostingRegressor,
        "SklearnHistGradientBoostingRegressor",
        calculate_linear_regressor_output_shapes,
        convert_sklearn_random_forest_regressor_converter,
    )
    try:
        with pytest.raises(ValueError, match="Unable to create node") as caught:
            convert_sklearn(estimator, initial_types=[("X", FloatTensorType([None, 3]))])
    finally:
        histogram_boosting.register()
    assert "got a boolean" in str(caught.value.__cause__)


@pytest.mark.parametrize("target", ["texts", "numbers"])
@pytest.mark.parametrize("fixed", [True, False], ids=["fixed", "tuned"])
def test_a_threshold_of_its_own_decides_the_label(folder: Path, target: str, *, fixed: bool) -> None:
    """The label goes by the classifier's own threshold, though skl2onnx hands on that of the classifier inside."""
    inner = make_pipeline(StandardScaler(), LogisticRegression())
    estimator = (
        FixedThresholdClassifier(inner, threshold=0.9) if fixed else TunedThresholdClassifierCV(inner, cv=2)
    )
    made = train(estimator, TWO if target == "texts" else (TWO == "low").astype(int))
    exported(made, folder)
    found = load_model(folder).score(made.held_out)
    labels = [each.label for each in found if isinstance(each, Scores)]
    frame = read_frame(made.held_out, made.inputs).to_numpy()
    assert labels == [str(each) for each in estimator.predict(frame)]
    if fixed:
        assert labels != [str(estimator.classes_[each]) for each in estimator.predict_proba(frame).argmax(1)]


def test_several_predictions_are_values_by_their_names(folder: Path) -> None:
    """A regressor of two numbers has both by name, those that the training gives; the first is the value."""
    both = np.column_stack([_SUM, -2 * _SUM])
    made = train(Ridge(), both, labels=["up", "down"])
    manifest = exported(made, folder)
    assert (manifest.outputs.columns, manifest.schema_number) == (("up", "down"), 2)
    (score,) = load_model(folder).score(made.held_out[:1])
    assert isinstance(score, Scores)
    wanted = made.pipeline.predict(read_frame(made.held_out[:1], made.inputs).to_numpy())[0].tolist()
    assert list(score.values) == ["up", "down"]
    assert list(score.values.values()) == pytest.approx(wanted, abs=1e-5)
    assert score.value == pytest.approx(wanted[0], abs=1e-5)


def test_predictions_without_names_are_numbered(folder: Path) -> None:
    """Where nobody names them they are output_0 and output_1; another number of names is refused."""
    estimator = MultiOutputRegressor(HistGradientBoostingRegressor(max_iter=2))
    made = train(estimator, np.column_stack([_SUM, -_SUM]))
    assert exported(made, folder).outputs.columns == ("output_0", "output_1")
    with pytest.raises(ExportError, match="predicts 2 numbers, and there are 1 names"):
        conversion.convert(made.pipeline, [], COLUMNS, ["one"], None)


def test_models_of_quantiles_are_one_model(folder: Path) -> None:
    """Several regressors by name become one file, whose values are each one's prediction."""
    quantiles = {
        f"q{level}": make_pipeline(
            StandardScaler(),
            HistGradientBoostingRegressor(loss="quantile", quantile=level / 100, max_iter=3),
        )
        for level in (10, 50, 90)
    }
    made = train(quantiles, _SUM)
    assert exported(made, folder).outputs.columns == ("q10", "q50", "q90")
    (score,) = load_model(folder).score(made.held_out[:1])
    assert isinstance(score, Scores)
    frame = read_frame(made.held_out[:1], made.inputs).to_numpy()
    wanted = {name: each.predict(frame)[0] for name, each in quantiles.items()}
    assert score.values == pytest.approx(wanted, abs=1e-5)


# What is left out without a word, by the trap's name: the estimator, whether rows have missing values, whether
# its numbers are whole, and what the sentence says.
TRAPS: dict[str, tuple[Any, Array, bool, bool, str]] = {
    "weighted neighbours": (
        KNeighborsClassifier(weights="distance"),
        THREE,
        False,
        False,
        'set weights="uniform"',
    ),
    "weighted neighbours, a number": (
        KNeighborsRegressor(weights="distance"),
        _SUM,
        False,
        False,
        'set weights="uniform"',
    ),
    "CalibratedClassifierCV(isotonic)": (
        CalibratedClassifierCV(LinearSVC(), method="isotonic", cv=2),
        TWO,
        False,
        False,
        'set method="sigmoid"',
    ),
    "OrdinalEncoder that learned a missing category": (
        make_pipeline(OrdinalEncoder(), HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5)),
        TWO,
        True,
        True,
        "its category of what is missing is not converted",
    ),
    "Normalizer(max)": (logistic(Normalizer("max")), TWO, False, False, 'set norm="l2"'),
    "MaxAbsScaler(clip)": (logistic(MaxAbsScaler(clip=True)), TWO, False, False, "MinMaxScaler(clip=True)"),
    "KNNImputer(add_indicator)": (
        logistic(KNNImputer(add_indicator=True)),
        TWO,
        True,
        False,
        "set add_indicator=False",
    ),
    "SimpleImputer(add_indicator)": (
        logistic(SimpleImputer(add_indicator=True)),
        TWO,
        True,
        False,
        "set add_indicator=False",
    ),
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_silent_trap_is_named(folder: Path, name: str) -> None:
    """An option that skl2onnx leaves out is refused by name, with the way out."""
    estimator, target, missing, whole, words = TRAPS[name]
    sentence = refusal(train(estimator, target, missing=missing, whole=whole), folder)
    assert "cannot be converted as it is" in sentence
    assert words in sentence


SILENT: dict[str, tuple[Any, Array, bool, bool, str]] = {
    **{name: (*each[:4], "") for name, each in TRAPS.items()},
    "PowerTransformer with missing values": (
        make_pipeline(PowerTransformer(), HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5)),
        TWO,
        True,
        False,
        "only rows with a null differ",
    ),
    "TargetEncoder with missing values": (
        logistic(TargetEncoder(random_state=0)),
        TWO,
        True,
        True,
        "only rows with a null differ",
    ),
    "OneHotEncoder, a fraction for a whole category": (
        logistic(OneHotEncoder(handle_unknown="ignore")),
        TWO,
        False,
        True,
        "a fraction",
    ),
}


@pytest.mark.parametrize("name", SILENT)
def test_the_gate_finds_each_silent_trap(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nobody knew the trap: the rows that are made from real ones show the difference."""
    monkeypatch.setattr(conversion, "refuse_traps", lambda _: None)
    estimator, target, missing, whole, words = SILENT[name]
    sentence = refusal(train(estimator, target, missing=missing, whole=whole), folder)
    assert "ONNX and scikit-learn disagree on" in sentence
    assert words in sentence


def test_whole_categories_of_whole_inputs_are_no_trap(folder: Path) -> None:
    """Where the input is an integer no event can have a fraction: OneHotEncoder and OrdinalEncoder convert."""
    for number, encoder in enumerate(
        (
            OneHotEncoder(handle_unknown="ignore"),
            OneHotEncoder(handle_unknown="ignore", drop="first"),
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            TargetEncoder(random_state=0),
        )
    ):
        place = folder / str(number)
        place.mkdir()
        exported(train(logistic(encoder), TWO, whole=True, kind=InputType.INTEGER), place)


@pytest.mark.parametrize("unknown", [-1, np.nan], ids=["-1", "nan"])
def test_texts_as_categories_of_histogram_boosting(folder: Path, unknown: float) -> None:
    """Texts that an OrdinalEncoder makes codes of, which are categories to the model; unseen ones too."""
    described = [
        Input(name="site", pointer="/site", type=InputType.TEXT),
        Input(name="temp", pointer="/temp", type=InputType.NUMBER, missing="nan"),
    ]
    rows = [
        {"site": "NSEWXYZ"[row % 7], "temp": None if row % 9 == 0 else float(_NUMBERS[row, 0])}
        for row in range(ROWS)
    ]
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=unknown)
    columns = ColumnTransformer([("site", codes, ["site"]), ("rest", "passthrough", ["temp"])])
    boosting = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5, categorical_features=[0])
    target = [(row["site"] in {"N", "W", "Z"}) != (row["temp"] is None) for row in rows]
    made = Trained(
        version="1",
        pipeline=make_pipeline(columns, boosting).fit(read_frame(rows, described), target),
        inputs=described,
        held_out=rows[::3],
        data="made",
        rows=len(rows),
        positive="True",
    )
    assert any(len(tree.raw_left_cat_bitsets) for each in boosting._predictors for tree in each)
    export(made, folder)


TREES = (
    *(DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor),
    *(RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor),
)


@pytest.mark.parametrize("learned", [True, False], ids=["missing in training", "complete in training"])
@pytest.mark.parametrize("tree", TREES, ids=lambda each: each.__name__)
def test_trees_send_missing_values_where_they_learned_to(folder: Path, tree: Any, *, learned: bool) -> None:
    """Trees and forests agree on rows with missing values, also where training had none."""
    forest = {"n_estimators": 5} if hasattr(tree(), "n_estimators") else {}
    estimator = tree(max_depth=5, random_state=0, **forest)
    target = THREE if "Classifier" in tree.__name__ else _SUM
    made = train(estimator, target, missing=True)
    if not learned:
        complete = [row for row in range(ROWS) if not _HOLES[row].any()]
        estimator.fit(_NUMBERS[complete], target[complete])
    exported(made, folder)


def test_trees_within_other_estimators_send_missing_values_so_too(folder: Path) -> None:
    """A forest within a calibration, and trees that are bagged."""
    calibrated = CalibratedClassifierCV(RandomForestClassifier(5, max_depth=4, random_state=0), cv=2)
    for number, estimator in enumerate((calibrated, BaggingClassifier(n_estimators=3, random_state=0))):
        place = folder / str(number)
        place.mkdir()
        exported(train(estimator, TWO, missing=True), place)


REFUSED: dict[str, tuple[Any, Array | None, str]] = {
    "LinearSVC": (LinearSVC(), TWO, "wrap it in CalibratedClassifierCV"),
    "RidgeClassifier": (RidgeClassifier(), TWO, "wrap it in CalibratedClassifierCV"),
    "VotingClassifier(soft)": (
        VotingClassifier([("bayes", GaussianNB()), ("line", LogisticRegression())], voting="soft"),
        TWO,
        "flatten_transform=False",
    ),
    "OneHotEncoder(infrequent_if_exist)": (
        logistic(OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=3)),
        TWO,
        'with handle_unknown="ignore"',
    ),
    "KBinsDiscretizer(onehot)": (logistic(KBinsDiscretizer(3)), TWO, 'encode="onehot-dense"'),
    "SplineTransformer": (logistic(SplineTransformer()), TWO, "'splinetransformer' (SplineTransformer)"),
    "EllipticEnvelope": (EllipticEnvelope(), None, "'EllipticEnvelope' (EllipticEnvelope)"),
    "a threshold of the decision function": (
        FixedThresholdClassifier(LogisticRegression(), threshold=0.2, response_method="decision_function"),
        TWO,
        "response_method='predict_proba'",
    ),
    "VotingClassifier with a list of weights": (
        VotingClassifier(
            [("bayes", GaussianNB()), ("line", LogisticRegression())],
            voting="soft",
            weights=[1, 2],
            flatten_transform=False,
        ),
        TWO,
        "weights=np.array",
    ),
    "GradientBoostingClassifier(init=zero), which converts to a file that does not load": (
        GradientBoostingClassifier(init="zero", n_estimators=2),
        THREE,
        "onnxruntime does not load what skl2onnx made of the pipeline",
    ),
    "SGDClassifier(modified_huber) of three classes": (
        SGDClassifier(loss="modified_huber", random_state=0),
        THREE,
        'SGDClassifier(loss="log_loss")',
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_convert_is_refused_with_the_way_out(folder: Path, name: str) -> None:
    """One sentence that names the step, or the option, and what to write instead."""
    estimator, target, words = REFUSED[name]
    assert words in refusal(train(estimator, target), folder)


def test_two_classes_of_modified_huber_agree(folder: Path) -> None:
    """With two classes its probabilities tie nowhere."""
    assert exported(train(SGDClassifier(loss="modified_huber", random_state=0), TWO), folder).kind


@pytest.mark.parametrize("count", [1, 2])
def test_rare_texts_together_convert_where_unknown_ones_are_ignored(folder: Path, count: int) -> None:
    """OneHotEncoder with min_frequency and handle_unknown="ignore" agrees, where it takes two columns."""
    names = ["site", "pump"][:count]
    described = [Input(name=each, pointer=f"/{each}", type=InputType.TEXT) for each in names]
    rows = [{"site": "NNNNNSSSSSEEEEEWXYZ"[row % 19], "pump": "PQ"[row % 2]} for row in range(120)]
    columns = ColumnTransformer([("site", OneHotEncoder(handle_unknown="ignore", min_frequency=10), names)])
    late = [row["site"] in "NWXYZ" for row in rows]
    made = Trained(
        version="1",
        pipeline=make_pipeline(columns, LogisticRegression()).fit(read_frame(rows, described), late),
        inputs=described,
        held_out=rows,
        data="made",
        rows=len(rows),
        positive="True",
    )
    if count == 2:
        exported(made, folder)
    else:
        assert "only where it takes two columns" in refusal(made, folder)


def test_texts_that_an_imputer_fills(folder: Path) -> None:
    """A missing text is filled by the manifest; the imputer before the encoder converts, and changes nothing."""
    described = [
        Input(name="site", pointer="/site", type=InputType.TEXT, missing=Default(value="?")),
        Input(name="pump", pointer="/pump", type=InputType.TEXT),
    ]
    rows = [{"site": "NSE"[row % 3] if row % 5 else None, "pump": "PQ"[row % 2]} for row in range(60)]
    steps = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    estimator = make_pipeline(ColumnTransformer([("texts", steps, ["site", "pump"])]), LogisticRegression())
    late = [row["site"] in {"N", None} for row in rows]
    made = Trained(
        version="1",
        pipeline=estimator.fit(read_frame(rows, described), late),
        inputs=described,
        held_out=rows,
        data="made",
        rows=len(rows),
        positive="True",
    )
    assert exported(made, folder).kind is Kind.CLASSIFIER


def test_clipping_that_converts(folder: Path) -> None:
    """MinMaxScaler(clip=True), which the refusal of MaxAbsScaler names, agrees on extremes."""
    exported(train(logistic(MinMaxScaler(clip=True)), TWO), folder)


def test_the_hashing_vectorizer_is_refused_by_name() -> None:
    """It has no converter; the sentence says what has one."""
    texts = make_pipeline(HashingVectorizer(n_features=8), LogisticRegression()).fit(["a b", "c d"], [0, 1])
    with pytest.raises(ExportError, match=r"'hashingvectorizer' \(HashingVectorizer\).*use TfidfVectorizer"):
        conversion.convert(texts, ["text"], ["text"], [], "1")


def test_a_refusal_shows_the_cause_that_is_behind_it(folder: Path) -> None:
    """Of an exception that was raised from another both reasons stand in the sentence."""
    from skl2onnx import update_registered_converter

    class Odd(StandardScaler):  # type: ignore[misc] # scikit-learn ships no types
        """A scaler whose converter fails for a reason of its own."""

    def shapes(operator: Any) -> None:
        """The output is as the input."""
        operator.outputs[0].type = operator.inputs[0].type

    def convert(scope: Any, operator: Any, container: Any) -> None:
        try:
            raise TypeError("Expected an int, got a boolean.\nAnd more.")
        except TypeError as error:
            raise ValueError("Unable to create node") from error

    update_registered_converter(Odd, "Odd", shapes, convert)
    sentence = refusal(train(logistic(Odd()), TWO), folder)
    assert (
        "'odd' (Odd) cannot be converted (Unable to create node: Expected an int, got a boolean)" in sentence
    )


def test_a_slow_conversion_says_so_before_it_starts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage names the step with many quantiles and what to do, before the converter is called."""
    stages: list[str] = []

    def stop(*_: Any, **__: Any) -> None:
        raise ExportError("stopped")

    monkeypatch.setattr("everscore_models.export.convert", stop)
    made = train(logistic(QuantileTransformer(n_quantiles=150)), TWO)
    with pytest.raises(ExportError, match="stopped"):
        export(made, folder, stages.append)
    (stage,) = stages
    assert stage.startswith("convert to ONNX; the step 'quantiletransformer' has 150 quantiles")
    assert "n_quantiles=100 takes seconds" in stage


def test_columns_by_name_and_several_models(folder: Path) -> None:
    """Quantile models that begin with a ColumnTransformer share their inputs."""
    rows = events()
    frame = read_frame(rows, inputs())
    models = {
        name: make_pipeline(ColumnTransformer([("n", StandardScaler(), list(COLUMNS))]), Ridge(alpha)).fit(
            frame[:ROWS], _SUM[:ROWS]
        )
        for name, alpha in (("soft", 100.0), ("hard", 0.1))
    }
    made = Trained(
        version="1", pipeline=models, inputs=inputs(), held_out=rows[ROWS:], data="made", rows=ROWS
    )
    manifest = exported(made, folder)
    assert manifest.outputs.columns == ("soft", "hard")
    assert manifest.tensors == {}
