"""Inputs that are categories or lists of numbers, and dtypes beyond those of scikit-learn."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from everscore.event.scores import Scores
from everscore.failures import ManifestError
from everscore.score.loading import load_model
from everscore.score.model import Model
from tests.support.onnx_files import DOUBLE, FLOAT, INT64, echo, graph, outcome, write


def model_with(folder: Path, kind: int, shape: tuple[Any, ...] = (None, 1), **described: Any) -> Model:
    """A regressor that answers with its one input, described so."""
    given = {"name": "x", "pointer": "/x", **described}
    return load_model(write(folder, echo(kind, shape), schema=2, inputs=[given]))


COLOURS = {"type": "text", "categories": ["red", "green", "blue"]}


@pytest.mark.parametrize(
    ("described", "kind", "expected"),
    [
        (COLOURS, FLOAT, {"red": 0, "blue": 2, "pink": "unseen category", None: "input missing", 1: "wrong"}),
        (COLOURS | {"unseen": {"value": "green"}}, INT64, {"red": 0, "pink": 1, None: "input missing"}),
        (COLOURS | {"unseen": {"value": -1}}, INT64, {"red": 0, "pink": -1, 5: "wrong type of input"}),
        (COLOURS | {"missing": {"value": "blue"}}, INT64, {"green": 1, None: 2, "pink": "unseen category"}),
        (
            {"type": "integer", "categories": [10, 20]},
            FLOAT,
            {10: 0, 20.0: 1, True: "wrong type of input", 10.5: "wrong type of input", 30: "unseen category"},
        ),
        (
            {"type": "boolean", "categories": [True, False]},
            FLOAT,
            {True: 0, False: 1, 2: "wrong", "True": "wrong"},
        ),
        (
            {"type": "number", "categories": [0.5, 2]},
            FLOAT,
            {0.5: 0, 2.0: 1, math.nan: "input not finite"},
        ),
    ],
)
def test_the_model_is_given_the_place_of_a_category(
    tmp_path: Path, described: dict[str, Any], kind: int, expected: dict[Any, Any]
) -> None:
    """Codes, what is unseen or missing, and other types: alone and in one batch alike."""
    model = model_with(tmp_path, kind, **described)
    payloads = [{"x": value} for value in expected]
    together = model.score(payloads)
    for payload, wanted, among in zip(payloads, expected.values(), together, strict=True):
        alone = outcome(model, payload)
        if isinstance(wanted, str):
            assert alone[0].startswith(wanted)
            assert alone[1] == "/x"
            assert not isinstance(among, Scores)
        else:
            assert alone == ("score", wanted)
            assert isinstance(among, Scores)
            assert among.value == wanted


def test_an_unseen_or_missing_category_may_be_nan(tmp_path: Path) -> None:
    """NaN reaches the model for both; an integer tensor, which has none, is refused at load."""
    isnan = [helper.make_node("IsNaN", ["x"], ["b"]), helper.make_node("Cast", ["b"], ["y"], to=DOUBLE)]
    described = [{"name": "x", "pointer": "/x", **COLOURS, "missing": "nan", "unseen": "nan"}]
    told = graph({"x": (FLOAT, (None, 1))}, isnan, {"y": (DOUBLE, (None, 1))})
    model = load_model(write(tmp_path, told, schema=2, inputs=described))
    values = [
        each.value
        for each in model.score([{"x": "red"}, {"x": "pink"}, {"x": None}, {}])
        if isinstance(each, Scores)
    ]
    assert values == [0, 1, 1, 1]
    with pytest.raises(ManifestError, match="'x' may be NaN, which the tensor"):
        load_model(write(tmp_path, echo(INT64), schema=2, inputs=described))


def test_an_unseen_category_is_not_told(tmp_path: Path) -> None:
    """The failure names the field and the count of categories, never the value, which is the payload's."""
    [failure] = model_with(tmp_path, FLOAT, **COLOURS).score([{"x": "a secret"}])
    assert not isinstance(failure, Scores)
    assert "none of the 3 categories" in failure.detail
    assert "secret" not in str(failure)


def summing(kind: int, shape: tuple[Any, ...]) -> Any:
    """A regressor that answers with the sum of each row's numbers."""
    nodes = [
        helper.make_node("Cast", ["x"], ["d"], to=DOUBLE),
        helper.make_node("Flatten", ["d"], ["f"]),
        helper.make_node("ReduceSum", ["f", "axis"], ["y"], keepdims=1),
    ]
    model = graph({"x": (kind, shape)}, nodes, {"y": (DOUBLE, (None, 1))})
    model.graph.initializer.append(helper.make_tensor("axis", INT64, [1], [1]))
    return model


