"""R18: one unknown category makes the whole batch's run() fail.

Condition: OneHotEncoder without handle_unknown='ignore', one bad row of three. Also: None, NaN or 5 in a
column of texts is silently turned to text and scored as unknown.
Right: where the batch fails, only the bad row is a dead letter, with the field that holds the value (the value
itself stands in the dead letter's bytes); what is no text in a text column is refused, or declared in the manifest.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from everscore.event.scores import Scores
from everscore.failures import Permanent, Unexpected
from everscore.score.loading import load_model
from everscore.score.model import Model
from everscore_models import Default, Input, InputType, Trained, read_frame
from everscore_models.export import export

SEEN: list[dict[str, Any]] = [
    {"kind": {"colour": colour}, "shape": shape, "size": size}
    for size, (colour, shape) in enumerate([("red", "round"), ("blue", "square"), ("red", "square")] * 4)
]


def model(folder: Path, *, unknown: str = "error", missing: Any = "reject") -> Model:
    """A classifier of colours, shapes and sizes."""
    folder.mkdir()
    inputs = [
        Input(name="colour", pointer="/kind/colour", type=InputType.TEXT, missing=missing),
        Input(name="shape", pointer="/shape", type=InputType.TEXT),
        Input(name="size", pointer="/size", type=InputType.NUMBER),
    ]
    columns = ColumnTransformer(
        [
            ("texts", OneHotEncoder(handle_unknown=unknown), ["colour", "shape"]),
            ("size", StandardScaler(), ["size"]),
        ]
    )
    labels = ["yes" if each["kind"]["colour"] == "red" else "no" for each in SEEN]
    fitted = make_pipeline(columns, LogisticRegression()).fit(read_frame(SEEN, inputs), labels)
    export(
        Trained(
            version="1",
            pipeline=fitted,
            inputs=inputs,
            held_out=SEEN,
            data="things",
            rows=len(SEEN),
            positive="yes",
        ),
        folder,
    )
    return load_model(folder)


def thing(colour: object = "red", shape: object = "round") -> dict[str, Any]:
    """One event."""
    return {"kind": {"colour": colour}, "shape": shape, "size": 3}


def test_one_bad_row_of_three(tmp_path: Path) -> None:
    """The row with an unknown category fails with its field; its neighbours have the scores that they have alone."""
    loaded = model(tmp_path / "m")
    alone = loaded.score([thing()])
    first, bad, last = loaded.score([thing(), thing(colour="green"), thing()])
    assert [first] == [last] == alone
    assert isinstance(bad, Permanent)
    assert (bad.reason, bad.field) == ("model refuses the row", "/kind/colour")


def test_the_field_is_the_one_that_holds_the_unknown_value(tmp_path: Path) -> None:
    """Of two text columns the guilty one is named, also where the event comes alone after a good batch."""
    loaded = model(tmp_path / "m")
    loaded.score([thing()])
    assert [each.field for each in loaded.score([thing(shape="oval")]) if isinstance(each, Permanent)] == [
        "/shape"
    ]


def test_the_very_first_event_is_compared_with_the_golden_rows(tmp_path: Path) -> None:
    """The first event of a process is refused with its field, since the model's golden rows have passed."""
    (bad,) = model(tmp_path / "m").score([thing(shape="oval")])
    assert isinstance(bad, Permanent)
    assert bad.field == "/shape"


def test_without_anything_to_compare_with_nothing_is_guessed(tmp_path: Path) -> None:
    """Where a model has no golden rows, its first event, if refused, may be good: it is tried again."""
    model(tmp_path / "m")
    path = tmp_path / "m" / "manifest.json"
    path.write_text(
        json.dumps({name: each for name, each in json.loads(path.read_text()).items() if name != "golden"})
    )
    (bad,) = load_model(tmp_path / "m").score([thing(shape="oval")])
    assert isinstance(bad, Unexpected)
    assert bad.field is None


def test_many_bad_rows_anywhere(tmp_path: Path) -> None:
    """Of 100 events every seventh is unknown: exactly these fail."""
    results = model(tmp_path / "m").score(
        [thing(colour="green" if row % 7 == 3 else "red") for row in range(100)]
    )
    assert [row for row, each in enumerate(results) if isinstance(each, Permanent)] == list(range(3, 100, 7))
    assert all(each.field == "/kind/colour" for each in results if isinstance(each, Permanent))


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "input missing"), (math.nan, "input not finite"), (5, "wrong type of input")],
)
def test_what_is_no_text_is_never_scored_as_unknown(tmp_path: Path, value: object, reason: str) -> None:
    """None, NaN and 5 in a text column are refused, though the model itself would take them as unknown."""
    loaded = model(tmp_path / "m", unknown="ignore")
    unknown, bad = loaded.score([thing(colour="green"), thing(colour=value)])
    assert isinstance(unknown, Scores)
    assert isinstance(bad, Permanent)
    assert (bad.reason, bad.field) == (reason, "/kind/colour")


def test_or_declared(tmp_path: Path) -> None:
    """Where the manifest gives a value for a missing colour, null is scored with it; a number still is refused."""
    loaded = model(tmp_path / "m", unknown="ignore", missing=Default(value="red"))
    red, null, number = loaded.score([thing(), thing(colour=None), thing(colour=5)])
    assert red == null
    assert isinstance(number, Permanent)
