"""docs/models.md and docs/events.md: what they tell to type works, and their numbers are those of the files."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from everscore.config.checked_json import parse_json_model
from everscore.decode.decoder import Decoder
from everscore.decode.own_decoder import load_hook
from everscore.event.item import Item
from everscore.event.scores import Scores
from everscore.event.stream import load_stream
from everscore.event.stream_manifest import StreamManifest
from everscore.score.loading import load_model
from everscore.score.manifest import Features, load_manifest
from everscore.score.onnx import identity_hash
from everscore_cli.main import main as everscore
from everscore_models import Input, InputType, Trained, apply_features, read_frame
from everscore_models.cli import main
from everscore_models.export import export
from everscore_models.tables.reading import read_rows

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
EVENTS = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")


def blocks(language: str, page: str) -> list[str]:
    """The code blocks of a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def run_models(*arguments: str) -> int:
    """The exit code of `python -m everscore_models`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["everscore_models", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's model of pumps, made by the page's commands, and the stream.json of events.md."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "host.json").write_text("{}")
    (folder / "models" / "pumps").mkdir(parents=True)
    train = next(block for block in blocks("python", TEXT) if "def train()" in block)
    (folder / "models" / "pumps" / "train.py").write_text(train, encoding="utf-8")
    for line in "\n".join(blocks("sh", TEXT)).splitlines():
        if line.startswith("python -m everscore_models"):
            assert run_models(*line.split()[3:], "--models", str(folder / "models")) == 0
    (stream,) = [block for block in blocks("json", EVENTS) if '"unwrap"' in block]
    (folder / "stream.json").write_text(stream, encoding="utf-8")
    return folder


@pytest.fixture
def type_in(
    app: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Runs an `everscore` command of the page in that folder; what it prints with --json."""

    def run(line: str, code: int = 0) -> Any:
        monkeypatch.chdir(app)
        with pytest.raises(SystemExit) as ended:
            everscore([*line.split()[1:], "--json"])
        said = capsys.readouterr()
        assert ended.value.code == code, said
        return json.loads(said.out)

    return run


def test_your_own_model_in_ten_minutes(app: Path, type_in: Callable[[str], Any]) -> None:
    """The page's train.py, stream.json and commands, as they stand there, score the page's event."""
    (event,) = re.findall(r"events like `(\{.*?\}\})`", TEXT)
    assert event in blocks("json", EVENTS)[0]
    (scores,) = load_model(app / "models" / "pumps").score([json.loads(event)])
    assert isinstance(scores, Scores)
    assert scores.label == "fine"
    assert set(scores.values) == {"fine", "failing"}
    (line,) = re.findall(r"`(everscore send .*?)`", TEXT)
    tried = type_in(line)
    assert (tried["events"], tried["scored"]) == (20, 20)
    (app / "events.jsonl").write_text(event + "\n")
    tried = type_in(
        next(line for line in "\n".join(blocks("sh", EVENTS)).splitlines() if "--dry-run" in line)
    )
    assert (tried["first"]["pk"], tried["first"]["scores"]["pumps"]["label"]) == ("P-7", "fine")
    assert f"(`{tried['first']['id']}`)" in EVENTS


CSV_TRAPS = "zip,n,few,many,word,/device/id\n00501,5,7001,9007199254740993,NA,a\n10001,5.0,,,null,b\n"


def test_hole_34_what_becomes_of_a_csv(app: Path, type_in: Callable[..., Any]) -> None:
    """Hole 34: codes, numbers, words and nested fields are sent as the page says, by the page's command."""
    (app / "events.csv").write_text(CSV_TRAPS)
    (line,) = [
        line for block in blocks("sh", EVENTS) for line in block.splitlines() if "events.csv --dry" in line
    ]
    assert json.loads(type_in(line, code=1)["body"]) == {
        "zip": "00501",
        "n": 5,
        "few": 7001,
        "many": 9007199254740993,
        "word": "NA",
        "device": {"id": "a"},
    }
    for row in ("| a code, `00501` | the string", "`7001` | 7001 |", "`9007199254740993` | exactly that"):
        assert row in EVENTS
    second = read_rows(app / "events.csv")[1]
    assert second == {"zip": "10001", "n": 5, "word": "null", "device": {"id": "b"}}


