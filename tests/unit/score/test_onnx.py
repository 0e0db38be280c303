"""Scoring: payloads to typed columns to one ONNX call to plain results, each failure its own event's."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper

from everscore.clock.deadline import Deadline
from everscore.event.scores import Scores
from everscore.failures import (
    Configuration,
    Failure,
    ManifestError,
    Overdue,
    Permanent,
    Stage,
    Transient,
    Unexpected,
)
from everscore.score.loading import load_model
from everscore.score.model import Model
from everscore.score.onnx import MAX_ROWS, OnnxModel, bisect
from tests.support.onnx_files import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    STRING,
    an_input,
    echo,
    graph,
    outcome,
    scores,
    write,
)

NUMBERS = [
    ({"x": 2.5}, ("score", 2.5)),
    ({"x": 2}, ("score", 2.0)),
    ({"x": -0.0}, ("score", 0.0)),
    ({}, ("input missing", "/x")),
    ({"x": None}, ("input missing", "/x")),
    ({"x": "2.5"}, ("wrong type of input", "/x")),
    ({"x": True}, ("wrong type of input", "/x")),
    ({"x": [2.5]}, ("wrong type of input", "/x")),
    ({"x": {}}, ("wrong type of input", "/x")),
    ({"x": math.inf}, ("input not finite", "/x")),
    ({"x": -math.inf}, ("input not finite", "/x")),
    ({"x": math.nan}, ("input not finite", "/x")),
    ({"x": 1e39}, ("input out of range", "/x")),
    ({"x": 10**400}, ("input out of range", "/x")),
    ([], ("input missing", "/x")),
    ("text", ("wrong type of input", "/x")),
    (None, ("input missing", "/x")),
]


@pytest.fixture
def number_model(tmp_path: Path) -> Model:
    """A float32 regressor that answers with /x."""
    return load_model(write(tmp_path, echo(FLOAT)))


@pytest.mark.parametrize(("payload", "expected"), NUMBERS)
def test_numbers(number_model: Model, payload: object, expected: tuple[str, object]) -> None:
    """A number is scored; whatever else stands there is refused for its own reason, with the field."""
    assert outcome(number_model, payload) == expected


def test_a_mixed_batch_gives_what_single_events_give(number_model: Model) -> None:
    """In one batch each event has the outcome that it has alone, in order, at any position."""
    mixed = NUMBERS + NUMBERS[::-1]
    results = number_model.score([payload for payload, _ in mixed])
    found = [
        ("score", each.value) if isinstance(each, Scores) else (each.reason, each.field) for each in results
    ]
    assert found == [expected for _, expected in mixed]


@pytest.mark.parametrize(
    ("tensor", "kind", "missing", "case"),
    [
        (FLOAT, "number", {"value": 7}, ({"x": None}, ("score", 7.0))),
        (FLOAT, "number", {"value": 7}, ({}, ("score", 7.0))),
        (FLOAT, "number", {"value": 7}, ({"x": "a"}, ("wrong type of input", "/x"))),
        (DOUBLE, "number", "reject", ({"x": 1e39}, ("score", 1e39))),
        (DOUBLE, "number", "reject", ({"x": 0.1}, ("score", 0.1))),
        (INT64, "integer", "reject", ({"x": 5}, ("score", 5.0))),
        (INT64, "integer", "reject", ({"x": 5.0}, ("score", 5.0))),
        (INT64, "integer", "reject", ({"x": 5.5}, ("wrong type of input", "/x"))),
        (INT64, "integer", "reject", ({"x": True}, ("wrong type of input", "/x"))),
        (INT64, "integer", "reject", ({"x": 2**63}, ("input out of range", "/x"))),
        (INT64, "integer", {"value": -1}, ({}, ("score", -1.0))),
        (INT32, "integer", "reject", ({"x": 2**31 - 1}, ("score", 2.0**31 - 1))),
        (INT32, "integer", "reject", ({"x": 2**31}, ("input out of range", "/x"))),
        (FLOAT, "integer", "reject", ({"x": 5}, ("score", 5.0))),
        (BOOL, "boolean", "reject", ({"x": True}, ("score", 1.0))),
        (FLOAT, "boolean", "reject", ({"x": False}, ("score", 0.0))),
        (BOOL, "boolean", "reject", ({"x": 1}, ("wrong type of input", "/x"))),
        (BOOL, "boolean", {"value": True}, ({}, ("score", 1.0))),
        (STRING, "text", "reject", ({"x": "12"}, ("score", 12.0))),
        (STRING, "text", "reject", ({"x": 12}, ("wrong type of input", "/x"))),
        (STRING, "text", "reject", ({"x": None}, ("input missing", "/x"))),
        (STRING, "text", "reject", ({"x": math.nan}, ("input not finite", "/x"))),
        (STRING, "text", {"value": "3"}, ({"x": None}, ("score", 3.0))),
    ],
)
def test_each_type_is_cast_to_what_the_session_takes(
    tmp_path: Path, tensor: int, kind: str, missing: Any, case: tuple[object, tuple[str, object]]
) -> None:
    """Every pair of manifest type and ONNX type gives the exact value, or names what does not fit."""
    payload, expected = case
    model = load_model(write(tmp_path, echo(tensor), inputs=an_input(kind, missing)))
    assert outcome(model, payload) == expected


@pytest.mark.parametrize("kind", ["number", "integer", "boolean"])
def test_missing_as_nan_reaches_the_model(tmp_path: Path, kind: str) -> None:
    """With missing 'nan' null, absence and NaN reach the model as NaN, and infinity is still refused."""
    is_nan = helper.make_node("IsNaN", ["x"], ["n"])
    cast = helper.make_node("Cast", ["n"], ["y"], to=FLOAT)
    model = load_model(
        write(
            tmp_path,
            graph({"x": (FLOAT, [None, 1])}, [is_nan, cast], {"y": (FLOAT, [None, 1])}),
            inputs=an_input(kind, "nan"),
        )
    )
    good: object = True if kind == "boolean" else 3
    results = model.score([{"x": None}, {}, {"x": math.nan}, {"x": good}, {"x": math.inf}])
    assert [each.value for each in results if isinstance(each, Scores)] == [1.0, 1.0, 1.0, 0.0]
    assert isinstance(results[4], Permanent)
    assert results[4].field == "/x"


def test_flat_and_stacked_inputs(tmp_path: Path) -> None:
    """A tensor of several columns takes them in the manifest's order, beside one of shape [rows]."""
    nodes = [
        helper.make_node("Gather", ["m", "second"], ["y"], axis=1),
        helper.make_node("Constant", [], ["second"], value=helper.make_tensor("v", INT64, [1], [1])),
        helper.make_node("Identity", ["flat"], ["unused"]),
    ]
    model = graph(
        {"m": (FLOAT, [None, 2]), "flat": (FLOAT, [None])},
        [nodes[1], nodes[0], nodes[2]],
        {"y": (FLOAT, [None, 1]), "unused": (FLOAT, [None])},
    )
    inputs = [{"name": name, "pointer": f"/{name}", "type": "number"} for name in ("a", "b", "flat")]
    loaded = load_model(write(tmp_path, model, inputs=inputs, tensors={"m": ["b", "a"]}))
    assert outcome(loaded, {"a": 1, "b": 2, "flat": 3}) == ("score", 1.0)


