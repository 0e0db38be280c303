"""What a fitted scikit-learn pipeline knows of its columns: names, types, and whether they may be missing."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from everscore.score.input_form import InputType
from everscore_models.answers import given_to
from everscore_models.candidate import Column
from everscore_models.errors import ExportError
from everscore_models.histogram_boosting import text_categories
from everscore_models.steps import first_leaf, is_text_vectorizer
from everscore_models.texts import uses

type Scalar = bool | int | float | str

TEXT_NAME = "text"
"""What the column of a pipeline that takes a list of texts is called."""


def columns_of(pipeline: Any, categories: Mapping[str, Sequence[Scalar]]) -> list[Column]:
    """The columns, in the order of training.

    Args:
        pipeline: a fitted estimator, or several by name.
        categories: by column the values in the order of their codes, where somebody named them.

    Raises:
        ExportError: one of these columns is none, or the number of columns is unknown.
    """
    one = next(iter(pipeline.values())) if isinstance(pipeline, Mapping) else pipeline
    names = _names(one)
    for name in categories:
        if name not in names:
            raise ExportError(f"The model has no column '{name}', only {', '.join(names)}.")
    own = {names[place]: values for place, values in text_categories(first_leaf(one)).items()}
    for name, given in categories.items():
        if name in own and list(given) != own[name]:
            raise ExportError(
                f"The model itself knows the categories of '{name}': {', '.join(own[name])}; leave them out."
            )
    categories = {**categories, **own}
    known = {name: _known(one, name, names) for name in names}
    known |= {name: (InputType.TEXT, list(values)) for name, values in own.items()}
    takes_nan = _takes_nan(one, known, own)
    return [
        _coded(name, takes_nan[name], categories[name])
        if name in categories
        else Column(name=name, type=kind, takes_nan=takes_nan[name], fill=_fill(one, name, names))
        for name, (kind, _) in known.items()
    ]


def text_columns(columns: Sequence[Column]) -> list[str]:
    """Those that reach the model as texts, and not as codes."""
    return [each.name for each in columns if each.type is InputType.TEXT and each.categories is None]


def type_of_values(values: Sequence[Any]) -> InputType:
    """The JSON type of all of the values; numbers that are all whole are integers."""
    if all(isinstance(each, str) for each in values):
        return InputType.TEXT
    if all(isinstance(each, bool | np.bool_) for each in values):
        return InputType.BOOLEAN
    whole = all(isinstance(each, int | float) and float(each).is_integer() for each in values)
    return InputType.INTEGER if whole else InputType.NUMBER


def _names(pipeline: Any) -> list[str]:
    found = getattr(pipeline, "feature_names_in_", None)
    if found is not None:
        return [str(each) for each in found]
    if is_text_vectorizer(first_leaf(pipeline)):
        return [TEXT_NAME]
    count = getattr(pipeline, "n_features_in_", None)
    if count is None:
        raise ExportError(
            f"The model ({type(pipeline).__name__}) does not know how many columns it takes: fit it on a "
            "data frame, and save it again."
        )
    return [f"x{number}" for number in range(count)]  # as scikit-learn itself calls them


def _coded(name: str, takes_nan: bool | None, categories: Sequence[Scalar]) -> Column:
    return Column(
        name=name,
        type=type_of_values(categories),
        categories=tuple(categories),
        unseen="nan" if takes_nan else "reject",
        takes_nan=takes_nan,
    )


def _fill(pipeline: Any, name: str, names: Sequence[str]) -> str | None:
    """What an imputer puts in for a missing text."""
    for use in uses(pipeline, tuple(names)):
        if use.columns is not None and name in use.columns and isinstance(use.leaf, SimpleImputer):
            value = use.leaf.statistics_[use.columns.index(name)]
            return value if isinstance(value, str) else None
    return None


def _known(pipeline: Any, name: str, names: Sequence[str]) -> tuple[InputType | None, list[Any]]:
    """A column's type and some values, where a step that takes it says so."""
    for use in uses(pipeline, tuple(names)):
        if use.columns is None or name not in use.columns:
            continue
        if is_text_vectorizer(use.leaf):
            return InputType.TEXT, [""]
        place = use.columns.index(name)
        if isinstance(use.leaf, OneHotEncoder | OrdinalEncoder | TargetEncoder):
            values = use.leaf.categories_[place].tolist()
        elif isinstance(use.leaf, SimpleImputer):
            values = [value] if isinstance(value := use.leaf.statistics_[place], str) else []
        else:
            continue
        known = [each for each in values if not pd.isna(each)]
        if known:
            return type_of_values(known), known
    return None, []


def _takes_nan(
    pipeline: Any, known: Mapping[str, tuple[InputType | None, list[Any]]], coded: Container[str]
) -> dict[str, bool | None]:
    """Whether a row may lack a column, found by asking the model for such a row."""
    row = {name: values[0] if values else 0.0 for name, (_, values) in known.items()}
    found: dict[str, bool | None] = dict.fromkeys(known)
    if not _answers(pipeline, row):
        return found
    for name, (kind, _) in known.items():
        if kind is not InputType.TEXT or name in coded:
            found[name] = _answers(pipeline, {**row, name: None if name in coded else math.nan})
    return found


def _answers(pipeline: Any, row: Mapping[str, Any]) -> bool:
    try:
        answer = np.asarray(pipeline.predict(given_to(pipeline, pd.DataFrame([row]))))
    except Exception:  # noqa: BLE001 - scikit-learn raises whatever a step raises: the model does not take the row
        return False
    return answer.dtype.kind != "f" or bool(np.isfinite(answer).all())