def test_hole_37_the_hash_of_a_model_with_features(tmp_path: Path) -> None:
    """Hole 37: the page's line prints the sha256 that documents have where a model has a features.py."""
    (line,) = [line for block in blocks("sh", TEXT) for line in block.splitlines() if "sha256sum" in line]
    hashes = {}
    for name, content in (("model.onnx", b"a model"), ("features.py", b"def features(columns): ...\n")):
        (tmp_path / name).write_bytes(content)
        hashes[name] = hashlib.sha256(content).hexdigest()
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
    manifest = load_manifest(ROOT / "models" / "flights")
    manifest = manifest.model_copy(
        update={
            "sha256": hashes["model.onnx"],
            "features": Features(columns=("a",), sha256=hashes["features.py"]),
        }
    )
    assert done.stdout.split()[0] == identity_hash(manifest)


def test_the_pages_decoder(app: Path, monkeypatch: pytest.MonkeyPatch, type_in: Callable[..., Any]) -> None:
    """The page's decoder of CSV bodies: a good one becomes an event and is scored, a bad one alone fails."""
    (source,) = blocks("python", EVENTS)
    ((setting, module),) = re.findall(r"set to `((\w+):\w+)`", EVENTS)
    (app / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(str(app))
    decoder = Decoder(load_stream(app / "stream.json"), hook=load_hook(setting))
    bodies = (b"P-7,2026-03-01T06:00:00Z,N,61.5,0.2", b"P-7,2026-03-01T06:00:00Z,N,hot,0.2", b"P-7")
    good, *bad = decoder.decode([Item(body=body) for body in bodies])
    assert good.failure is None
    assert good.payload["sensor"]["temp"] == 61.5
    assert [each.failure.reason for each in bad if each.failure] == ["decoder: ValueError"] * 2
    (app / "events.csv").write_bytes(b"\n".join(bodies))
    monkeypatch.setenv("DECODER", setting)
    (line,) = [line for block in blocks("sh", EVENTS) for line in block.splitlines() if "--raw" in line]
    tried = type_in(line, code=1)
    assert (tried["events"], tried["scored"], [each["line"] for each in tried["refused"]]) == (3, 1, [2])


def test_the_forms_of_stream_json() -> None:
    """Each form that the page's table shows is one that stream.json takes."""
    (block,) = [block for block in blocks("json", EVENTS) if '"unwrap"' in block]
    whole = json.loads(block)
    field, forms = "", 0
    for name, form in re.findall(r"^\| (?:`(\w+)`)? *\| (?:`(.+?)`|left out) \|", EVENTS, re.MULTILINE):
        field = name or field
        if field not in whole:
            continue
        changed = {key: value for key, value in whole.items() if key != field}
        if form:
            changed[field] = json.loads(form)
        parse_json_model(StreamManifest, json.dumps(changed).encode(), where="stream.json")
        forms += 1
    assert forms == 13


def test_a_manifest_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's manifest of an ONNX file from elsewhere loads, scores, and passes the check without a sample."""
    chance = np.random.default_rng(1)
    numbers = chance.normal(size=(50, 2))
    fitted = Ridge().fit(numbers, numbers.sum(axis=1))
    content = to_onnx(fitted, numbers.astype(np.float32)[:1], target_opset=21).SerializeToString()
    folder = tmp_path / "wear"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(content)
    (manifest,) = [block for block in blocks("json", TEXT) if '"inputs"' in block]
    (folder / "manifest.json").write_text(manifest.replace('"…"', f'"{hashlib.sha256(content).hexdigest()}"'))
    assert run_models("check", "wear", "--models", str(tmp_path)) == 0
    assert "no scores were compared, since there is no sample.jsonl" in capsys.readouterr().out
    (scores,) = load_model(folder).score([{"sensor": {"temp": 1.0, "vibration": 2.0}}])
    assert isinstance(scores, Scores)
    assert scores.value == pytest.approx(fitted.predict([[1.0, 2.0]])[0], abs=1e-5)


def test_the_pages_features(tmp_path: Path) -> None:
    """The page's features.py, used as the page says, is trained with and exported."""
    source = next(block for block in blocks("python", TEXT) if "def features(" in block)
    (tmp_path / "features.py").write_text(source)
    inputs = [
        Input(name=name, pointer=f"/{name}", type=InputType.NUMBER, missing="reject")
        for name in ("temp", "vibration")
    ]
    events = [{"temp": float(n % 7), "vibration": float(n % 5)} for n in range(100)]
    columns = ["log_vibration", "temp"]
    frame = apply_features(read_frame(events, inputs), tmp_path, columns)
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(frame, frame["log_vibration"])
    export(
        Trained(
            version="1",
            pipeline=pipeline,
            inputs=inputs,
            held_out=events,
            data="n",
            rows=100,
            feature_columns=columns,
        ),
        tmp_path,
    )
    (scores,) = load_model(tmp_path).score([{"temp": 1.0, "vibration": 3.0}])
    assert isinstance(scores, Scores)
    assert scores.value == pytest.approx(np.log(4), abs=0.05)


def test_the_pages_lookup(tmp_path: Path) -> None:
    """The page's features.py with a table in it is trained with and exported; an unknown site is no mistake."""
    source = next(block for block in blocks("python", TEXT) if "DEPTH = " in block)
    (tmp_path / "features.py").write_text(source)
    inputs = [
        Input(name="temp", pointer="/temp", type=InputType.NUMBER, missing="reject"),
        Input(name="site", pointer="/site", type=InputType.TEXT, missing="reject"),
    ]
    events = [{"temp": float(n % 7), "site": "NSX"[n % 3]} for n in range(99)]
    columns = ["temp", "depth"]
    frame = apply_features(read_frame(events, inputs), tmp_path, columns)
    assert frame["depth"][:2].tolist() == [120.0, 80.0]
    pipeline = make_pipeline(SimpleImputer(), Ridge()).fit(frame, frame["depth"].fillna(0))
    made = {
        "version": "1",
        "pipeline": pipeline,
        "inputs": inputs,
        "held_out": events,
        "data": "n",
        "rows": 99,
    }
    export(Trained(**made, feature_columns=columns), tmp_path)
    scores = load_model(tmp_path).score([{"temp": 1.0, "site": site} for site in ("N", "S", "new")])
    assert all(isinstance(each, Scores) for each in scores)
    wanted = pipeline.predict(pd.DataFrame({"temp": [1.0] * 3, "depth": [120.0, 80.0, np.nan]}))
    found = [each.value for each in scores if isinstance(each, Scores)]
    assert found == pytest.approx(wanted.tolist(), abs=1e-3)


def test_without_the_tools_for_models() -> None:
    """Where they are not installed, the command is one sentence that says how to get them."""
    code = (
        "import runpy, sys\n"
        "sys.modules['pandas'] = None\n"
        "runpy.run_module('everscore_models', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The package pandas is missing: `python3 dev.py setup` installs")
    assert len(done.stderr.splitlines()) == 1


def test_the_numbers_of_the_page_are_the_models() -> None:
    """Both rows of the table and the months' range are those of metrics.json."""
    metrics = json.loads((ROOT / "models" / "flights" / "metrics.json").read_text())
    for what, name in (("all", "all"), ("those that arrived", "arrived")):
        part = metrics[name]
        row = f"| {what} | {part['rows']:,} | {part['positive']:.1%} | {part['rocAuc']:.3f} | {part['logLoss']:.3f} |"
        assert row.replace("%", " %") in TEXT
    months = {month: part["rocAuc"] for month, part in metrics["months"].items()}
    low, high = min(months, key=months.__getitem__), max(months, key=months.__getitem__)
    assert (low, high) == ("11", "9")
    assert f"between {months[low]:.2f} (November) and {months[high]:.2f} (September)" in TEXT


def test_the_page_is_right_about_time_stamps() -> None:
    """32-bit numbers near today's milliseconds are about 130 seconds apart."""
    assert float(np.spacing(np.float32(1_700_000_000_000))) / 1000 == pytest.approx(130, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "none"], "There is no folder"),
        (["train", "empty"], "a model's folder holds a train.py with a function 'train'"),
        (["train", "hollow"], "has no function 'train'"),
        (["train", "pointer"], "train.py, Input: pointer: the JSON Pointer 'rpm' must start with '/'"),
        (["train", "five"], "returned int: it must return everscore_models.Trained"),
        (["check", "empty"], "manifest.json: cannot be read"),
    ],
)
def test_mistakes_are_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    """A wrong name or an unfinished folder: exit code 1 and one sentence on stderr, no traceback."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow").mkdir()
    (tmp_path / "hollow" / "train.py").write_text("x = 1\n")
    (tmp_path / "pointer").mkdir()
    (tmp_path / "pointer" / "train.py").write_text(
        "from everscore_models import Input\nInput(name='rpm', pointer='rpm', type='integer')\n"
    )
    (tmp_path / "five").mkdir()
    (tmp_path / "five" / "train.py").write_text("def train():\n    return 5\n")
    monkeypatch.setattr("sys.argv", ["everscore_models", *arguments, "--models", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert sentence in told[-1]
    assert not any("Traceback" in line for line in told)