def test_a_score_that_is_not_finite_is_its_own_events_failure(tmp_path: Path) -> None:
    """log(-1) and log(0) are 'score not finite'; the neighbours are scored."""
    model = load_model(
        write(
            tmp_path,
            graph(
                {"x": (FLOAT, [None, 1])}, [helper.make_node("Log", ["x"], ["y"])], {"y": (FLOAT, [None, 1])}
            ),
        )
    )
    results = model.score([{"x": 1}, {"x": -1}, {"x": 0}, {"x": 1}])
    assert [isinstance(each, Scores) for each in results] == [True, False, False, True]
    assert {each.reason for each in results if isinstance(each, Failure)} == {"score not finite"}


def test_results_hold_plain_types_only(tmp_path: Path) -> None:
    """Scores encode with json and msgspec alike, as the pinned fields of the document."""
    content = echo(FLOAT)
    (result,) = load_model(write(tmp_path, content)).score([{"x": 1.5}])
    assert isinstance(result, Scores)
    assert {type(result.value), type(result.values), type(result.version)} == {float, dict, str}
    encoded = msgspec.json.encode(result)
    sha256 = hashlib.sha256(content.SerializeToString()).hexdigest()
    assert json.loads(encoded) == {
        "version": "1",
        "sha256": sha256,
        "label": None,
        "value": 1.5,
        "values": {},
    }
    assert msgspec.json.decode(encoded, type=Scores) == result


