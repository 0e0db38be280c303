"""Runs a case: the model is made, and added as `everscore model add` does it."""

from __future__ import annotations

import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from everscore.failures import EverscoreError
from everscore_models.adding import Wishes, add
from everscore_models.candidate import Choices
from everscore_models.survey.case import Case, events_file

_PACKAGES = {
    "scikit-learn": ("scikit-learn", "skl2onnx"),
    "LightGBM": ("lightgbm",),
    "XGBoost": ("xgboost-cpu",),
    "CatBoost": ("catboost",),
}


def run(case: Case) -> dict[str, Any]:
    """What became of a case.

    Returns:
        ``verdict``: ``agrees``, or ``refused`` with the ``reason``. Where it agrees also ``difference`` (the
        largest), ``rows`` compared, ``roundedShare``, ``microseconds`` an event in batches of 256 and
        ``seconds`` that adding took.
    """
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory(prefix="everscore-survey-") as temporary:
        folder = Path(temporary)
        made = case.make(folder)
        wishes = Wishes(
            path=made.path,
            events=made.events or events_file(folder),
            models=folder / "models",
            name="surveyed",
            expected=made.expected,
            choices=Choices(**{"trust": True, **made.choices}),
        )
        began = time.perf_counter()
        try:
            added = add(wishes)
        except EverscoreError as error:
            return {"verdict": "refused", "reason": str(error).replace(f"{folder}/", "")}
        parity = added.manifest.parity
        return {
            "verdict": "agrees",
            "compared": parity.compared if parity else "nothing",
            "difference": float(f"{parity.largest_difference:.1g}") if parity else None,
            "rows": parity.rows if parity else 0,
            "roundedShare": round(parity.rounded_share, 4) if parity and parity.rounded_share else 0.0,
            "microseconds": float(f"{added.cost.microseconds[256]:.2g}"),
            "seconds": round(time.perf_counter() - began, 1),
        }


def versions(library: str) -> dict[str, str]:
    """The packages of a library that the survey ran with; none where it ran elsewhere."""
    return {name: version(name) for name in _PACKAGES.get(library, ())}
