"""The shipped model: real data, a fair test, nothing of the arrival, and the same result each time."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from everscore.event.scores import Scores
from everscore.failures import Failure
from everscore.score.loading import load_model
from everscore.score.manifest import load_manifest
from everscore_models import Trained, read_frame
from everscore_models.check import check
from everscore_models.export import export
from everscore_models.trained import load_training

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "flights"
FIELDS = [
    "id",
    "carrier",
    "flight",
    "origin",
    "dest",
    "tailnum",
    "scheduled",
    "date",
    "time",
    "cancelled",
    "dep_delay",
    "distance",
    "month",
    "hour",
]


@pytest.fixture(scope="module")
def train() -> Callable[[], Trained]:
    """The training's function."""
    return load_training(MODEL)


@pytest.fixture(scope="module")
def code(train: Callable[[], Trained]) -> ModuleType:
    """The module train.py, by its functions."""
    module = ModuleType("train")
    module.__dict__.update(train.__globals__)
    return module


@pytest.fixture(scope="module")
def flights(code: ModuleType) -> pd.DataFrame:
    """The flights of the data package."""
    found: pd.DataFrame = code.read_flights()
    return found


@pytest.fixture(scope="module")
def payloads(code: ModuleType, flights: pd.DataFrame) -> list[dict[str, Any]]:
    """The event of each flight."""
    found: list[dict[str, Any]] = code.to_payloads(flights)
    return found


@pytest.fixture(scope="module")
def trained(train: Callable[[], Trained]) -> Trained:
    """One whole training."""
    return train()


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    """The committed events."""
    return [
        json.loads(line) for line in gzip.decompress((MODEL / "events.jsonl.gz").read_bytes()).splitlines()
    ]


def test_training_again_gives_the_same_bytes_here(trained: Trained, tmp_path: Path) -> None:
    """What `make model` calls, in a process of its own, writes the same bytes as a training in this process."""
    here, there = tmp_path / "here" / "flights", tmp_path / "there" / "flights"
    for folder in (here, there):
        folder.mkdir(parents=True)
    shutil.copyfile(MODEL / "train.py", there / "train.py")
    export(trained, here)
    command = [sys.executable, "-m", "everscore_models", "train", "flights", "--models", str(there.parent)]
    # A seed of text hashes with which sets of texts come in another order than usual.
    seeded = os.environ | {"PYTHONHASHSEED": "2284"}
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=seeded).stdout
    for path in here.iterdir():
        assert (there / path.name).read_bytes() == path.read_bytes(), path.name
    assert hashlib.sha256((here / "model.onnx").read_bytes()).hexdigest() in told
    assert "ONNX and scikit-learn agree on" in told


def test_training_again_gives_the_committed_scores_anywhere(trained: Trained, tmp_path: Path) -> None:
    """On whatever machine it is trained, the model scores as the committed one within 1e-6, on the same events."""
    folder = tmp_path / "flights"
    folder.mkdir()
    export(trained, folder)
    again, committed = (load_model(each).score(trained.held_out[::20]) for each in (folder, MODEL))
    for new, old in zip(again, committed, strict=True):
        assert isinstance(new, Scores)
        assert isinstance(old, Scores)
        assert new.value == pytest.approx(old.value, abs=1e-6)
    assert (folder / "sample.jsonl").read_bytes() == (MODEL / "sample.jsonl").read_bytes()
    # zlib differs between systems, so not the compressed bytes.
    assert gzip.decompress((folder / "events.jsonl.gz").read_bytes()) == gzip.decompress(
        (MODEL / "events.jsonl.gz").read_bytes()
    )
    metrics = [json.loads((each / "metrics.json").read_text()) for each in (folder, MODEL)]
    assert metrics[0]["all"] == pytest.approx(metrics[1]["all"], abs=2e-6)