def test_large_batches_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than one call may hold are scored in several calls, in order; none is lost at the seams."""
    model = load_model(write(tmp_path, echo(FLOAT)))
    assert isinstance(model, OnnxModel)
    sizes: list[int] = []
    call = model._call
    monkeypatch.setattr(model, "_call", lambda columns, rows: sizes.append(rows) or call(columns, rows))
    count = 2 * MAX_ROWS + 3
    results = model.score([{"x": index} for index in range(count)])
    assert [each.value for each in results if isinstance(each, Scores)] == list(map(float, range(count)))
    assert sizes == [MAX_ROWS, MAX_ROWS, 3]


def test_an_empty_batch(number_model: Model) -> None:
    """No payloads give no results and call nothing."""
    assert number_model.score([]) == []


def test_threads_may_share_a_model(tmp_path: Path) -> None:
    """Eight threads scoring batches with refused rows at once each get their own right answers."""
    model = load_model(write(tmp_path, echo(STRING), inputs=an_input("text")))

    def work(seed: int) -> bool:
        payloads = [{"x": "bad" if (seed + row) % 7 == 0 else str(row)} for row in range(100)]
        results = model.score(payloads)
        return all(
            (isinstance(result, Permanent) and result.field == "/x")
            if payload["x"] == "bad"
            else isinstance(result, Scores) and result.value == float(payload["x"])
            for payload, result in zip(payloads, results, strict=True)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))


@pytest.mark.parametrize("guilty", [[], [0], [7], [3, 4], [0, 1, 2, 3, 4, 5, 6, 7]])
def test_bisect_finds_exactly_the_guilty(guilty: list[int]) -> None:
    """Halving yields every row once, in order, the guilty ones alone with their exception."""

    def call(rows: np.ndarray[Any, Any]) -> list[int]:
        if set(rows.tolist()) & set(guilty):
            raise ValueError("guilty")
        return list(rows.tolist())

    parts = list(bisect(call, 8))
    assert [row for rows, _ in parts for row in rows.tolist()] == list(range(8))
    assert [rows.tolist() for rows, result in parts if isinstance(result, ValueError)] == [
        [row] for row in guilty
    ]


def test_bisect_calls_once_where_nobody_is_guilty() -> None:
    """A good batch costs one call."""
    calls: list[int] = []
    assert len(list(bisect(lambda rows: calls.append(len(rows)), 1000))) == 1
    assert calls == [1000]


CLASSIFY = {"value": "p", "label": "l", "classes": [0, 1], "labels": ["no", "yes"], "positive": "yes"}


def classifier(width: int | None, label: int = INT64) -> ModelProto:
    """A model with outputs p (as many columns as it is given) and l."""
    nodes = [helper.make_node("Identity", ["x"], ["p"]), helper.make_node("Identity", ["c"], ["l"])]
    return graph(
        {"x": (FLOAT, [None, width]), "c": (label, [None])},
        nodes,
        {"p": (FLOAT, [None, None]), "l": (label, [None])},
    )


def class_inputs(width: int, kind: str = "integer") -> dict[str, Any]:
    """Manifest parts that feed `classifier`."""
    names = [f"x{index}" for index in range(width)]
    inputs = [{"name": name, "pointer": f"/{name}", "type": "number"} for name in names]
    return {"inputs": [*inputs, {"name": "c", "pointer": "/c", "type": kind}], "tensors": {"x": names}}


def test_a_class_that_the_manifest_lacks_is_a_configuration_failure(tmp_path: Path) -> None:
    """A label that the manifest lacks fails its event as configuration, a wrong width every event of the call."""
    model = load_model(write(tmp_path, classifier(2), kind="classifier", outputs=CLASSIFY, **class_inputs(2)))
    good = {"x0": 0.25, "x1": 0.75, "c": 1}
    (scores,) = model.score([good])
    assert isinstance(scores, Scores)
    assert (scores.label, scores.value, scores.values) == ("yes", 0.75, {"no": 0.25, "yes": 0.75})
    first, second = model.score([good, good | {"c": 2}])
    assert first == scores
    assert isinstance(second, Configuration)
    assert "the class 2" in second.detail
    wide = tmp_path / "wide"
    wide.mkdir()
    model = load_model(write(wide, classifier(None), kind="classifier", outputs=CLASSIFY, **class_inputs(3)))
    (result,) = model.score([good | {"x2": 0}])
    assert isinstance(result, Configuration)
    assert result.reason == "model and manifest disagree"


def test_without_a_label_output_the_largest_class_is_the_label(tmp_path: Path) -> None:
    """A multi-class model without label output and positive class gives its most probable class."""
    outputs = {"value": "p", "classes": ["a", "b", "c"]}
    model = load_model(write(tmp_path, classifier(3), kind="multiclass", outputs=outputs, **class_inputs(3)))
    (scores,) = model.score([{"x0": 0.25, "x1": 0.5, "x2": 0.125, "c": 0}])
    assert isinstance(scores, Scores)
    assert (scores.label, scores.value, scores.values) == ("b", 0.5, {"a": 0.25, "b": 0.5, "c": 0.125})


@pytest.mark.parametrize(
    ("model", "manifest", "sentence"),
    [
        (
            echo(FLOAT),
            {"inputs": [{"name": "z", "pointer": "/x", "type": "number"}]},
            "has no input 'z', only 'x'",
        ),
        (
            echo(FLOAT),
            {"inputs": [{"name": "z", "pointer": "/x", "type": "number"}]},
            "nothing feeds the input 'x'",
        ),
        (echo(STRING), {}, "is of type number, but model.onnx takes tensor(string)"),
        (echo(FLOAT), {"inputs": an_input("text")}, "is of type text, but model.onnx takes tensor(float)"),
        (echo(INT64), {}, "is of type number, but model.onnx takes tensor(int64)"),
        (echo(INT64), {"inputs": an_input("integer", "nan")}, "may be NaN, which the tensor(int64)"),
        (echo(TensorProto.BFLOAT16), {}, "is a tensor(bfloat16), which is not supported"),
        (echo(FLOAT, (None, 1, 1)), {}, "it must be [rows, columns]"),
        (echo(FLOAT, (None, 3)), {}, "takes 3 columns, the manifest says 1"),
        (echo(FLOAT), {"outputs": {"value": "z"}}, "has no output 'z', only y"),
        (
            echo(FLOAT),
            {"kind": "multiclass", "outputs": {"value": "y", "classes": [0, 1]}},
            "has 1 columns, and",
        ),
        (
            classifier(2, STRING),
            {"kind": "classifier", "outputs": CLASSIFY, **class_inputs(2, "text")},
            "outputs.classes are [0, 1], but 'l' of model.onnx is a tensor(string)",
        ),
        (
            classifier(2, FLOAT),
            {"kind": "classifier", "outputs": CLASSIFY, **class_inputs(2, "number")},
            "is a tensor(float), which is no label",
        ),
        (echo(FLOAT), {"sha256": "0" * 64}, "deploy both files of one export"),
    ],
)
def test_a_manifest_that_disagrees_with_the_file_is_refused_at_load(
    tmp_path: Path, model: ModelProto, manifest: dict[str, Any], sentence: str
) -> None:
    """Names, types, widths and the hash are compared when the model is loaded, not when an event comes."""
    with pytest.raises(ManifestError) as caught:
        load_model(write(tmp_path, model, **manifest))
    assert any(sentence in line for line in str(caught.value).splitlines())


def failed_load(folder: Path) -> Transient:
    """The failure with which a folder cannot be loaded."""
    with pytest.raises(Transient) as caught:
        load_model(folder)
    assert caught.value.stage is Stage.SCORE
    return caught.value


def test_what_is_missing_or_unreadable_is_transient(tmp_path: Path) -> None:
    """No folder, no model.onnx, a folder in its place and a broken file: events can wait, the remedy is named."""
    assert failed_load(tmp_path / "none").reason == "model missing"
    folder = write(tmp_path, echo(FLOAT))
    (folder / "model.onnx").unlink()
    assert "python -m everscore_models train" in failed_load(folder).detail
    (folder / "model.onnx").mkdir()
    assert failed_load(folder).reason == "model unreadable"
    (folder / "model.onnx").rmdir()
    broken = b"not an ONNX file"
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "model.onnx").write_bytes(broken)
    (folder / "manifest.json").write_text(
        json.dumps(manifest | {"sha256": hashlib.sha256(broken).hexdigest()})
    )
    failure = failed_load(folder)
    assert failure.reason == "model unreadable"
    assert onnxruntime.__version__ in failure.detail
    assert "\n" not in failure.detail


FEATURES = """
import numpy as np

