"""The example's second model: trained without labels, the same each time, and honest figures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from everscore.event.scores import Scores
from everscore.event.stream import load_stream
from everscore.score.loading import load_named
from everscore_models import Trained
from everscore_models.export import export
from everscore_models.trained import load_training
from tests.support.flights import flight

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "unusual"


@pytest.fixture(scope="module")
def trained() -> Trained:
    """One whole training."""
    train: Callable[[], Trained] = load_training(MODEL)
    return train()


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    """The committed figures."""
    found: dict[str, Any] = json.loads((MODEL / "metrics.json").read_text())
    return found


def test_training_again_gives_the_committed_scores(trained: Trained, tmp_path: Path) -> None:
    """The forest is drawn from a seed: each training has the same scores, sample and figures."""
    folder = tmp_path / "unusual"
    folder.mkdir()
    export(trained, folder)
    events = trained.held_out[::50]
    again, committed = (load_named(each).score(events) for each in (folder, MODEL))
    for new, old in zip(again, committed, strict=True):
        assert isinstance(new, Scores)
        assert isinstance(old, Scores)
        assert new.value == pytest.approx(old.value, abs=1e-6)
        assert new.label == old.label
    for name in ("sample.jsonl", "metrics.json"):
        assert (folder / name).read_bytes() == (MODEL / name).read_bytes()


def test_the_figures_are_those_of_the_scores(trained: Trained, metrics: dict[str, Any]) -> None:
    """What metrics.json says is so for the committed model: the share, and the ten most unusual flights."""
    scored = load_named(MODEL).score(trained.held_out)
    values = [each.value for each in scored if isinstance(each, Scores)]
    assert len(values) == len(trained.held_out) == metrics["all"]["flights"]
    assert sum(value < 0 for value in values) / len(values) == pytest.approx(
        metrics["shareUnusual"], abs=1e-3
    )
    most = sorted(zip(values, (each["id"] for each in trained.held_out), strict=True))[:10]
    assert {id_ for _, id_ in most} == {each["id"] for each in metrics["mostUnusual"]}
    assert metrics["shareLate"]["mostUnusual1Percent"] > 4 * metrics["shareLate"]["all"]
    assert 0.7 < metrics["rocAucOfLateness"] < 0.8


def test_labels_and_scores_go_together() -> None:
    """Below 0 it is unusual; a carrier that was never seen is more unusual than the commonest, and no error."""
    plain, strange, new = load_named(MODEL).score(
        [
            flight(dep_delay=0, hour=12),
            flight(dep_delay=600, hour=1, distance=4983, carrier="HA"),
            flight(dep_delay=0, hour=12, carrier="ZZ"),
        ]
    )
    assert isinstance(plain, Scores)
    assert isinstance(strange, Scores)
    assert isinstance(new, Scores)
    assert (plain.label, strange.label) == ("usual", "unusual")
    assert strange.value < 0 < new.value < plain.value


def test_the_example_is_scored_by_both() -> None:
    """stream.json names both; a flight that the second cannot score is stored all the same."""
    for path in (ROOT / "stream.json", ROOT / "models" / "flights" / "stream.json"):
        models = load_stream(path).models
        assert [(each.name, each.required) for each in models] == [("flights", True), ("unusual", False)]


def test_make_model_trains_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name `make model` trains the two, one after the other."""
    monkeypatch.syspath_prepend(str(ROOT))
    program = (
        "import dev; dev.call = lambda command: print(*command[1:]) or 0; dev.model([]); dev.model(['a'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        f"-m everscore_models train {name}" for name in ("flights", "unusual", "a")
    ]
