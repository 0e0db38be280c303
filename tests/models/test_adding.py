"""`everscore model add`: from a model's file and a table of events to a whole folder, or one sentence."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from everscore.event.scores import Scores
from everscore.failures import Failure
from everscore.score.loading import load_named
from everscore.score.output_form import Kind
from everscore_cli.main import main
from everscore_models import ExportError
from everscore_models.adding import Wishes, add
from everscore_models.candidate import Answer, Candidate, Choices, Column
from everscore_models.sources import choosing
from everscore_models.streaming import StreamChoices
from tests.support.onnx_files import FLOAT, graph

TRUST = Choices(trust=True)
WHOLE = {"model.onnx", "manifest.json", "sample.jsonl", "expected.jsonl", "golden.jsonl", "metrics.json"}
_rng = np.random.default_rng(7)
FRAME = pd.DataFrame({"temp": _rng.normal(60, 9, 200).round(3), "site": _rng.choice(list("NSE"), 200)})
STATE = np.where(FRAME["temp"] + _rng.normal(0, 5, 200) > 60, "hot", "cold")
DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fitted pipeline, events of it as a table, and its predictions."""
    folder = tmp_path_factory.mktemp("made")
    encode = ColumnTransformer(
        [("number", StandardScaler(), ["temp"]), ("text", OneHotEncoder(handle_unknown="ignore"), ["site"])]
    )
    fitted = make_pipeline(encode, LogisticRegression()).fit(FRAME, STATE)
    joblib.dump(fitted, folder / "heat.joblib")
    FRAME.assign(id=[f"{row:05}" for row in range(200)]).to_csv(folder / "events.csv", index=False)
    numbers = pd.DataFrame(fitted.predict_proba(FRAME), columns=fitted.classes_)
    numbers.assign(label=fitted.predict(FRAME)).to_csv(folder / "predictions.csv", index=False)
    wishes = Wishes(
        path=folder / "heat.joblib", events=folder / "events.csv", models=folder / "models", choices=TRUST
    )
    add(wishes)
    shutil.copy(folder / "models" / "heat" / "model.onnx", folder / "heat.onnx")
    return folder


def wanted(made: Path, models: Path, **options: Any) -> Wishes:
    """Wishes for the ONNX file, into another folder of models."""
    return Wishes(**{"path": made / "heat.onnx", "events": made / "events.csv", "models": models} | options)


def test_a_joblib_file_becomes_a_whole_folder_with_the_librarys_scores(made: Path) -> None:
    """All files are there, and production's scores are those of the pickled pipeline."""
    folder = made / "models" / "heat"
    assert {each.name for each in folder.iterdir()} == WHOLE
    model = load_named(folder)
    fitted = joblib.load(made / "heat.joblib")
    chances = fitted.predict_proba(FRAME)[:, 1]
    for payload, chance, got in zip(
        FRAME.to_dict("records"), chances, model.score(FRAME.to_dict("records")), strict=True
    ):
        assert isinstance(got, Scores), payload
        assert got.value == pytest.approx(chance, abs=1e-5)
    assert model.manifest.parity is not None
    assert model.manifest.parity.compared == "library"
    assert model.manifest.parity.rows > 200
    cost = json.loads((folder / "metrics.json").read_text())["cost"]
    assert cost["microsecondsPerEvent"]["1"] > 0
    assert cost["modelBytes"] == (folder / "model.onnx").stat().st_size
    assert cost["sessionBytes"] > 0


def test_an_onnx_file_is_compared_with_a_file_of_predictions(made: Path, tmp_path: Path) -> None:
    """The manifest says that predictions were compared, and how many."""
    added = add(wanted(made, tmp_path, expected=made / "predictions.csv", name="warm"))
    assert added.manifest.parity is not None
    assert added.manifest.parity.compared == "predictions"
    assert added.manifest.parity.rows == 200
    assert {each.name for each in added.folder.iterdir()} == WHOLE
    assert added.manifest.golden is not None


def test_without_predictions_it_is_said_that_nothing_was_compared(made: Path, tmp_path: Path) -> None:
    """In the notes, in the manifest, and at each check."""
    added = add(wanted(made, tmp_path))
    assert added.manifest.parity is not None
    assert added.manifest.parity.compared == "nothing"
    assert any(each.startswith("Nothing was compared") for each in added.notes)