def features(columns):
    x = columns["x"]
    if (x == 13).any():
        raise ValueError("unlucky")
    return {"x": np.sqrt(x) if not (x == 99).any() else x[:-1], "extra": x}
"""


def with_features(
    folder: Path, source: str, tensor: int = FLOAT, model: ModelProto | None = None, **manifest: Any
) -> Path:
    """A model whose features.py makes the column x."""
    (folder / "features.py").write_text(source)
    digest = hashlib.sha256((folder / "features.py").read_bytes()).hexdigest()
    return write(folder, model or echo(tensor), features={"sha256": digest, "columns": ["x"]}, **manifest)


def test_hole_15_own_code_that_is_slow_to_raise_is_not_called_for_each_half(tmp_path: Path) -> None:
    """Once its time is over no half is called any more: its rows go on alone, where they are called again."""
    source = (
        "calls = []\n\n\ndef features(columns):\n"
        "    calls.append(len(columns['x']))\n    raise ValueError(calls)\n"
    )
    model = load_model(with_features(tmp_path, source))
    code = model._code._loaded().__globals__["calls"]  # type: ignore[attr-defined]
    results = model.score([{"x": 1}] * 64, Deadline.after(0.0))
    assert [type(each) for each in results] == [Overdue] * 64
    assert code == [64]
    (alone,) = model.score([{"x": 1}], Deadline.after(0.0))
    assert type(alone) is Unexpected
    assert code == [64, 1]
    model.score([{"x": 1}] * 64, Deadline.after(60.0))
    assert len(code) == 2 + 127


@pytest.mark.parametrize("rows", [1, 64])
def test_hole_15_a_model_that_is_slow_to_refuse_is_not_called_for_each_half(
    number_model: OnnxModel, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Neither are its rows looked at for whose fault it is; one that came alone is."""
    calls: list[int] = []

    def refuse(names: object, feed: dict[str, np.ndarray[Any, Any]]) -> None:
        (column,) = feed.values()
        calls.append(len(column))
        raise RuntimeError("refused")

    monkeypatch.setattr(number_model, "_session", SimpleNamespace(run=refuse))
    results = number_model.score([{"x": 1}] * rows, Deadline.after(0.0))
    assert [type(each) for each in results] == [Overdue if rows > 1 else Unexpected] * rows
    assert calls == [rows]


