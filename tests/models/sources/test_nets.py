"""Nets as PyTorch and Keras export them, against their own predictions (tests/data/nets)."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from everscore.event.scores import Scores
from everscore.score.golden import scaled_difference
from everscore.score.output_form import Kind
from everscore_models.candidate import Candidate, Choices
from everscore_models.errors import ExportError
from everscore_models.spreading import spread
from tests.support.candidate_models import load
from tests.support.onnx_files import scores

DATA = Path(__file__).resolve().parents[2] / "data" / "nets"
ROWS = {
    "torch-sigmoid": "torch-features",
    "torch-external": "torch-features",
    "torch-half": "torch-features",
    "torch-logits": "torch-features",
    "torch-unnamed": "torch-features",
    "torch-heads": "torch-features",
    "torch-sequence": "torch-readings",
    "torch-tokens": "torch-tokens",
    "keras-sigmoid": "keras-sigmoid",
    "keras-image": "keras-image",
}
LOGITS = ("torch-logits", "torch-unnamed")
TWO_CLASSES = ("torch-sigmoid", "torch-external", "torch-half", "torch-tokens", "keras-sigmoid")


def candidate(name: str, **choices: Any) -> Candidate:
    """What is read out of a file."""
    from everscore_models.sources import onnx_graph

    return onnx_graph.read(DATA / f"{name}.onnx", Choices(**choices))


def lines(name: str) -> list[Any]:
    """The values of a file of JSON lines."""
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]


def wanted_of(name: str, numbers: list[float]) -> list[float]:
    """The numbers of a score, by what the library says of a row."""
    if name in LOGITS:
        powers = [math.exp(each) for each in numbers]
        return [each / sum(powers) for each in powers]
    return [1 - numbers[0], numbers[0]] if name in TWO_CLASSES else numbers


@pytest.mark.parametrize("name", ROWS)
def test_scores_are_those_of_the_library(name: str, tmp_path: Path) -> None:
    """Each net scores all 200 rows, as a batch and one row alone, as PyTorch or Keras did itself."""
    read = candidate(name, transform="softmax" if name == "torch-unnamed" else None)
    model = load(read, tmp_path)
    rows, wanted = lines(f"{ROWS[name]}.rows"), lines(f"{name}.expected")

    found = scores(model, rows)
    assert len(found) == 200
    for numbers, score in zip(wanted, found, strict=True):
        mine = list(score.values.values()) or [score.value]
        assert scaled_difference(wanted_of(name, numbers), mine, read.kind) <= read.tolerance
    alone = scores(model, rows[:1])[0]
    assert alone.label == found[0].label
    assert alone.value == pytest.approx(found[0].value, abs=1e-6)


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_one_probability_is_that_of_the_positive_class(name: str, tmp_path: Path) -> None:
    """A sigmoid's column is the probability of the second label; with --positive, of the one that it names."""
    read = candidate(name, labels=["on time", "late"])
    assert read.kind is Kind.CLASSIFIER
    assert read.outputs["positive"] == "late"
    assert any("probability of 'late'" in note for note in read.notes)

    other = candidate(name, labels=["late", "on time"], positive="late")
    model = load(other, tmp_path)
    rows, wanted = lines(f"{ROWS[name]}.rows"), lines(f"{name}.expected")
    for numbers, score in zip(wanted, scores(model, rows), strict=True):
        assert score.value == pytest.approx(numbers[0], abs=read.tolerance)
        assert score.values["late"] == score.value
        assert score.label == ("late" if score.value > 0.5 else "on time")


def test_logits_by_name_are_made_probabilities_by_the_manifest() -> None:
    """An output named logits gets a softmax, which the manifest names and a note says."""
    read = candidate("torch-logits", labels=["early", "near", "late"])

    assert read.kind is Kind.MULTICLASS
    assert read.outputs["transform"] == "softmax"
    assert read.outputs["labels"] == ["early", "near", "late"]
    assert any("'logits' holds logits" in note for note in read.notes)


def test_numbers_of_which_nothing_says_what_they_are() -> None:
    """Without a word they are predictions, and a note asks; with labels, probabilities that must bear it out."""
    plain = candidate("torch-unnamed")
    assert plain.kind is Kind.REGRESSOR
    assert plain.outputs["columns"] == ["linear_1_0", "linear_1_1", "linear_1_2"]
    assert any("say --transform softmax where they are the logits" in note for note in plain.notes)

    labelled = candidate("torch-unnamed", labels=["early", "near", "late"])
    assert labelled.kind is Kind.MULTICLASS
    assert "transform" not in labelled.outputs
    assert any("Nothing in the file says whether" in note for note in labelled.notes)

    asked = candidate("torch-unnamed", transform="softmax")
    assert asked.kind is Kind.MULTICLASS
    assert asked.outputs["transform"] == "softmax"


