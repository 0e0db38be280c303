"""The survey of models: its page is written from its data, and some rows are tried again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from everscore_models.survey.__main__ import PAGE, RESULTS, all_cases
from everscore_models.survey.case import Case, Made
from everscore_models.survey.page import page
from everscore_models.survey.running import run

ROWS = {f"{row['library']}: {row['name']}": row for row in json.loads(RESULTS.read_text("utf-8"))["rows"]}
CASES = {case.id: case for case in all_cases()}
# Quick ones, of each verdict and library.
AGAIN = [
    "scikit-learn: LinearDiscriminantAnalysis",
    "scikit-learn: IsolationForest",
    "scikit-learn: step: HashingVectorizer",
    "LightGBM: boosting=rf, binary",
    "XGBoost: count:poisson",
    "CatBoost: categorical columns",
    "ML.NET: KMeans",
    "PyTorch: logits of three classes",
]


def test_the_page_is_as_it_would_be_written() -> None:
    """docs/frameworks.md is what `python -m everscore_models.survey` writes from its data."""
    assert PAGE.read_text("utf-8") == page(json.loads(RESULTS.read_text("utf-8")))


def test_every_case_has_its_row() -> None:
    """None is missing, none stands there that is tried no more, and none ended in another way."""
    assert list(ROWS) == list(CASES)
    assert len(ROWS) > 120
    assert {row["verdict"] for row in ROWS.values()} == {"agrees", "refused"}
    for row in ROWS.values():
        if row["verdict"] == "agrees":
            assert row["compared"] != "nothing"
            assert row["difference"] <= (1e-3 if row["name"] == "float16" else 1e-4)


@pytest.mark.parametrize("name", AGAIN)
def test_a_row_says_what_becomes_of_its_model(name: str) -> None:
    """Tried again, it has the same verdict, on as many rows, or for the same reason."""
    found, row = run(CASES[name]), ROWS[name]
    for key in ("verdict", "reason", "compared", "rows"):
        assert found.get(key) == row.get(key)


def test_a_file_that_is_no_model_is_a_refusal_of_its_own(tmp_path: Path) -> None:
    """What `model add` refuses in a sentence is that sentence, without the folder it was tried in."""
    (tmp_path / "model.onnx").write_bytes(b"")
    found = run(Case("any", "nothing", lambda _: Made(tmp_path / "model.onnx")))
    assert found["verdict"] == "refused"
    assert "is empty" in found["reason"]