ELSEWHERE = {
    "binary-fasttree": ("mlnet", "rows", "classifier"),
    "binary-sdca": ("mlnet", "rows", "classifier"),  # of which a row is NaN
    "multi-sdca": ("mlnet", "rows", "multiclass"),
    "regression-fasttree": ("mlnet", "rows", "regressor"),
    "kmeans": ("mlnet", "rows", "clusterer"),  # which ML.NET counts from 1
    "torch-logits": ("nets", "torch-features.rows", "multiclass"),  # predictions are logits, too
    "torch-half": ("nets", "torch-features.rows", "classifier"),
    "torch-external": ("nets", "torch-features.rows", "classifier"),
    "torch-heads": ("nets", "torch-features.rows", "regressor"),
    "torch-tokens": ("nets", "torch-tokens.rows", "classifier"),
    "keras-image": ("nets", "keras-image.rows", "multiclass"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_files_from_elsewhere_with_their_librarys_own_predictions(name: str, tmp_path: Path) -> None:
    """ML.NET, PyTorch and Keras as they wrote them: one command, nothing else said."""
    folder, rows, kind = ELSEWHERE[name]
    data = DATA / folder
    added = add(
        Wishes(
            path=data / f"{name}.onnx",
            events=data / f"{rows}.jsonl",
            expected=data / f"{name}.expected.jsonl",
            models=tmp_path,
        )
    )
    assert added.manifest.kind == kind
    assert added.manifest.parity is not None
    assert added.manifest.parity.compared == "predictions"
    assert added.manifest.parity.rows > 100


def test_stream_json_is_proposed_with_warnings(made: Path, tmp_path: Path) -> None:
    """The id is found by its name; a key that is blank and ids that repeat are said."""
    events = tmp_path / "events.jsonl"
    rows = [{"id": "a", "line": "" if row % 2 else "x", "temp": 50 + row, "site": "N"} for row in range(40)]
    events.write_text("".join(json.dumps(each) + "\n" for each in rows))
    stream = StreamChoices(key=["/line"])
    added = add(wanted(made, tmp_path / "models", events=events, stream=stream))
    document = json.loads((added.folder / "stream.json").read_text())
    assert document["id"] == "/id"
    assert document["partitionKey"] == ["/line"]
    assert document["model"] == "heat"
    told = " ".join(added.notes)
    assert "/line is missing or empty in 20 of 40 events" in told
    assert "repeat the id and key" in told


REFUSALS: dict[str, tuple[Callable[[Path, Path], Wishes], str]] = {
    "unknown kind": (lambda made, to: wanted(made, to, path=_file(to, "m.h5", b"\x89HDF")), "unknown kind"),
    "truncated": (
        lambda made, to: wanted(made, to, path=_file(to, "m.onnx", (made / "heat.onnx").read_bytes()[:300])),
        "no ONNX file, or not a whole one",
    ),
    "git lfs": (
        lambda made, to: wanted(
            made, to, path=_file(to, "m.onnx", b"version https://git-lfs.github.com/spec/v1")
        ),
        "git lfs pull",
    ),
    "pickle": (lambda made, to: wanted(made, to, path=made / "heat.joblib"), "--trust"),
    "empty": (lambda made, to: wanted(made, to, path=_file(to, "m.onnx", b"")), "is empty"),
    "no such file": (lambda made, to: wanted(made, to, path=to / "none.onnx"), "no such file"),
    "name": (lambda made, to: wanted(made, to, name="a/b"), "cannot be a model's name"),
    "labels": (
        lambda made, to: wanted(made, to, choices=Choices(labels=["a", "b", "c"])),
        "2 classes .* 3 --labels",
    ),
    "positive": (lambda made, to: wanted(made, to, choices=Choices(positive="warm")), "'warm' is none of"),
    "a column that is not there": (
        lambda made, to: wanted(made, to, events=_file(to, "e.csv", b"tempo,site\n1,N\n2,S\n")),
        r"no field for the column 'temp' \(nearest: /tempo",
    ),
    "another length": (
        lambda made, to: wanted(made, to, expected=_file(to, "p.csv", b"cold,hot\n0.5,0.5\n")),
        "1 predictions for 200 events",
    ),
    "an unknown class": (
        lambda made, to: wanted(
            made, to, expected=_file(to, "p.csv", b"cold,hot,label\n" + b"0.5,0.5,mild\n" * 200)
        ),
        "row 1 has the class 'mild', which is none of the model's: cold, hot",
    ),
    "no numbers": (
        lambda made, to: wanted(made, to, expected=_file(to, "p.csv", b"what\n" + b"1\n" * 200)),
        "row 1 has no numbers of the model: expected the fields cold, hot, found what",
    ),
    "wrong numbers": (
        lambda made, to: wanted(made, to, expected=_file(to, "p.csv", b"cold,hot\n" + b"0.5,0.5\n" * 200)),
        "disagree on 200 of 200 rows",
    ),
    "labels alone": (
        lambda made, to: wanted(
            made,
            to,
            expected=_file(
                to,
                "p.csv",
                (made / "predictions.csv").read_bytes().replace(b",hot\n", b",cold\n"),
            ),
        ),
        "only labels differ",
    ),
    "classes in another order": (
        lambda made, to: wanted(
            made, to, expected=made / "predictions.csv", choices=Choices(labels=["hot", "cold"])
        ),
        r"disagree on 200 of 200 rows.*classes stand in another order.*\(--labels cold,hot\)",
    ),
    "a list of columns": (lambda made, to: wanted(made, to, columns=["temp"]), "names 1 fields"),
}


def _file(folder: Path, name: str, content: bytes) -> Path:
    path = folder.parent / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_one_sentence_and_nothing_is_written(case: str, made: Path, tmp_path: Path) -> None:
    """Each names what is wrong, and the folder of models is as it was."""
    models = tmp_path / "models"
    models.mkdir()
    make, told = REFUSALS[case]
    with pytest.raises(ExportError, match=told) as caught:
        add(make(made, models))
    assert "\n" not in str(caught.value)
    assert list(models.iterdir()) == []


def test_a_name_is_taken_once_and_replaced_on_demand(made: Path, tmp_path: Path) -> None:
    """What stands beside our files in a replaced folder stays."""
    add(wanted(made, tmp_path))
    with pytest.raises(ExportError, match=r"a model named heat already.*--replace"):
        add(wanted(made, tmp_path))
    (tmp_path / "heat" / "notes.md").write_text("mine")
    add(wanted(made, tmp_path, expected=made / "predictions.csv", replace=True))
    assert (tmp_path / "heat" / "notes.md").read_text() == "mine"
    assert load_named(tmp_path / "heat").manifest.parity.compared == "predictions"  # type: ignore[union-attr]
    assert [each.name for each in tmp_path.iterdir()] == ["heat"]


def test_nested_fields_and_other_cases_are_found(made: Path, tmp_path: Path) -> None:
    """A column is read from an object within the event, or from a field written otherwise."""
    events = tmp_path / "events.jsonl"
    rows = [{"Sensor": {"Temp": 50.5 + row}, "meta": {"site": "N"}} for row in range(20)]
    events.write_text("".join(json.dumps(each) + "\n" for each in rows))
    added = add(wanted(made, tmp_path / "models", events=events))
    assert [each.pointer for each in added.manifest.inputs] == ["/Sensor/Temp", "/meta/site"]


def test_several_places_for_one_column_are_asked_about(made: Path, tmp_path: Path) -> None:
    """The sentence names both, and the option that says which."""
    events = tmp_path / "events.jsonl"
    events.write_text('{"a": {"temp": 1}, "b": {"temp": 2}, "site": "N"}\n')
    with pytest.raises(ExportError, match=r"may be /a/temp or /b/temp: say which \(--input temp=/a/temp\)"):
        add(wanted(made, tmp_path / "models", events=events))
    added = add(wanted(made, tmp_path / "models", events=events, inputs={"temp": "/b/temp"}))
    assert added.manifest.inputs[0].pointer == "/b/temp"


# --- the sentence after a difference


def linear() -> bytes:
    """The graph of a + 10 b + 100."""
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "w"], ["sum"]),
        helper.make_node("Add", ["sum", "c"], ["y"]),
    ]
    model = graph({"a": (FLOAT, (None, 1)), "b": (FLOAT, (None, 1))}, nodes, {"y": (FLOAT, (None, 1))})
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [2, 1], [1.0, 10.0]))
    model.graph.initializer.append(helper.make_tensor("c", TensorProto.FLOAT, [1], [100.0]))
    content: bytes = model.SerializeToString()
    return content


