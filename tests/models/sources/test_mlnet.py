"""ML.NET's own ONNX files, unchanged, against ML.NET's own predictions (tests/data/mlnet)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from everscore.event.scores import Scores
from everscore.failures import Permanent
from everscore.score.golden import scaled_difference
from everscore.score.output_form import Kind
from everscore_models.candidate import Candidate, Choices
from everscore_models.errors import ExportError
from tests.support.candidate_models import load

DATA = Path(__file__).resolve().parents[2] / "data" / "mlnet"
TWO_CLASSES = ("binary-fasttree", "binary-lightgbm", "binary-sdca")
UNCALIBRATED = ("binary-fastforest", "binary-perceptron")
SEVERAL_CLASSES = ("multi-lightgbm", "multi-sdca")
REGRESSORS = ("regression-fasttree", "regression-tweedie")
LINEAR = ("binary-perceptron", "binary-sdca", "multi-sdca", "kmeans")
ALL = (*TWO_CLASSES, *UNCALIBRATED, *SEVERAL_CLASSES, *REGRESSORS, "kmeans")


def candidate(name: str, **choices: Any) -> Candidate:
    """What is read out of a file."""
    from everscore_models.sources import onnx_graph

    return onnx_graph.read(DATA / f"{name}.onnx", Choices(**choices))


def rows() -> list[dict[str, Any]]:
    """The rows as events have them: a missing delay is null; the label and unused columns are left out."""
    lines = (DATA / "rows.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    used = ("Carrier", "Dest", "Delay", "Distance", "Cancelled")
    return [{name: None if each[name] == "NaN" else each[name] for name in used} for each in found]


def expected(name: str) -> list[dict[str, Any]]:
    """ML.NET's predictions; its "NaN" is a NaN here."""
    lines = (DATA / f"{name}.expected.jsonl").read_text().splitlines()
    return [_numbers(json.loads(line)) for line in lines]


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_numbers(each) for each in value]
    return math.nan if value == "NaN" else value


def wanted_of(read: Candidate, row: dict[str, Any]) -> tuple[str | None, list[float]]:
    """Label and numbers of a score, by what ML.NET says of the row."""
    label = row.get("PredictedLabel")
    match read.kind:
        case Kind.CLASSIFIER:
            return str(label), [1 - row["Probability"], row["Probability"]]
        case Kind.MULTICLASS:
            return label, row["Score"]
        case Kind.CLUSTERER:
            return str(label), row["Score"]
    return None, [row["Score"]]


@pytest.mark.parametrize("name", ALL)
def test_scores_are_those_of_mlnet(name: str, tmp_path: Path) -> None:
    """Every row of every file has ML.NET's own label and numbers; where ML.NET says NaN, it alone is refused."""
    read = candidate(name)
    model = load(read, tmp_path, {"Delay": "nan"})
    results = model.score(rows())

    refused = 0
    for row, result in zip(expected(name), results, strict=True):
        label, numbers = wanted_of(read, row)
        if any(math.isnan(each) for each in numbers):
            assert isinstance(result, Permanent)
            assert result.reason == "score not finite"
            refused += 1
            continue
        assert isinstance(result, Scores), result
        assert result.label == label
        found = list(result.values.values()) or [result.value]
        assert scaled_difference(numbers, found, read.kind) <= read.tolerance
    assert refused == (30 if name in LINEAR else 0)


@pytest.mark.parametrize("name", ALL)
def test_label_and_unused_columns_are_asked_of_no_event(name: str) -> None:
    """Of the eight columns of training the five features are left, in their order and with their types."""
    read = candidate(name)

    assert [(each.name, str(each.type)) for each in read.columns] == [
        ("Carrier", "text"),
        ("Dest", "text"),
        ("Delay", "number"),
        ("Distance", "number"),
        ("Cancelled", "boolean"),
    ]
    assert "Not asked of events, since no score needs them: Kind, Minutes, Late." in read.notes
    assert read.library == "ML.NET"
    assert read.predict is None


@pytest.mark.parametrize("name", ALL)
def test_missing_numbers_may_reach_trees_alone(name: str) -> None:
    """A NaN makes the score of a linear model NaN, and has a branch of its own in trees."""
    delay = candidate(name).columns[2]

    assert delay.takes_nan is (name not in LINEAR)


def test_tolerance_is_wider_where_the_prediction_is_a_power() -> None:
    """FastTreeTweedie is off by up to 2.7e-4 for the rounding of its exponent; nothing else is."""
    tolerances = {name: candidate(name).tolerance for name in ALL}

    assert tolerances == dict.fromkeys(ALL, 1e-5) | {"regression-tweedie": 5e-4}