def test_own_code_runs_once_a_batch_and_its_raise_hits_the_guilty_row_alone(tmp_path: Path) -> None:
    """features.py computes the columns; the row that makes it raise, or break its contract, is unexpected."""
    model = load_model(with_features(tmp_path, FEATURES))
    results = model.score([{"x": value} for value in (4, 13, 9, "text", 99, 16)])
    assert [each.value if isinstance(each, Scores) else type(each) for each in results] == [
        2.0,
        Unexpected,
        3.0,
        Permanent,
        Unexpected,
        4.0,
    ]
    assert "ValueError" in results[1].detail  # type: ignore[union-attr]
    assert "unlucky" not in str(results[1])


def test_infinite_and_too_large_features_are_permanent(tmp_path: Path) -> None:
    """What features.py computes is checked like an input, and named by its column."""
    source = "def features(columns):\n    return {'x': 1 / (columns['x'] - 1)}\n"
    model = load_model(with_features(tmp_path, source))
    with np.errstate(divide="ignore"):
        assert outcome(model, {"x": 1}) == ("input not finite", "x")
    assert outcome(model, {"x": 3}) == ("score", 0.5)


@pytest.mark.parametrize(
    ("tensor", "made", "expected"),
    [
        (INT64, "np.uint64(2**63 - 1)", ("score", 2.0**63)),
        (INT64, "np.uint64(2**63)", ("input out of range", "x")),
        (INT64, "np.uint64(2**64 - 1)", ("input out of range", "x")),
        (INT64, "2.0**63", ("input out of range", "x")),
        (INT64, "-(2.0**63)", ("score", -(2.0**63))),
        (INT32, "np.uint64(2**64 - 1)", ("input out of range", "x")),
        (INT32, "2**31", ("input out of range", "x")),
        (INT64, "0.5", ("input out of range", "x")),
        (INT64, "np.nan", ("input not finite", "x")),
        (INT32, "-np.inf", ("input not finite", "x")),
        (BOOL, "np.nan", ("input not finite", "x")),
        (BOOL, "2", ("input out of range", "x")),
        (FLOAT, "np.uint64(2**64 - 1)", ("score", 2.0**64)),
    ],
)
def test_hole_07_what_own_code_makes_reaches_the_model_or_is_refused(
    tmp_path: Path, tensor: int, made: str, expected: tuple[str, object]
) -> None:
    """A number that the model's type cannot hold never becomes another one: it is refused for its reason."""
    source = f"import numpy as np\n\ndef features(columns):\n    return {{'x': np.full(1, {made})}}\n"
    model = load_model(with_features(tmp_path, source, tensor=tensor))
    assert outcome(model, {"x": 1}) == expected


