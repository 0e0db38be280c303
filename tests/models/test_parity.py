"""The parity gate on tiny graphs, against answers of any library: what it finds, and what it lets pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import ModelProto, helper

from everscore.score.input_form import Input, InputType
from everscore.score.loading import load_model
from everscore_models import ExportError
from everscore_models.candidate import Answer
from everscore_models.gate import compare
from everscore_models.parity import golden_rows, measure
from everscore_models.probes import UNSEEN, Probe, Trait, probes
from tests.support.onnx_files import DOUBLE, FLOAT, an_input, echo, graph, write

NUMBER = Input(name="x", pointer="/x", type=InputType.NUMBER)
ROWS = [{"x": each} for each in (0.25, 0.5, 1.5, 2.25, 3.0)]


def echoed(frame: pd.DataFrame) -> list[Answer]:
    """What `echo` says."""
    return [Answer((each,), None) for each in frame["x"].tolist()]


def softmaxed(folder: Path, **changes: Any) -> Path:
    """A model of three classes from their logits x, y and z, a, b and c."""
    nodes = [helper.make_node("Softmax", ["m"], ["p"], axis=1)]
    model = graph({"m": (FLOAT, (None, 3))}, nodes, {"p": (FLOAT, (None, 3))})
    return write(
        folder,
        model,
        **{
            "kind": "multiclass",
            "inputs": [{"name": each, "pointer": f"/{each}", "type": "number"} for each in "xyz"],
            "tensors": {"m": ["x", "y", "z"]},
            "outputs": {"value": "p", "classes": ["a", "b", "c"]},
        }
        | changes,
    )


LOGITS = [Input(name=each, pointer=f"/{each}", type=InputType.NUMBER) for each in "xyz"]


def classified(frame: pd.DataFrame, labels: Sequence[str] | None = None) -> list[Answer]:
    """The softmax of each row, with its best label or a given one."""
    powers = np.exp(frame[list("xyz")].to_numpy(np.float64))
    values = powers / powers.sum(axis=1, keepdims=True)
    best = labels or [list("abc")[each] for each in values.argmax(axis=1)]
    return [Answer(tuple(row), label) for row, label in zip(values.tolist(), best, strict=True)]


def asked(rows: Sequence[dict[str, Any]]) -> list[Probe]:
    """Real rows."""
    return [Probe(f"row {number}", row) for number, row in enumerate(rows)]


def test_equal_answers_pass_on_real_and_made_up_rows(tmp_path: Path) -> None:
    """Any library's answers will do; counted are the rows that both scored."""
    model = load_model(write(tmp_path, echo(FLOAT)))
    rows = probes(ROWS, [NUMBER])
    found = compare(rows, [NUMBER], echoed, model, 1e-5, library="Other")
    assert found.rows == len(found.probes) > 2 * len(ROWS)
    assert found.largest < 1e-6
    assert {each.trait for each in found.probes} == {Trait.REAL, Trait.ZERO, Trait.EXTREME}


def test_a_difference_names_the_library_the_row_and_both_answers(tmp_path: Path) -> None:
    """Rows that differ are all handed on, with what is odd about each; the refusal shows the first."""
    model = load_model(write(tmp_path, echo(FLOAT)))

    def zero_as_missing(frame: pd.DataFrame) -> list[Answer]:
        return [Answer((each or 7.0,), None) for each in frame["x"].tolist()]

    rows = probes(ROWS, [NUMBER])
    found = measure(rows, [NUMBER], zero_as_missing, model, 1e-5)
    assert {each.probe.trait for each in found.differences} == {Trait.ZERO}
    assert {each.probe.column for each in found.differences} == {"x"}
    with pytest.raises(ExportError, match=r"ONNX and \{Odd\} disagree on .*\{Odd\} says 7, ONNX 0\)"):
        compare(rows, [NUMBER], zero_as_missing, model, 1e-5, library="{Odd}")


def test_another_label_is_a_tie_only_where_its_own_class_ties(tmp_path: Path) -> None:
    """Of two best classes either label will do; the third's will not, nor a label where one class is best."""
    model = load_model(softmaxed(tmp_path))
    clear = [{"x": float(each), "y": 0.0, "z": 1.0} for each in range(2, 42)]
    tied = {"x": 1.0, "y": 1.0, "z": 0.0}

    def labelled(label: str) -> Any:
        return lambda frame: [
            Answer(each.values, label if row["y"] == 1.0 else each.label)
            for each, row in zip(classified(frame), frame.to_dict("records"), strict=True)
        ]

    found = compare(asked([*clear, tied]), LOGITS, labelled("b"), model, 1e-5)
    assert (found.ties, found.rows) == (1, 41)
    with pytest.raises(ExportError, match="says 'c', ONNX 'a'"):
        compare(asked([*clear, tied]), LOGITS, labelled("c"), model, 1e-5)
    wrong = ["b"] + ["a"] * 39
    with pytest.raises(ExportError, match="says 'b', ONNX 'a'") as caught:
        compare(asked(clear), LOGITS, lambda frame: classified(frame, wrong[: len(frame)]), model, 1e-5)
    assert "disagree on 1 of 40 rows" in str(caught.value)


def test_many_ties_are_refused(tmp_path: Path) -> None:
    """Where labels differ on more than a twentieth of the rows the sentence says that classes tie."""
    model = load_model(softmaxed(tmp_path))
    tied = [{"x": 1.0, "y": 1.0, "z": float(-each)} for each in range(20)]
    with pytest.raises(ExportError, match="on 20 of 20 rows other labels, since two classes are equally"):
        compare(asked(tied), LOGITS, lambda frame: classified(frame, ["b"] * len(frame)), model, 1e-5)


