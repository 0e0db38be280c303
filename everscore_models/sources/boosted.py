"""Models of LightGBM, XGBoost and CatBoost that stand alone in a pickle: read as their own files are.

In a pipeline they are steps (`everscore_models.registered`); alone they also know their columns' categories.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from everscore_models.candidate import Candidate, Choices
from everscore_models.errors import ExportError
from everscore_models.sources import catboost_file, lightgbm_text, xgboost_file

_MODELS = {
    "lightgbm": ("Booster", "LGBMModel"),
    "xgboost": ("Booster", "XGBModel"),
    "catboost": ("CatBoost",),
}


def boosted(found: Any, choices: Choices) -> Candidate | None:
    """The candidate of such a model; None: it is something else.

    Raises:
        ExportError: it is not fitted, or cannot be converted.
    """
    library = type(found).__module__.partition(".")[0]
    kinds = {base.__name__ for base in type(found).__mro__}
    if library not in _MODELS or not kinds.intersection(_MODELS[library]):
        return None
    if not _is_fitted(found, library):
        raise ExportError(f"The {type(found).__name__} is not fitted: save it after fit().")
    if not choices.labels and getattr(found, "classes_", None) is not None and len(found.classes_):
        choices = dataclasses.replace(choices, labels=[str(each) for each in np.ravel(found.classes_)])
    if library == "lightgbm":
        return lightgbm_text.from_text(getattr(found, "booster_", found).model_to_string(), choices)
    if library == "catboost":
        return catboost_file.from_fitted(found, choices)
    return _xgboost(found, choices)


def _xgboost(found: Any, choices: Choices) -> Candidate:
    missing = getattr(found, "missing", np.nan)
    if missing is not None and not np.isnan(missing):
        raise ExportError(
            f"This model takes {missing:g} for a missing value: put it into a Pipeline, which carries that "
            "over, or train it with null for what is missing."
        )
    booster = found.get_booster() if hasattr(found, "get_booster") else found
    document = json.loads(booster.save_raw("json"))
    if booster is not found:
        # As save_model of these classes writes it: their predict stops at the best round.
        document["learner"].setdefault("attributes", {})["scikit_learn"] = "{}"
    return xgboost_file.from_document(document, choices)


def _is_fitted(found: Any, library: str) -> bool:
    if library == "catboost":
        return bool(found.is_fitted())
    # A Booster is what a training returned.
    return not hasattr(found, "__sklearn_is_fitted__") or bool(found.__sklearn_is_fitted__())