def test_hole_07_every_digit_of_an_unsigned_number_reaches_the_model(tmp_path: Path) -> None:
    """Own code's unsigned numbers are not taken over floats, which would round them."""
    mod = helper.make_node("Mod", ["x", "thousand"], ["y"])
    model_of_digits = graph({"x": (INT64, (None, 1))}, [mod], {"y": (INT64, (None, 1))})
    model_of_digits.graph.initializer.append(helper.make_tensor("thousand", INT64, [1], [1_000]))
    source = (
        "import numpy as np\n\ndef features(columns):\n    return {'x': np.full(1, np.uint64(2**53 + 1))}\n"
    )
    model = load_model(with_features(tmp_path, source, model=model_of_digits))
    assert outcome(model, {"x": 1}) == ("score", 993.0)


def test_the_hash_of_a_model_with_own_code_covers_the_code(tmp_path: Path) -> None:
    """Other code is another model: its scores carry another hash, and a changed file is refused at load."""
    first = load_model(with_features(tmp_path, FEATURES)).sha256
    folder = with_features(tmp_path, FEATURES + "# changed\n")
    assert load_model(folder).sha256 != first
    (folder / "features.py").write_text(FEATURES)
    with pytest.raises(ManifestError, match=r"features\.py has the SHA-256"):
        load_model(folder)


@pytest.mark.parametrize("source", ["import nothing_of_that_name\n", "x = 1\n"])
def test_own_code_that_cannot_be_loaded_is_a_configuration_failure(tmp_path: Path, source: str) -> None:
    """A features.py that fails to import, or lacks the function, fails every event, loudly, to be retried."""
    model = load_model(with_features(tmp_path, source))
    results = model.score([{"x": 1}, {"x": 2}])
    assert [type(each) for each in results] == [Configuration, Configuration]


def test_own_code_that_cannot_be_loaded_is_tried_once_a_batch(tmp_path: Path) -> None:
    """What keeps own code from loading is no event's fault: it is not looked for among them."""
    tries = tmp_path / "tries"
    source = f"with open({str(tries)!r}, 'a') as file:\n    file.write('.')\nimport nowhere_at_all\n"
    results = load_model(with_features(tmp_path, source)).score([{"x": 1}] * 64)
    assert {type(each) for each in results} == {Configuration}
    assert tries.read_text() == "."


