"""Outputs as other trainers write them: one column for two classes, logits, several predictions, clusters."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from onnx import ModelProto, TensorProto, helper

from everscore.event.scores import Scores
from everscore.failures import Configuration, ManifestError
from everscore.score.loading import load_model
from tests.support.onnx_files import FLOAT, echo, graph, scores, write


def answering(width: int, kind: int = FLOAT) -> ModelProto:
    """A file whose output y is its inputs x0, x1, … side by side, in another precision."""
    names = [f"x{number}" for number in range(width)]
    nodes = [
        helper.make_node("Concat", names, ["wide"], axis=1),
        helper.make_node("Cast", ["wide"], ["y"], to=kind),
    ]
    inputs = dict.fromkeys(names, (FLOAT, (None, 1)))
    return graph(inputs, nodes, {"y": (kind, (None, width))})


def with_outputs(folder: Path, model: ModelProto, width: int, kind: str, **outputs: Any) -> Any:
    """The model with these outputs, loaded."""
    inputs = [{"name": f"x{number}", "pointer": f"/{number}", "type": "number"} for number in range(width)]
    manifest = {"schema": 2, "kind": kind, "inputs": inputs, "outputs": {"value": "y", **outputs}}
    return load_model(write(folder, model, **manifest))


PAIR = {"classes": [0, 1], "labels": ["no", "yes"]}


@pytest.mark.parametrize("kind", [FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16])
@pytest.mark.parametrize("positive", ["yes", "no"])
def test_one_column_for_two_classes(tmp_path: Path, kind: int, positive: str) -> None:
    """The one probability is that of the positive class, and the other class has what is left."""
    model = with_outputs(tmp_path, answering(1, kind), 1, "classifier", positive=positive, **PAIR)
    other = {"yes": "no", "no": "yes"}[positive]
    for given, label in ((0.75, positive), (0.25, other)):
        [found] = scores(model, [[given]])
        assert (found.label, found.value, found.values[other]) == (label, given, 1 - given)
        assert list(found.values) == ["no", "yes"]


@pytest.mark.parametrize("logit", [-1000.0, -2.0, 0.5, 1000.0])
def test_a_sigmoid_of_one_logit(tmp_path: Path, logit: float) -> None:
    """A declared logit of two classes is made a probability, also far from zero."""
    model = with_outputs(tmp_path, answering(1), 1, "classifier", positive="yes", transform="sigmoid", **PAIR)
    [found] = scores(model, [[logit]])
    wanted = 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
    assert found.value == pytest.approx(wanted, abs=1e-12)
    assert found.values["no"] == pytest.approx(1 - wanted, abs=1e-12)


def test_a_softmax_of_logits(tmp_path: Path) -> None:
    """Declared logits of several classes are made probabilities that sum to one, without overflow."""
    classes = ["a", "b", "c"]
    model = with_outputs(tmp_path, answering(3), 3, "multiclass", classes=classes, transform="softmax")
    [small, large] = scores(model, [[0, math.log(2), 0], [900, 1000, 900]])
    assert (small.label, small.value) == ("b", pytest.approx(0.5))
    assert list(small.values) == classes
    assert (large.label, large.value) == ("b", pytest.approx(1.0))


def test_softmax_of_one_column_is_refused(tmp_path: Path) -> None:
    """Of one number softmax makes 1, whatever it is: the file is refused at load."""
    with pytest.raises(ManifestError, match="has 1 columns, and the manifest makes it 2"):
        with_outputs(tmp_path, answering(1), 1, "classifier", positive="yes", transform="softmax", **PAIR)


def test_several_predictions_by_name(tmp_path: Path) -> None:
    """Each column of a regressor has its name in `values`, and the main one is the value."""
    columns = ["low", "middle", "high"]
    model = with_outputs(tmp_path, answering(3), 3, "regressor", columns=columns, main="middle")
    [found] = scores(model, [[1, 2, 4]])
    assert (found.label, found.value) == (None, 2.0)
    assert found.values == {"low": 1.0, "middle": 2.0, "high": 4.0}
    model = with_outputs(tmp_path, answering(3), 3, "regressor", columns=columns)
    assert scores(model, [[1, 2, 4]])[0].value == 1.0


def test_predictions_of_several_outputs(tmp_path: Path) -> None:
    """A net with a head for each prediction: the outputs' columns are taken one after the other."""
    nodes = [
        helper.make_node("Neg", ["x0"], ["minus"]),
        helper.make_node("Concat", ["x0", "x1"], ["both"], axis=1),
    ]
    heads = graph(
        {"x0": (FLOAT, (None, 1)), "x1": (FLOAT, (None, 1))},
        nodes,
        {"minus": (FLOAT, (None, 1)), "both": (FLOAT, (None, 2))},
    )
    model = with_outputs(tmp_path, heads, 2, "regressor", value=["both", "minus"], columns=["a", "b", "c"])
    assert scores(model, [[5, 7]])[0].values == {"a": 5.0, "b": 7.0, "c": -5.0}


def test_a_clusterer_says_the_nearest(tmp_path: Path) -> None:
    """Without a label output the cluster is that of the smallest distance, which is the value."""
    model = with_outputs(tmp_path, answering(3), 3, "clusterer", classes=[1, 2, 3], labels=["x", "y", "z"])
    [found] = scores(model, [[4, 0.5, 2]])
    assert (found.label, found.value) == ("y", 0.5)
    assert found.values == {"x": 4.0, "y": 0.5, "z": 2.0}


def test_another_number_of_columns_than_declared_waits(tmp_path: Path) -> None:
    """A file whose declared width is free and turns out another is no event's fault: it waits, with the reason."""
    inputs = [{"name": name, "pointer": f"/{name}", "type": "number"} for name in "ab"]
    outputs = {"value": "y", "columns": ["p", "q", "r"]}
    file = echo(FLOAT, (None, None))
    model = load_model(
        write(tmp_path, file, schema=2, inputs=inputs, tensors={"x": ["a", "b"]}, outputs=outputs)
    )
    [found] = model.score([{"a": 1, "b": 2}])
    assert isinstance(found, Configuration)
    assert found.reason == "model and manifest disagree"
    assert "has 2 numbers a row instead of 3" in found.detail


def test_a_score_that_is_not_finite_is_its_rows_own(tmp_path: Path) -> None:
    """One prediction of several that is NaN or infinite costs its event, and no other."""
    model = with_outputs(tmp_path, answering(2, TensorProto.FLOAT16), 2, "regressor", columns=["a", "b"])
    good, bad, after = model.score([[1, 2], [1, 1e6], [3, 4]])
    assert isinstance(good, Scores)
    assert isinstance(after, Scores)
    assert not isinstance(bad, Scores)
    assert bad.reason == "score not finite"