def right(frame: pd.DataFrame) -> Any:
    """What the graph computes."""
    return 100 + frame["a"] + 10 * frame["b"]


WRONG: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    "nulls": (lambda f: right(f.fillna(-5.0)), "only rows with a null differ"),
    "zeros": (lambda f: right(f.where(f != 0, 77.0)), "only rows with a zero differ.*zero_as_missing"),
    "fractions": (lambda f: right(f.assign(b=np.trunc(f["b"]))), "only rows with a fraction.*--categories"),
    "a factor": (lambda f: right(f) / 100, "all rows differ by one factor, ONNX gives 100 times"),
    "columns": (
        lambda f: 100 + f["b"] + 10 * f["a"],
        r"agree where the model is given its columns in another order: b, a\. Name the fields",
    ),
    "nothing shared": (lambda f: right(f) + (f["a"] > 3) * 0.5, "nothing that these rows share tells why"),
}


@pytest.mark.parametrize("case", WRONG)
def test_the_sentence_after_a_difference_goes_by_what_differs(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that answers otherwise only where a trap is: the refusal names it."""
    library, told = WRONG[case]
    events = tmp_path / "events.jsonl"
    rows: list[dict[str, Any]] = [{"a": 1.25 + row % 7, "b": 1 + row % 5} for row in range(60)]
    if case == "nulls":  # in the events too, else they would be refused where they are missing
        rows += [{**rows[0], "a": None}, {**rows[0], "b": None}]
    events.write_text("".join(json.dumps(each) + "\n" for each in rows))
    given_candidate(monkeypatch, lambda frame: [Answer((float(each),), None) for each in library(frame)])
    with pytest.raises(ExportError, match=told):
        add(Wishes(path=tmp_path / "m.onnx", events=events, models=tmp_path / "models"))
    assert list((tmp_path / "models").iterdir()) == []


def test_what_is_missing_in_no_event_is_refused_where_it_would_be_scored_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is added, with a note; what may be missing in the events and agrees stays so."""
    events = tmp_path / "events.jsonl"
    rows: list[dict[str, Any]] = [{"a": 1.25 + row % 7, "b": 1 + row % 5} for row in range(60)]
    events.write_text("".join(json.dumps(each) + "\n" for each in rows))
    library, _ = WRONG["nulls"]
    given_candidate(monkeypatch, lambda frame: [Answer((float(each),), None) for each in library(frame)])
    added = add(Wishes(path=tmp_path / "m.onnx", events=events, models=tmp_path / "models"))
    assert [each.missing for each in added.manifest.inputs] == ["reject", "reject"]
    assert any(note.startswith("'a', 'b': missing in no event") for note in added.notes)
    (found,) = load_named(added.folder).score([{"a": 1.0, "b": None}])
    assert isinstance(found, Failure)


def test_one_class_for_all_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that gives each row the same label, where the library gives several."""
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "w"], ["sum"]),
        helper.make_node("Add", ["sum", "c"], ["y"]),
    ]
    model = graph({"a": (FLOAT, (None, 1)), "b": (FLOAT, (None, 1))}, nodes, {"y": (FLOAT, (None, 2))})
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [0.0] * 4))
    model.graph.initializer.append(helper.make_tensor("c", TensorProto.FLOAT, [2], [0.75, 0.25]))
    answers = {True: Answer((0.1, 0.9), "yes"), False: Answer((0.9, 0.1), "no")}
    candidate = Candidate(
        content=model.SerializeToString(),
        kind=Kind.CLASSIFIER,
        columns=[Column(name="a"), Column(name="b")],
        outputs={"value": "y", "classes": ["no", "yes"], "positive": "yes"},
        library="Other",
        predict=lambda frame: [answers[bool(each > 3)] for each in frame["a"]],
    )
    monkeypatch.setattr(choosing, "read", lambda _path, _choices: candidate)
    events = tmp_path / "events.csv"
    events.write_text("a,b\n" + "".join(f"{1.25 + row % 7},{1 + row % 5}\n" for row in range(60)))
    with pytest.raises(ExportError, match="ONNX gives every row the class 'no'"):
        add(Wishes(path=tmp_path / "m.onnx", events=events, models=tmp_path / "models"))


def test_only_unseen_texts_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that raises for a text which it never saw, where ONNX has a score."""
    nodes = [
        helper.make_node("LabelEncoder", ["s"], ["y"], domain="ai.onnx.ml", keys_strings=["N", "S"],
                         values_floats=[1.0, 2.0], default_float=9.0),
    ]  # fmt: skip
    model = graph({"s": (TensorProto.STRING, (None, 1))}, nodes, {"y": (FLOAT, (None, 1))})

    def predict(frame: pd.DataFrame) -> list[Answer]:
        return [Answer(({"N": 1.0, "S": 2.0}[each],), None) for each in frame["s"]]

    candidate = Candidate(
        content=model.SerializeToString(),
        kind=Kind.REGRESSOR,
        columns=[Column(name="s")],
        outputs={"value": "y"},
        library="Other",
        predict=predict,
    )
    monkeypatch.setattr(choosing, "read", lambda _path, _choices: candidate)
    events = tmp_path / "events.csv"
    events.write_text("s,t\n" + "N,1\nS,2\n" * 20)
    with pytest.raises(ExportError, match=r"only rows with a text .* never saw differ \('s'\).*ignore"):
        add(Wishes(path=tmp_path / "m.onnx", events=events, models=tmp_path / "models"))


def test_csv_json_lines_and_parquet_give_one_manifest(made: Path, tmp_path: Path) -> None:
    """The same events in three formats; an id of leading zeros stays a text."""
    table = pd.read_csv(made / "events.csv", dtype={"id": str})
    table.to_parquet(tmp_path / "events.parquet")
    table.to_json(tmp_path / "events.jsonl", orient="records", lines=True)
    found = [
        add(wanted(made, tmp_path / each.suffix[1:], events=each))
        for each in (made / "events.csv", tmp_path / "events.parquet", tmp_path / "events.jsonl")
    ]
    assert found[0].manifest == found[1].manifest == found[2].manifest
    sample = json.loads((found[0].folder / "sample.jsonl").read_text().splitlines()[0])
    assert sample["id"] == "00000"


def given_candidate(
    monkeypatch: pytest.MonkeyPatch, predict: Callable[[pd.DataFrame], Sequence[Answer]], content: bytes = b""
) -> None:
    """Reading any file gives the linear model, with answers of a library of our own."""
    candidate = Candidate(
        content=content or linear(),
        kind=Kind.REGRESSOR,
        columns=[Column(name="a", takes_nan=True), Column(name="b", takes_nan=True)],
        outputs={"value": "y"},
        library="Other",
        predict=predict,
    )
    monkeypatch.setattr(choosing, "read", lambda _path, _choices: candidate)


def test_values_near_a_split_count_as_agreeing_up_to_a_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that agree with the inputs rounded to 32 bits are told of, and above the share refused."""
    split = 1.1  # which as a 32-bit float is larger

    def library(frame: pd.DataFrame) -> list[Answer]:
        return [Answer((float(each > split),), None) for each in frame["a"]]

    nodes = [
        helper.make_node("Greater", ["a", "at"], ["above"]),
        helper.make_node("Cast", ["above"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["b", "none"], ["nothing"]),
        helper.make_node("Add", ["number", "nothing"], ["y"]),
    ]
    model = graph({"a": (FLOAT, (None, 1)), "b": (FLOAT, (None, 1))}, nodes, {"y": (FLOAT, (None, 1))})
    model.graph.initializer.append(
        helper.make_tensor(
            "at", TensorProto.FLOAT, [1], [float(np.nextafter(np.float32(1.1), np.float32(0)))]
        )
    )
    model.graph.initializer.append(helper.make_tensor("none", TensorProto.FLOAT, [1], [0.0]))
    events = tmp_path / "events.jsonl"
    rows = [{"a": 1.1 if row < 2 else 5.0 + row, "b": 1.5} for row in range(300)]
    events.write_text("".join(json.dumps(each) + "\n" for each in rows))
    given_candidate(
        monkeypatch,
        lambda frame: [
            Answer((got.values[0] + (0.0 if np.isfinite(b) else np.nan),), None)
            for got, b in zip(library(frame), frame["b"], strict=True)
        ],
        model.SerializeToString(),
    )
    wishes = Wishes(path=tmp_path / "m.onnx", events=events, models=tmp_path / "models", accept_share=0.2)
    added = add(wishes)
    assert added.manifest.parity is not None
    assert 0 < added.manifest.parity.rounded_share < 0.2
    assert any("so near to a split" in each for each in added.notes)
    with pytest.raises(ExportError, match=r"lie so near to a split.*--accept-share"):
        add(Wishes(path=tmp_path / "m.onnx", events=events, models=tmp_path / "others", accept_share=0.0))


# --- the commands


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """An everscore command: exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_add_check_list_and_try(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The way of a user, command by command."""
    models = tmp_path / "models"
    code, out, err = run(
        capsys, "model", "add", made / "heat.joblib", "--trust", "--events", made / "events.csv",
        "--positive", "cold", "--models", models,
    )  # fmt: skip
    assert code == 0, err
    assert "compared with the library on" in out
    code, out, err = run(capsys, "model", "check", "--models", models, "--json")
    assert code == 0, err
    (checked,) = json.loads(out)
    assert checked["goldenRows"] == 20
    assert checked["classesSeen"] == 2
    assert checked["warnings"] == []
    code, out, _ = run(capsys, "model", "list", "--models", models, "--json")
    (listed,) = json.loads(out)
    assert (listed["name"], listed["compared"], listed["kind"]) == ("heat", "library", "classifier")
    assert listed["microsecondsPerEvent"] > 0
    code, out, _ = run(
        capsys, "model", "try", "heat", made / "events.csv", "-n", 3, "--models", models, "--json"
    )
    assert code == 0
    fitted = joblib.load(made / "heat.joblib")
    chances = fitted.predict_proba(FRAME)[:3, 0].tolist()
    assert [each["value"] for each in json.loads(out)] == pytest.approx(chances, abs=1e-5)


class Typed(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("\n\n\n", {"id": "/id", "partitionKey": ["/id"]}),
        ("\nsite\n\n", {"id": "/id", "partitionKey": ["/site"]}),
        ("/id\n/site,/id\nat\n", {"id": "/id", "partitionKey": ["/site", "/id"], "time": "/at"}),
    ],
)
def test_what_stream_json_names_is_asked_for_at_a_terminal(
    typed: str, wanted: dict[str, Any], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fields' names give defaults; a name is taken as well as a pointer. Options ask nothing."""
    events = tmp_path / "events.csv"
    times = {"id": [f"{row:05}" for row in range(200)], "at": ["2026-01-01T00:00:00Z"] * 200}
    FRAME.assign(**times).to_csv(events, index=False)
    monkeypatch.setattr(sys, "stdin", Typed(typed))
    more = ["--events", str(events), "--models", str(tmp_path / "models"), "--stream", "--trust"]
    with pytest.raises(SystemExit) as ended:
        main(["model", "add", str(made / "heat.joblib"), *more])
    assert ended.value.code in (0, None)
    stream = json.loads((tmp_path / "models" / "heat" / "stream.json").read_text())
    assert {name: stream[name] for name in ("id", "partitionKey", "time") if name in stream} == wanted


def test_each_check_says_that_nothing_was_compared(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And so does the list; a wrong score of the sample ends the check with 1."""
    add(wanted(made, tmp_path))
    code, out, err = run(capsys, "model", "check", "heat", "--models", tmp_path)
    assert code == 0
    assert "nothing was compared with the library" in out
    assert "Nothing was compared" in err
    _, out, _ = run(capsys, "model", "list", "--models", tmp_path, "--json")
    assert json.loads(out)[0]["compared"] == "nothing"
    expected = tmp_path / "heat" / "expected.jsonl"
    lines = expected.read_text().splitlines()
    expected.write_text("\n".join(['{"label": "hot", "value": 0.123}', *lines[1:]]) + "\n")
    code, _, err = run(capsys, "model", "check", "heat", "--models", tmp_path)
    assert code == 1
    assert "expected" in err or "when exported" in err


def test_a_refusal_is_one_sentence_on_stderr(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, nothing on stdout."""
    code, out, err = run(
        capsys, "model", "add", made / "heat.joblib", "--events", made / "events.csv", "--models", tmp_path
    )
    assert (code, out) == (1, "")
    assert "--trust" in err
    code, _, err = run(capsys, "model", "check", "cold", "--models", tmp_path)
    assert code == 1
    assert "There is no model 'cold'" in err


def test_a_new_train_py_passes_the_lint_and_works_once_filled_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`model new`, rows in place, then the existing `train`."""
    assert run(capsys, "model", "new", "pumps", "--models", tmp_path)[0] == 0
    path = tmp_path / "pumps" / "train.py"
    root = Path(__file__).parents[2]
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--stdin-filename", "models/pumps/train.py", "-"],
            cwd=root,
            input=path.read_text(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
    rows = [
        {
            "event": {"temperature": 50.0 + row % 31, "vibration": None if row % 9 == 0 else row % 7 / 3},
            "outcome": "failed" if row % 31 + row % 7 > 18 else "fine",
            "time": f"2026-01-01T00:{row // 60:02}:{row % 60:02}Z",
        }
        for row in range(400)
    ]
    (path.parent / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    done = subprocess.run(
        [sys.executable, "-m", "everscore_models", "train", "pumps", "--models", tmp_path],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "agree on" in done.stdout