def test_own_code_is_imported_on_first_use(tmp_path: Path) -> None:
    """Loading a model does not run its features.py; scoring does, once."""
    ran = tmp_path / "ran"
    source = f"""
import pathlib
pathlib.Path({str(ran)!r}).write_text(pathlib.Path(__file__).name)

def features(columns):
    return columns
"""
    model = load_model(with_features(tmp_path, source))
    assert not ran.exists()
    model.score([{"x": 1}])
    assert ran.read_text() == "features.py"


def in_fresh_interpreter(code: str) -> str:
    """What code prints in an interpreter of its own, in the project's folder."""
    root = Path(__file__).resolve().parents[3]
    return subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_importing_scoring_loads_neither_numpy_nor_onnxruntime() -> None:
    """The import that every cold start pays for brings no numpy, no onnxruntime; a missing model neither."""
    code = """
import sys
from pathlib import Path
import everscore.score.loading
print(sorted({"numpy", "onnxruntime"} & set(sys.modules)))
"""
    assert in_fresh_interpreter(code) == "[]"


@pytest.fixture
def every_kind(tmp_path: Path) -> Callable[[int], Model]:
    """Loads the number model with a number of threads."""
    write(tmp_path, echo(FLOAT))
    return lambda threads: load_model(tmp_path, threads=threads)


def test_the_facts_of_a_model(every_kind: Callable[[int], Model]) -> None:
    """Name, version, hash, threads and manifest are there for health checks and telemetry."""
    model = every_kind(3)
    assert (model.name, model.version, model.threads) == ("test", "1", 3)
    assert model.sha256 == model.manifest.sha256


def squeezed() -> ModelProto:
    """Answers with its input without the dimension of size 1: of one row alone, both dimensions."""
    nodes = [helper.make_node("Squeeze", ["x"], ["s"]), helper.make_node("Cast", ["s"], ["y"], to=DOUBLE)]
    return graph({"x": (FLOAT, (None, 1))}, nodes, {"y": (DOUBLE, None)})


def test_hole_21_an_output_without_dimensions_is_read_for_one_event_too(tmp_path: Path) -> None:
    """An output that has no dimension for a single row is a score like that of two rows."""
    model = load_model(write(tmp_path, squeezed()))
    assert [each.value for each in scores(model, [{"x": 1}, {"x": 2}])] == [1.0, 2.0]
    assert [each.value for each in scores(model, [{"x": 3}])] == [3.0]


def test_hole_21_an_output_for_all_rows_together_is_no_rows_fault(tmp_path: Path) -> None:
    """An output without a row for each event is 'model and manifest disagree', and the events wait."""
    mean = helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)
    model = load_model(write(tmp_path, graph({"x": (FLOAT, (None, 1))}, [mean], {"y": (FLOAT, ())})))
    for result in model.score([{"x": 1}, {"x": 2}]):
        assert isinstance(result, Configuration)
        assert result.reason == "model and manifest disagree"


def test_hole_21_a_row_is_guilty_only_beside_one_that_passes(tmp_path: Path) -> None:
    """Before any event has passed a refused one may be the model's fault; after one has, it is the event's."""
    model = load_model(write(tmp_path, echo(STRING), inputs=an_input("text")))
    (first,) = model.score([{"x": "no number"}])
    assert isinstance(first, Unexpected)
    assert [each.value for each in scores(model, [{"x": "12"}])] == [12.0]
    (then,) = model.score([{"x": "no number"}])
    assert isinstance(then, Permanent)
    assert (then.reason, then.field) == ("model refuses the row", "/x")


