"""Options of scikit-learn that skl2onnx leaves out without a word, or refuses where one word helps.

The parity gate finds them, too, as numbers that differ; here they are named before anything is converted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MaxAbsScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    TargetEncoder,
)

from everscore_models.errors import ExportError
from everscore_models.steps import walk


def _weighted(leaf: Any) -> str | None:
    if leaf.weights in (None, "uniform"):
        return None
    return 'ONNX counts each neighbour alike: set weights="uniform"'


def _with_indicator(leaf: Any) -> str | None:
    if not leaf.add_indicator:
        return None
    return (
        "its columns of what was missing (add_indicator=True) are not converted: set add_indicator=False, "
        "and make such columns in features.py"
    )


def _clipping(leaf: Any) -> str | None:
    if not leaf.clip:
        return None
    return "its clip=True is not converted: use MinMaxScaler(clip=True), or clip in features.py"


def _infrequent(leaf: Any) -> str | None:
    if all(each is None for each in getattr(leaf, "infrequent_categories_", ())):
        return None
    if leaf.handle_unknown != "infrequent_if_exist":
        if leaf.n_features_in_ > 1:
            return None
        return (
            "its rare categories (min_frequency, max_categories) are converted only where it takes two "
            "columns or more at once: give it another one, or join the rare values in features.py"
        )
    return (
        'its handle_unknown="infrequent_if_exist" is not converted: with handle_unknown="ignore" it is, and '
        "min_frequency too"
    )


def _missing_category(leaf: Any) -> str | None:
    known = [each for categories in leaf.categories_ for each in categories.tolist()]
    if not any(each is None or each != each for each in known):  # noqa: PLR0124 - NaN is not itself
        return None
    return (
        "its category of what is missing is not converted: fill it with an imputer before, or by the input's "
        "'missing' in the manifest"
    )


def _sparse_bins(leaf: Any) -> str | None:
    return (
        'its encode="onehot" is not converted: encode="onehot-dense" is' if leaf.encode == "onehot" else None
    )


def _signed(leaf: Any) -> str | None:
    if leaf.norm != "max":
        return None
    return 'ONNX divides by the largest value, whatever its sign: set norm="l2", or divide in features.py'


def _listed(leaf: Any) -> str | None:
    if not isinstance(leaf.weights, list | tuple):
        return None
    return "its weights must be an array: set weights=np.array([…])"


def _flattened(leaf: Any) -> str | None:
    if leaf.voting != "soft" or not leaf.flatten_transform:
        return None
    return "it is converted with flatten_transform=False, which changes no prediction: set that"


def _isotonic(leaf: Any) -> str | None:
    if leaf.method != "isotonic":
        return None
    return 'ONNX takes the nearest step of its curve and does not interpolate: set method="sigmoid"'


def _around_a_pipeline(leaf: Any) -> str | None:
    inner = leaf.calibrated_classifiers_[0].estimator
    if not isinstance(inner, Pipeline):
        return None
    # Whose margins are calibrated, while the converter asks a pipeline for probabilities.
    if not hasattr(inner, "decision_function") and not isinstance(inner.steps[0][1], ColumnTransformer):
        return None
    model = type(inner.steps[-1][1]).__name__
    return (
        f"what it calibrates is a pipeline: put it into the pipeline, around the {model} alone "
        f"(make_pipeline(…, CalibratedClassifierCV({model}(…))))"
    )


def _sublinear(leaf: Any) -> str | None:
    if not leaf.sublinear_tf:
        return None
    return "ONNX takes log(1 + count) for its 1 + log(count): set sublinear_tf=False"


def _hashed(_: Any) -> str | None:
    return (
        "its hashes are not converted: use TfidfVectorizer, whose vocabulary is, with max_features to keep "
        "it small"
    )


_TRAPS: tuple[tuple[tuple[type, ...], Callable[[Any], str | None]], ...] = (
    ((KNeighborsClassifier, KNeighborsRegressor), _weighted),
    ((SimpleImputer, KNNImputer), _with_indicator),
    ((MaxAbsScaler,), _clipping),
    ((OneHotEncoder,), _infrequent),
    ((OneHotEncoder, OrdinalEncoder, TargetEncoder), _missing_category),
    ((KBinsDiscretizer,), _sparse_bins),
    ((VotingClassifier,), _flattened),
    ((VotingClassifier, VotingRegressor), _listed),
    ((Normalizer,), _signed),
    ((HashingVectorizer,), _hashed),
    ((CalibratedClassifierCV,), _isotonic),
    ((CalibratedClassifierCV,), _around_a_pipeline),
    ((TfidfTransformer, TfidfVectorizer), _sublinear),
)


def refuse_traps(pipeline: Any) -> None:
    """Looks for such an option in all steps.

    Raises:
        ExportError: there is one; the sentence names it and the way out.
    """
    for path, leaf in walk(pipeline):
        for classes, trap in _TRAPS:
            what = trap(leaf) if isinstance(leaf, classes) else None
            if what is not None:
                raise ExportError(
                    f"The step '{path}' ({type(leaf).__name__}) cannot be converted as it is: {what}."
                )