def test_half_floats_have_a_tolerance_of_their_own() -> None:
    """float16 has 11 bits: 1e-5 would refuse every such net."""
    read = candidate("torch-half")

    assert read.tolerance == 5e-3
    assert any("float16" in note for note in read.notes)


def test_several_outputs_are_several_predictions(tmp_path: Path) -> None:
    """Heads of one net are read in one call, by their names; --outputs takes some of them."""
    read = candidate("torch-heads")
    assert read.outputs == {"value": ["low", "middle", "high"], "columns": ["low", "middle", "high"]}

    two = candidate("torch-heads", outputs=["middle", "high"])
    assert two.outputs["columns"] == ["middle", "high"]
    one = candidate("torch-heads", outputs=["middle"])
    assert one.outputs == {"value": "middle"}
    model = load(one, tmp_path)
    wanted = [row[1] for row in lines("torch-heads.expected")]
    found = [each.value for each in scores(model, lines("torch-features.rows"))]
    assert found == pytest.approx(wanted, abs=1e-5)
    assert len(one.content) < len(read.content)


def test_lists_and_tokens_have_their_shape_and_type() -> None:
    """A sequence and an image are lists of numbers of fixed lengths, tokens one of whole numbers."""
    assert [(each.name, str(each.type), each.shape) for each in candidate("torch-sequence").columns] == [
        ("readings", "number", (12, 2))
    ]
    assert [(each.name, str(each.type), each.shape) for each in candidate("keras-image").columns] == [
        ("image", "number", (8, 8, 1))
    ]
    assert [(each.name, str(each.type), each.shape) for each in candidate("torch-tokens").columns] == [
        ("tokens", "integer", (12,))
    ]


@pytest.mark.parametrize("name", ["torch-sigmoid", "torch-sequence", "keras-image"])
def test_no_net_takes_a_missing_number(name: str) -> None:
    """A NaN makes the score NaN, or is lost on the way, as in onnxruntime's GRU: neither is an answer."""
    assert candidate(name).columns[0].takes_nan is False


def test_list_of_numbers_can_be_fields_of_an_event(tmp_path: Path) -> None:
    """The six columns of a matrix have no names in the file; whoever adds it names six fields, in order."""
    names = ["a", "b", "c", "d", "e", "f"]
    read = spread(candidate("torch-sigmoid"), "features", names)
    assert [each.name for each in read.columns] == names
    assert read.tensors == {"features": names}

    model = load(read, tmp_path)
    rows = [dict(zip(names, row["features"], strict=True)) for row in lines("torch-features.rows")]
    found = [each.value for each in scores(model, rows)]
    assert found == pytest.approx([row[0] for row in lines("torch-sigmoid.expected")], abs=1e-5)


@pytest.mark.parametrize(
    ("column", "names", "sentence"),
    [
        ("features", ["a", "b"], "takes 6 numbers, and 2 fields are named"),
        ("features", ["a", "b", "c", "d", "e", "a"], "two have one name"),
        ("other", ["a"], "no list of numbers 'other'"),
    ],
)
def test_fields_that_do_not_fit_a_list_are_refused(column: str, names: list[str], sentence: str) -> None:
    """Each field has its own place, and there are as many as numbers."""
    with pytest.raises(ExportError, match=sentence):
        spread(candidate("torch-sigmoid"), column, names)


def test_weights_in_a_second_file_are_taken_in(tmp_path: Path) -> None:
    """The folder of a model holds one file, which loads without the second one."""
    from everscore_models.graph.reading import read_graph

    model, notes = read_graph(DATA / "torch-external.onnx")
    assert "(384 bytes) were taken into model.onnx" in notes[0]
    (tmp_path / "alone").mkdir()
    results = load(candidate("torch-external"), tmp_path / "alone").score(lines("torch-features.rows"))
    assert all(isinstance(each, Scores) for each in results)
    assert not any(each.external_data for each in model.graph.initializer)


def test_second_file_that_is_missing_or_cut_is_one_sentence(tmp_path: Path) -> None:
    """The sentence names the file and says what to do."""
    from everscore_models.sources import onnx_graph

    path = tmp_path / "net.onnx"
    shutil.copyfile(DATA / "torch-external.onnx", path)
    with pytest.raises(ExportError, match=r"second file, torch-external.onnx.data, which is not beside it"):
        onnx_graph.read(path, Choices())
    whole = (DATA / "torch-external.onnx.data").read_bytes()
    (tmp_path / "torch-external.onnx.data").write_bytes(whole[:100])
    with pytest.raises(ExportError, match=r"has 100 bytes, and the model needs 384"):
        onnx_graph.read(path, Choices())