class Failing:
    """A session that raises whatever it is given, as one does whose machine is out of memory."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, *_: object) -> list[object]:
        raise self._error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"), "out of memory"),
        (MemoryError(), "out of memory"),
        (RuntimeError("whatever"), "model fails"),
    ],
)
def test_hole_21_a_run_that_fails_for_all_is_no_rows_fault(
    number_model: Model, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    """Where the row that passed a moment ago fails as well, or memory is lacking, events wait."""
    scores(number_model, [{"x": 1}])
    monkeypatch.setattr(number_model, "_session", Failing(error))
    for result in number_model.score([{"x": 1}, {"x": 2}]):
        assert isinstance(result, Transient)
        assert result.reason == reason


def with_golden(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A model that answers with its input, and its golden.jsonl."""
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    golden = {"rows": len(rows), "sha256": hashlib.sha256(lines).hexdigest()}
    write(folder, echo(FLOAT), golden=golden, parity={"rows": 2, "tolerance": 1e-3, "largestDifference": 0.0})
    (folder / "golden.jsonl").write_bytes(lines)
    return folder


def golden(x: float, value: float) -> dict[str, Any]:
    """A golden row of a regressor."""
    return {"event": {"x": x}, "label": None, "value": value, "values": {}}


def test_hole_27_golden_rows_within_the_tolerance_let_a_model_load(tmp_path: Path) -> None:
    """A difference below the manifest's tolerance is none."""
    model = load_model(with_golden(tmp_path, [golden(2.0, 2.0005), golden(-1.0, -1.0)]))
    assert [each.value for each in scores(model, [{"x": 7}])] == [7.0]


@pytest.mark.parametrize(
    "wrong",
    [golden(2.0, 2.1), golden(2.0, 2.0) | {"label": "late"}, {"event": {}, "value": 1.0, "label": None}],
)
def test_hole_27_a_model_whose_golden_rows_differ_scores_nothing(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    """Another score, another label or a refused row: the model does not load, so that events wait for it."""
    with pytest.raises(Configuration, match="1 of 2 golden rows") as raised:
        load_model(with_golden(tmp_path, [golden(1.0, 1.0), wrong]))
    assert raised.value.reason == "golden rows differ"
    assert "line 2 of golden.jsonl" in raised.value.detail
    assert onnxruntime.__version__ in raised.value.detail


def test_hole_27_golden_rows_belong_to_their_manifest(tmp_path: Path) -> None:
    """Without the file that the manifest names, or with another, the model does not load."""
    folder = with_golden(tmp_path, [golden(1.0, 1.0)])
    (folder / "golden.jsonl").write_text("")
    with pytest.raises(ManifestError, match=r"golden\.jsonl has the SHA-256"):
        load_model(folder)
    (folder / "golden.jsonl").unlink()
    with pytest.raises(ManifestError, match="deploy all files of one export"):
        load_model(folder)


def test_hole_45_each_refused_event_keeps_its_reason_beside_own_features(tmp_path: Path) -> None:
    """A batch without one valid input is refused event by event, though features.py has nothing to compute."""
    code = "def features(columns):\n    return {'x': columns['a']}\n"
    (tmp_path / "features.py").write_text(code)
    features = {"file": "features.py", "sha256": hashlib.sha256(code.encode()).hexdigest(), "columns": ["x"]}
    inputs = [{"name": "a", "pointer": "/a", "type": "number"}]
    model = load_model(write(tmp_path, echo(FLOAT), inputs=inputs, features=features))
    refused = model.score([{"a": None}, {"a": "text"}])
    assert [each.reason for each in refused if isinstance(each, Permanent)] == [
        "input missing",
        "wrong type of input",
    ]


def test_features_that_end_the_program_do_so_for_the_guilty_event_alone(tmp_path: Path) -> None:
    """sys.exit() in features.py would end the worker with all its events: it is what nobody foresaw of one row."""
    code = (
        "import sys\n\n\ndef features(columns):\n"
        "    if (columns['a'] == 2).any():\n        sys.exit(3)\n    return {'x': columns['a']}\n"
    )
    (tmp_path / "features.py").write_text(code)
    features = {"file": "features.py", "sha256": hashlib.sha256(code.encode()).hexdigest(), "columns": ["x"]}
    inputs = [{"name": "a", "pointer": "/a", "type": "number"}]
    model = load_model(write(tmp_path, echo(FLOAT), inputs=inputs, features=features))
    first, second = model.score([{"a": 1}, {"a": 2}])
    assert isinstance(first, Scores)
    assert isinstance(second, Unexpected)
