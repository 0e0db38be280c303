"""Fitted scikit-learn estimators as joblib, pickle or skops files."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from everscore.score.output_form import Kind, Outputs
from everscore_models.answers import predict_with
from everscore_models.candidate import Answer, Candidate, Choices, Predict
from everscore_models.convert import convert, kind_of
from everscore_models.errors import ExportError
from everscore_models.fitted_columns import columns_of, text_columns
from everscore_models.histogram_boosting import text_categories
from everscore_models.sources.boosted import boosted
from everscore_models.sources.described import versions
from everscore_models.steps import best_of, first_leaf, first_line, last_step, slow_steps

LIBRARY = "scikit-learn"

_HARMLESS = ("numpy.dtype",)  # which every encoder holds
_PACKAGES = {"sklearn": "scikit-learn", "xgboost": "xgboost-cpu"}


def read(path: Path, choices: Choices) -> Candidate:
    """A fitted estimator, or several regressors by name, out of a file.

    Raises:
        ExportError: the file must be trusted first, cannot be loaded, or holds nothing that can be converted.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", InconsistentVersionWarning)
        found = _from_skops(path, choices) if path.suffix == ".skops" else _from_pickle(path, choices)
    notes = [_version_note(each.message) for each in caught][:1]
    native = boosted(getattr(found, "best_estimator_", found), choices)
    if native is not None:
        return dataclasses.replace(native, notes=[*notes, *native.notes])
    return candidate(_estimator(found, path), choices, notes)


def candidate(estimator: Any, choices: Choices, notes: Sequence[str] = ()) -> Candidate:
    """As `read`, of a fitted estimator.

    Raises:
        ExportError: it cannot be converted, or the labels do not go with its classes.
    """
    columns = columns_of(estimator, choices.categories)
    names = [each.name for each in columns]
    kind = kind_of(estimator)
    labels, positive = _labels(estimator, kind, choices)
    slow = slow_steps(estimator)
    choices.tell("; ".join(["convert to ONNX", *slow]))
    converted = convert(estimator, text_columns(columns), names, labels, positive)
    return Candidate(
        content=converted.content,
        kind=kind,
        columns=columns,
        outputs=converted.outputs,
        tensors=converted.tensors,
        library=LIBRARY,
        predict=_predict(estimator, kind, Outputs.model_validate(converted.outputs), names),
        tools=versions(*("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy")),
        notes=[*notes, *slow],
        features=converted.features,
        feature_columns=names if converted.features is not None else (),
    )


def _predict(estimator: Any, kind: Kind, outputs: Outputs, names: list[str]) -> Predict:
    answer = predict_with(estimator, kind, outputs)
    texts = {names[place]: values for place, values in text_categories(first_leaf(estimator)).items()}

    def predict(frame: pd.DataFrame) -> Sequence[Answer]:
        given = frame[names]
        for name, values in texts.items():  # which it takes itself, and not as codes
            codes = given[name].fillna(-1).astype(int)
            named = [values[each] if each >= 0 else None for each in codes]
            given = given.assign(**{name: pd.Series(named, given.index)})
        return answer(given)

    return predict


def _from_skops(path: Path, choices: Choices) -> Any:
    try:
        import skops.io  # type: ignore[import-not-found, import-untyped, unused-ignore] # optional
    except ModuleNotFoundError as error:
        raise ExportError(f"{path} needs the package skops: pip install skops.") from error
    try:
        unknown = [each for each in skops.io.get_untrusted_types(file=path) if each not in _HARMLESS]
        if not unknown or choices.trust:
            return skops.io.load(path, trusted=[*unknown, *_HARMLESS])
    except Exception as error:  # what a damaged file makes of it
        raise _unloadable(path, error) from error
    raise ExportError(
        f"{path} holds types that skops does not trust by itself ({', '.join(unknown)}): add --trust if you "
        "trust where the file comes from."
    )


def _from_pickle(path: Path, choices: Choices) -> Any:
    if not choices.trust:
        raise ExportError(
            f"{path} is a pickle, and loading one runs whatever code is in it: add --trust if you trust "
            "where it comes from, or save the model with skops, which runs none."
        )
    import joblib

    try:
        return joblib.load(path)
    except Exception as error:  # a pickle's own code may raise anything
        raise _unloadable(path, error) from error


def _unloadable(path: Path, error: Exception) -> ExportError:
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return ExportError(
            f"{path} needs the package {package}: pip install {_PACKAGES.get(package, package)}."
        )
    if isinstance(error, AttributeError):
        return ExportError(
            f"{path} holds something that stood in the program which wrote it and is not in the file "
            f"({first_line(error)}): put that into a module which can be imported, or do its work in "
            "features.py."
        )
    return ExportError(
        f"{path} cannot be loaded, it is truncated or no model of scikit-learn "
        f"({type(error).__name__}: {first_line(error)})."
    )


def _version_note(message: Warning | str) -> str:
    if not isinstance(message, InconsistentVersionWarning):
        return str(message)
    return (
        f"It was fitted with scikit-learn {message.original_sklearn_version}, and this is "
        f"{message.current_sklearn_version}: what it is compared with are this one's predictions."
    )


def _estimator(found: Any, path: Path) -> Any:
    """The fitted estimator, or several by name; of a search the best one."""
    if isinstance(found, Mapping) and found and all(_predicts(each) for each in found.values()):
        return {name: _estimator(each, path) for name, each in found.items()}
    if not _predicts(found):
        inside = f" with {', '.join(map(str, found))}" if isinstance(found, Mapping) else ""
        raise ExportError(
            f"{path} holds a {type(found).__name__}{inside}, no model: save the fitted estimator itself, or "
            "a dict of regressors by name."
        )
    found = best_of(found)
    try:
        check_is_fitted(last_step(found))
    except NotFittedError as error:
        raise ExportError(
            f"{path} holds a {type(last_step(found)).__name__} that is not fitted: save it after fit()."
        ) from error
    return found


def _predicts(found: Any) -> bool:
    return isinstance(found, BaseEstimator) and (hasattr(found, "predict") or hasattr(found, "steps"))


def _labels(estimator: Any, kind: Kind, choices: Choices) -> tuple[Sequence[str], str | None]:
    """The labels that were given, and the positive one: of two classes without a choice the second."""
    if kind not in (Kind.CLASSIFIER, Kind.MULTICLASS):
        if choices.positive is not None:
            raise ExportError(
                f"A {kind} has no class whose probability is the value: leave out '{choices.positive}'."
            )
        return choices.labels, None
    classes = [str(each) for each in estimator.classes_.tolist()]
    labels = list(choices.labels) or classes
    if len(labels) != len(classes):
        raise ExportError(
            f"The model has {len(classes)} classes ({', '.join(classes)}), and {len(labels)} labels were "
            f"given ({', '.join(labels)}): give one for each, in this order."
        )
    positive = choices.positive
    if positive is None:
        return labels, labels[1] if kind is Kind.CLASSIFIER else None
    if positive not in labels:
        raise ExportError(f"'{positive}' is none of the model's labels: {', '.join(labels)}.")
    return labels, positive