@pytest.mark.parametrize("name", UNCALIBRATED)
def test_margin_is_a_number_without_a_label_unless_a_sigmoid_is_asked_for(name: str, tmp_path: Path) -> None:
    """Without a calibrator the value is the score itself; a sigmoid keeps ML.NET's labels and order."""
    plain = candidate(name)
    assert plain.kind is Kind.REGRESSOR
    assert any("no probability" in note and "Calibrators.Platt" in note for note in plain.notes)

    read = candidate(name, transform="sigmoid", labels=["on time", "late"])
    assert any("not calibrated" in note for note in read.notes)
    results = load(read, tmp_path, {"Delay": "nan"}).score(rows())
    for row, result in zip(expected(name), results, strict=True):
        if math.isnan(row["Score"]):
            assert isinstance(result, Permanent)
            continue
        assert isinstance(result, Scores)
        assert result.label == ("late" if row["PredictedLabel"] else "on time")
        assert result.value == pytest.approx(1 / (1 + math.exp(-row["Score"])), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "choices", "sentence"),
    [
        ("binary-fastforest", {"labels": ["no", "yes"]}, "is not calibrated"),
        ("binary-fastforest", {"transform": "softmax"}, "is not calibrated"),
        ("binary-sdca", {"transform": "sigmoid"}, "holds probabilities already"),
        ("binary-sdca", {"positive": "False"}, "gives the probability of 'True' alone"),
        ("binary-sdca", {"labels": ["yes"]}, "There are 2 classes"),
        ("multi-sdca", {"positive": "soon"}, "'soon' is none of late, near, early"),
        ("multi-sdca", {"labels": ["a", "b"]}, "There are 3 classes"),
        ("multi-sdca", {"outputs": ["Nothing.output"]}, "has no output 'Nothing.output'"),
    ],
)
def test_choices_that_do_not_fit_are_refused(name: str, choices: dict[str, Any], sentence: str) -> None:
    """One sentence says what the file holds and what to say instead."""
    with pytest.raises(ExportError, match=sentence):
        candidate(name, **choices)


def test_classes_can_be_named_and_one_of_them_be_the_value(tmp_path: Path) -> None:
    """The names stand in the graph alone; documents may call them otherwise, in the same order."""
    read = candidate("multi-lightgbm", labels=["spät", "fast", "früh"], positive="spät")
    results = load(read, tmp_path).score(rows())

    for row, result in zip(expected("multi-lightgbm"), results, strict=True):
        assert isinstance(result, Scores)
        assert result.label == {"late": "spät", "near": "fast", "early": "früh"}[row["PredictedLabel"]]
        assert result.value == pytest.approx(row["Score"][0], abs=1e-5)


def test_clusters_have_the_numbers_of_mlnet() -> None:
    """The file counts its clusters from 0, ML.NET from 1, and documents say what ML.NET says."""
    read = candidate("kmeans")

    assert read.outputs["classes"] == [0, 1, 2]
    assert read.outputs["labels"] == ["1", "2", "3"]
    assert "The file numbers its clusters from 0, ML.NET from 1" in read.notes[0]


def test_label_of_a_platt_calibrator_stays_that_of_the_score(tmp_path: Path) -> None:
    """Platt moves the border of the probability, not that of ML.NET's label, which goes by the score's sign."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    from everscore_models.sources import mlnet

    model = onnx.load(DATA / "binary-sdca.onnx")
    for each in model.graph.initializer:
        if each.name == "Offset":
            each.CopyFrom(numpy_helper.from_array(np.array(2.0, np.float32), "Offset"))
    results = load(mlnet.candidate(model, Choices()), tmp_path, {"Delay": "nan"}).score(rows())

    contradicting = 0
    for row, result in zip(expected("binary-sdca"), results, strict=True):
        if isinstance(result, Scores):
            assert result.label == str(row["PredictedLabel"])
            contradicting += result.label != str(result.value > 0.5)
    assert contradicting > 10


@pytest.mark.parametrize("name", ["multi-lightgbm", "multi-sdca", "kmeans", "binary-fasttree"])
def test_every_output_answers_alone_as_within_the_whole_graph(name: str) -> None:
    """Cut to any one of its outputs, the graph gives the same as before, and takes no more than it needs."""
    import numpy as np
    import onnx

    from everscore_models.graph.cutting import cut
    from everscore_models.graph.trial import Trial

    model = onnx.load(DATA / f"{name}.onnx")
    whole = Trial(model.SerializeToString())
    feed = whole.zeros() | {"Delay": np.array([[7.5], [-3.0]], np.float32)}
    feed["Carrier"] = np.array([["UA"], ["B6"]], object)
    answers = whole.run(feed)
    assert answers is not None

    for output, wanted in answers.items():
        small = Trial(cut(model, [output]).SerializeToString())
        taken = [each.name for each in small.inputs]
        found = small.run({name: feed[name] for name in taken})
        assert found is not None
        np.testing.assert_array_equal(found[output], wanted)
        assert len(taken) <= 5
    assert [each.name for each in Trial(cut(model, ["Kind.output"]).SerializeToString()).inputs] == ["Kind"]


def test_keys_without_their_values_are_named_by_the_slots_of_the_score() -> None:
    """Without MapKeyToValue the label is a key; the names stand in the graph all the same."""
    import onnx

    from everscore_models.sources import mlnet

    model = onnx.load(DATA / "multi-lightgbm.onnx")
    for node in model.graph.node:
        if list(node.output) == ["PredictedLabel.output"]:
            node.input[0] = "PredictedLabel"
    label = next(each for each in model.graph.output if each.name == "PredictedLabel.output")
    label.type.tensor_type.elem_type = onnx.TensorProto.UINT32

    assert mlnet.candidate(model, Choices()).outputs["classes"] == ["late", "near", "early"]


def test_outputs_of_mlnet_can_be_named_too() -> None:
    """The score before the calibrator is a number as any other."""
    read = candidate("binary-fasttree", outputs=["Score.output"])

    assert read.kind is Kind.REGRESSOR
    assert read.outputs == {"value": "Score.output"}
    assert len(read.columns) == 5