def test_another_order_of_summing_gives_the_same_scores(
    trained: Trained, code: ModuleType, flights: pd.DataFrame, payloads: list[dict[str, Any]]
) -> None:
    """Fitted on the same rows in another order, as another machine would sum them: within 1e-6."""
    shuffled = flights[flights["month"] < code.FIRST_TEST_MONTH].sample(frac=1, random_state=1)
    late = np.where(code.is_late(shuffled), "late", "on time")
    pipeline = code.build_pipeline()
    with pytest.warns(UserWarning, match="Bins whose width are too small"):
        pipeline.fit(read_frame([payloads[row] for row in shuffled.index], code.INPUTS), late)
    rows = read_frame(list(trained.held_out[::50]), code.INPUTS)
    difference = pipeline.predict_proba(rows) - trained.pipeline.predict_proba(rows)
    assert np.abs(difference).max() < 1e-6


def test_the_identity_is_unique_and_holds_nothing_that_changes(
    code: ModuleType, flights: pd.DataFrame, payloads: list[dict[str, Any]]
) -> None:
    """Carrier, flight, origin and scheduled time name each of the 336,776 flights, and make up its id."""
    assert len(payloads) == 336_776
    assert len({each["id"] for each in payloads}) == len(payloads)
    for each in payloads[::1000]:
        scheduled = each["scheduled"][:16].replace("-", "").replace(":", "")
        assert each["id"] == f"{each['carrier']}-{each['flight']}-{each['origin']}-{scheduled}"
    # Another version of the same event: only what the departure brought may differ, never the identity.
    some = flights.iloc[::1000]
    later = code.to_payloads(some.assign(dep_delay=some["dep_delay"] + 600))
    for old, new in zip(payloads[::1000], later, strict=True):
        assert {name for name in FIELDS if old[name] != new[name]} <= {"time", "dep_delay"}


def test_nothing_of_the_arrival_is_in_an_event_or_an_input(
    code: ModuleType, flights: pd.DataFrame, events: list[dict[str, Any]]
) -> None:
    """Payloads have the pinned fields, in order; changing all that is known after departure changes no event."""
    assert {tuple(each) for each in events} == {tuple(FIELDS)}
    inputs = {each.pointer.removeprefix("/") for each in load_manifest(MODEL).inputs}
    assert inputs <= set(FIELDS) - {"id", "flight", "tailnum", "scheduled", "time"}
    some = flights.iloc[::300]
    arrival = ["arr_time", "arr_delay", "air_time", "sched_arr_time"]
    assert set(arrival) <= set(some.columns)
    assert code.to_payloads(some) == code.to_payloads(some.drop(columns=arrival))


def test_the_events_are_all_flights_of_the_last_months(
    flights: pd.DataFrame, payloads: list[dict[str, Any]], events: list[dict[str, Any]]
) -> None:
    """September to December complete, in the order of their times, cancelled ones without a delay."""
    rest = flights[flights["month"] >= 9]
    assert len(events) == len(rest) == 111_866
    by_id = {each["id"]: each for each in events}
    assert all(by_id[payloads[row]["id"]] == payloads[row] for row in rest.index)
    utc = np.array([each["time"][:19] for each in events], "datetime64[s]") - np.array(
        [int(each["time"][19:22]) for each in events]
    ).astype("timedelta64[h]")
    assert (np.diff(utc) >= np.timedelta64(0, "s")).all()
    cancelled = [each for each in events if each["cancelled"]]
    assert len(cancelled) == int(rest["dep_time"].isna().sum())
    assert all(each["dep_delay"] is None and each["time"] == each["scheduled"] for each in cancelled)
    assert all(isinstance(each["dep_delay"], int) for each in events if not each["cancelled"])


