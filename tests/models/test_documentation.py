"""docs/models.md: what it tells to type works, and its numbers are those of the committed files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from everscore.scoring import Scores, load_model
from everscore_models.cli import main

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def test_your_own_model_in_ten_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's train.py and its commands, just as they stand there, give a model that scores the page's event."""
    (source,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (commands,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    (event,) = re.findall(r"events like `(\{.*?\})`", TEXT)
    folder = tmp_path / "pumps"
    folder.mkdir()
    (folder / "train.py").write_text(source, encoding="utf-8")
    for line in commands.splitlines():
        words = line.split()
        assert words[:3] == ["python", "-m", "everscore_models"]
        monkeypatch.setattr("sys.argv", [*words[2:], "--models", str(tmp_path)])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 0
    told = capsys.readouterr().out
    assert "ONNX and scikit-learn agree on" in told
    assert "20 sample scores are the same" in told
    (scores,) = load_model(folder).score([json.loads(event)])
    assert isinstance(scores, Scores)
    assert scores.label == "fine"
    assert set(scores.values) == {"fine", "failing"}


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
    monkeypatch.setattr("sys.argv", ["everscore_models", *arguments, "--models", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert sentence in told[-1]
    assert not any("Traceback" in line for line in told)