def centred() -> ModelProto:
    """A model whose answer for a row depends on the rows beside it: x minus the mean of the batch."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["d"]),
        helper.make_node("Cast", ["d"], ["y"], to=DOUBLE),
    ]
    return graph({"x": (FLOAT, (None, 1))}, nodes, {"y": (DOUBLE, (None, 1))})


def test_a_row_that_scores_otherwise_alone_is_found(tmp_path: Path) -> None:
    """A graph that looks at the whole batch agrees with such a library in one call, and not row by row."""
    model = load_model(write(tmp_path, centred()))

    def minus_mean(frame: pd.DataFrame) -> list[Answer]:
        values = frame["x"] - frame["x"].mean()
        return [Answer((each,), None) for each in values.tolist()]

    with pytest.raises(ExportError, match=r"ONNX says 0 of the row alone, and -1\.25 among others"):
        compare(asked(ROWS), [NUMBER], minus_mean, model, 1e-5)


def test_what_only_one_of_both_refuses_is_a_difference(tmp_path: Path) -> None:
    """A library that raises for a row, or answers with another count of numbers; what neither scores is none."""
    model = load_model(write(tmp_path, echo(FLOAT)))

    def picky(frame: pd.DataFrame) -> list[Answer]:
        if (frame["x"] > 2).any():
            raise LookupError
        return echoed(frame)

    with pytest.raises(ExportError, match=r"disagree on 2 of 5 rows .*raises LookupError, ONNX says 2\.25"):
        compare(asked(ROWS), [NUMBER], picky, model, 1e-5)
    with pytest.raises(ExportError, match="gives 2 numbers, ONNX 1"):
        compare(asked(ROWS), [NUMBER], lambda frame: [Answer((1.0, 2.0), None)] * len(frame), model, 1e-5)
    folder = tmp_path / "nan"
    folder.mkdir()
    model = load_model(write(folder, echo(FLOAT), inputs=an_input("number", "nan")))
    optional = Input(name="x", pointer="/x", type=InputType.NUMBER, missing="nan")
    assert compare(probes(ROWS, [optional]), [optional], echoed, model, 1e-5).rows > len(ROWS)


def test_golden_rows_leave_out_what_ties(tmp_path: Path) -> None:
    """They hold the library's own answers by label, lowest value first, and no row whose best classes tie."""
    model = load_model(softmaxed(tmp_path))
    rows = [{"x": 1.0, "y": 1.0, "z": 0.0}, {"x": 3.0, "y": 0.0, "z": 0.0}, {"x": 0.0, "y": 2.0, "z": 0.0}]
    found = golden_rows(rows, LOGITS, classified, model, 1e-5)
    assert [(row.event, row.label) for row in found] == [(rows[2], "b"), (rows[1], "a")]
    assert all(list(row.values) == ["a", "b", "c"] and row.value == max(row.values.values()) for row in found)


def changed(inputs: list[Input], rows: list[dict[str, Any]], trait: Trait, column: str) -> list[Any]:
    """The values of a column in the made-up rows of one kind."""
    found = [
        each.payload[column] for each in probes(rows, inputs) if (each.trait, each.column) == (trait, column)
    ]
    return [each for place, each in enumerate(found) if each not in found[:place]]


def test_rows_are_made_for_each_kind_of_input() -> None:
    """Zeros, extremes, fractions of whole numbers, unseen texts and categories, both booleans, lists, and nulls."""
    inputs = [
        Input(name="free", pointer="/free", type=InputType.NUMBER, missing="nan"),
        Input(name="whole", pointer="/whole", type=InputType.NUMBER),
        Input(name="count", pointer="/count", type=InputType.INTEGER),
        Input(name="site", pointer="/site", type=InputType.TEXT),
        Input(name="on", pointer="/on", type=InputType.BOOLEAN),
        Input(name="kind", pointer="/kind", type=InputType.TEXT, categories=("a", "b"), unseen="nan"),
        Input(name="code", pointer="/code", type=InputType.INTEGER, categories=(3, 7), unseen="nan"),
        Input(name="pixels", pointer="/pixels", type=InputType.NUMBER, shape=(2, 2)),
    ]
    row = {"free": 0.5, "whole": 4, "count": 2, "site": "N", "on": True, "kind": "a", "code": 3}
    rows: list[dict[str, Any]] = [
        {**row, "whole": 4 + each, "pixels": [[0.1, 0.2], [0.3, 0.4]]} for each in range(3)
    ]
    assert changed(inputs, rows, Trait.ZERO, "whole") == [0.0]
    assert changed(inputs, rows, Trait.ZERO, "count") == [0]
    assert changed(inputs, rows, Trait.FRACTION, "whole") == [5.5, 6.5, 4.5]
    assert changed(inputs, rows, Trait.FRACTION, "free") == []
    assert changed(inputs, rows, Trait.EXTREME, "whole") == [4.0, 6.0, -16.0, 26.0, -1.0]
    assert changed(inputs, rows, Trait.UNSEEN, "site") == [UNSEEN, ""]
    assert changed(inputs, rows, Trait.UNSEEN, "kind") == [UNSEEN, ""]
    assert changed(inputs, rows, Trait.UNSEEN, "code") == [8, 2]
    assert changed(inputs, rows, Trait.BOOLEAN, "on") == [True, False]
    assert changed(inputs, rows, Trait.ZERO, "pixels") == [[[0.0, 0.0], [0.0, 0.0]]]
    assert changed(inputs, rows, Trait.NULL, "free") == [None]
    with pytest.raises(ExportError, match="no held-out payloads"):
        probes([], inputs)