def test_known_flights_have_their_known_times(flights: pd.DataFrame, payloads: list[dict[str, Any]]) -> None:
    """The first flight of the data; and all with great delays or at night leave when their clock said."""
    assert (payloads[0]["id"], payloads[0]["scheduled"], payloads[0]["time"]) == (
        "UA-1545-EWR-20130101T0515",
        "2013-01-01T05:15:00-05:00",
        "2013-01-01T05:17:00-05:00",
    )
    odd = flights[(flights["dep_delay"] > 600) | (flights["dep_time"] < 200)]
    assert len(odd) > 100
    for row, clock in zip(odd.index.to_list(), odd["dep_time"], strict=True):
        time = payloads[row]["time"]
        assert int(time[11:13] + time[14:16]) == clock % 2400


def test_the_committed_model_is_as_good_as_it_says(
    code: ModuleType, flights: pd.DataFrame, payloads: list[dict[str, Any]], events: list[dict[str, Any]]
) -> None:
    """ROC AUC of the ONNX file itself on all later flights is at least 0.89, also without the cancelled ones."""
    rest = flights[flights["month"] >= 9]
    ids = [payloads[row]["id"] for row in rest.index]
    truth = dict(zip(ids, zip(code.is_late(rest), rest["arr_delay"].notna(), strict=True), strict=True))
    scores = load_model(MODEL).score(events)
    assert not any(isinstance(each, Failure) for each in scores)
    late = np.array([truth[each["id"]][0] for each in events])
    arrived = np.array([truth[each["id"]][1] for each in events])
    value = np.array([each.value for each in scores if isinstance(each, Scores)])
    metrics = json.loads((MODEL / "metrics.json").read_text())
    every, some = roc_auc_score(late, value), roc_auc_score(late[arrived], value[arrived])
    assert min(every, some) >= 0.89
    assert every == pytest.approx(metrics["all"]["rocAuc"], abs=1e-5)
    assert some == pytest.approx(metrics["arrived"]["rocAuc"], abs=1e-5)
    training = load_manifest(MODEL).training
    assert training is not None
    assert training.metrics["rocAuc"] == metrics["all"]["rocAuc"]
    assert training.rows + len(events) == len(flights)


def test_the_model_is_calibrated() -> None:
    """In each tenth of the probability the share that was late is within 10 points of what was predicted."""
    metrics = json.loads((MODEL / "metrics.json").read_text())
    assert sum(each["rows"] for each in metrics["calibration"]) == metrics["all"]["rows"]
    assert all(abs(each["predicted"] - each["observed"]) < 0.1 for each in metrics["calibration"])
    assert sorted(metrics["months"]) == ["10", "11", "12", "9"]


def test_the_picture_draws_the_metrics() -> None:
    """quality.svg is well formed, its curves stay in their frames, and its dots are those of the calibration."""
    metrics = json.loads((MODEL / "metrics.json").read_text())
    picture = ET.parse(MODEL / "quality.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    frames = [
        (float(each.get("x", "")), float(each.get("width", ""))) for each in picture.iter(f"{space}rect")
    ]
    assert len(frames) == 2
    (left, side), (right, _) = frames
    top = float(next(picture.iter(f"{space}rect")).get("y", ""))
    dots = [
        ((float(each.get("cx", "")) - right) / side, 1 - (float(each.get("cy", "")) - top) / side)
        for each in picture.iter(f"{space}circle")
    ]
    expected = [(each["predicted"], each["observed"]) for each in metrics["calibration"]]
    np.testing.assert_allclose(dots, expected, atol=1e-3)
    curve = next(each for each in picture.iter(f"{space}path") if each.get("stroke") == "#2f81f7")
    points = [pair.split() for pair in curve.get("d", "")[1:].split("L")]
    drawn = [((float(x) - left) / side, 1 - (float(y) - top) / side) for x, y in points]
    np.testing.assert_allclose(drawn, metrics["roc"], atol=1e-3)


def test_the_committed_files_pass_the_check() -> None:
    """Hash, runtime and sample scores of the committed model are in order."""
    checked = check(MODEL)
    assert checked.rows >= 50
    assert checked.largest <= 1e-6
    assert (MODEL / "events.jsonl.gz").stat().st_size <= 3_000_000