SHAPES: list[tuple[list[int], dict[str, Any], Any, Any]] = [
    ([3], {}, [1, 2.5, 3], 6.5),
    ([3], {}, [1, 2], "has 2 of 3"),
    ([3], {}, 5, "holds no list"),
    ([3], {}, [1, "2", 3], "must be a number, found a text"),
    ([3], {}, [1, True, 3], "must be a number, found a boolean"),
    ([3], {}, [1, None, 3], "has no number at /1"),
    ([3], {}, [1, math.inf, 3], "is infinite at /1"),
    ([3], {}, None, "is null"),
    ([3], {"missing": {"value": 2}}, None, 6),
    ([2, 2], {}, [[1, 2], [3, 4]], 10),
    ([2, 2], {}, [[1, 2], [3]], "at /1 has 1 of 2"),
    ([2, 2], {}, [1, 2, 3, 4], "has 4 of 2"),
    ([2, 2], {}, [[1, 2], 3], "at /1 holds no list"),
    ([2], {"type": "integer"}, [1, 2.0], 3),
    ([2], {"type": "integer"}, [1, 2.5], "must be a whole number"),
    ([2], {"type": "integer"}, [1, 2**63], "does not fit a 64-bit integer"),
]


@pytest.mark.parametrize(("shape", "described", "value", "expected"), SHAPES)
def test_a_list_of_numbers_of_a_fixed_shape(
    tmp_path: Path, shape: list[int], described: dict[str, Any], value: Any, expected: Any
) -> None:
    """What fits is summed by the model; what does not is refused, with its place; neighbours are scored."""
    given = {"name": "x", "pointer": "/x", "type": "number", "shape": shape} | described
    kind = INT64 if given["type"] == "integer" else FLOAT
    model = load_model(write(tmp_path, summing(kind, (None, *shape)), schema=2, inputs=[given]))
    good: Any = 1
    for length in reversed(shape):
        good = [good] * length
    before, found, after = model.score([{"x": good}, {"x": value}, {"x": good}])
    size = math.prod(shape)
    assert isinstance(before, Scores)
    assert isinstance(after, Scores)
    assert before.value == after.value == size
    if isinstance(expected, str):
        assert not isinstance(found, Scores)
        assert expected in found.detail
        assert found.field == "/x"
    else:
        assert isinstance(found, Scores)
        assert found.value == expected


def test_nulls_in_a_list_may_be_nan(tmp_path: Path) -> None:
    """Where the input may be missing as NaN, a null in it is one, and a list that is missing is all NaN."""
    isnan = [
        helper.make_node("IsNaN", ["x"], ["b"]),
        helper.make_node("Cast", ["b"], ["d"], to=DOUBLE),
        helper.make_node("ReduceSum", ["d", "axis"], ["y"], keepdims=1),
    ]
    counting = graph({"x": (FLOAT, (None, 3))}, isnan, {"y": (DOUBLE, (None, 1))})
    counting.graph.initializer.append(helper.make_tensor("axis", INT64, [1], [1]))
    given = {"name": "x", "pointer": "/x", "type": "number", "shape": [3], "missing": "nan"}
    model = load_model(write(tmp_path, counting, schema=2, inputs=[given]))
    assert [outcome(model, {"x": each}) for each in ([1, None, 3], None, [1, 2, 3])] == [
        ("score", 1),
        ("score", 3),
        ("score", 0),
    ]


@pytest.mark.parametrize(
    ("shape", "offered", "part"),
    [
        ([3], (None, 4), r"has the shape \[3\], but 'x' of model.onnx takes \[4\] a row"),
        ([3], (None, 3, 1), r"takes \[3, 1\] a row"),
        ([2, 2], (None, 4), r"takes \[4\] a row"),
    ],
)
def test_a_shape_that_is_not_the_files(
    tmp_path: Path, shape: list[int], offered: tuple[Any, ...], part: str
) -> None:
    """The manifest's shape is held against the file's when it is loaded."""
    given = [{"name": "x", "pointer": "/x", "type": "number", "shape": shape}]
    with pytest.raises(ManifestError, match=part):
        load_model(write(tmp_path, summing(FLOAT, offered), schema=2, inputs=given))


def test_a_file_that_takes_lists_says_how_to_give_them(tmp_path: Path) -> None:
    """A plain number for an input of three dimensions is refused with the field that describes lists."""
    with pytest.raises(ManifestError, match=r'be a list of numbers \(schema 2, "shape": \[28, 28\]\)'):
        load_model(write(tmp_path, summing(FLOAT, (None, 28, 28))))


@pytest.mark.parametrize(
    ("kind", "described", "payload", "expected"),
    [
        (TensorProto.FLOAT16, "number", 0.5, ("score", 0.5)),
        (TensorProto.FLOAT16, "number", 70_000, ("input out of range", "/x")),
        (TensorProto.UINT8, "integer", 255, ("score", 255.0)),
        (TensorProto.UINT8, "integer", 256, ("input out of range", "/x")),
        (TensorProto.UINT8, "integer", -1, ("input out of range", "/x")),
        (TensorProto.INT16, "integer", -32_768, ("score", -32_768.0)),
        (TensorProto.UINT32, "integer", 2**32 - 1, ("score", float(2**32 - 1))),
        (TensorProto.UINT64, "integer", -5, ("input out of range", "/x")),
        (TensorProto.UINT8, "boolean", True, ("score", 1.0)),
    ],
)
def test_numbers_of_other_widths(
    tmp_path: Path, kind: int, described: str, payload: Any, expected: tuple[str, Any]
) -> None:
    """Half precision and the smaller integers of other exporters are fed, and what they cannot hold is refused."""
    assert outcome(model_with(tmp_path, kind, type=described), {"x": payload}) == expected
