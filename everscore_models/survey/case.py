"""One row of the survey: how its model is made, and the table that it is fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS = 600
NUMBERS = ["a", "b", "c"]
_NOTES = ("red pump, new", "Grüne Pumpe", "vieille pompe", "red valve", "new valve, red")


@dataclass(frozen=True, slots=True)
class Made:
    """A model's file and what goes with it.

    Attributes:
        path: of the file.
        events: a table of events; None: the survey's own.
        expected: the library's predictions, where it is not asked on the spot.
        choices: of `everscore_models.candidate.Choices`, what the file does not say.
    """

    path: Path
    events: Path | None = None
    expected: Path | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One row.

    Attributes:
        library: that trains the model.
        name: the estimator, loss or option.
        make: fits the model and saves it in a folder, as its library saves models.
        instead: what to write where it is refused; empty: what the refusal says is enough.
    """

    library: str
    name: str
    make: Callable[[Path], Made]
    instead: str = ""

    @property
    def id(self) -> str:
        """Names the row."""
        return f"{self.library}: {self.name}"


def table() -> pd.DataFrame:
    """600 rows: numbers, some of them missing in ``m``, whole numbers, texts; the same at each call."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame(random.normal(size=(ROWS, 3)).round(3), columns=NUMBERS)
    frame["m"] = np.where(random.random(ROWS) < 0.15, np.nan, random.normal(size=ROWS).round(3))
    frame["n"] = random.integers(0, 6, ROWS)
    frame["word"] = random.choice(["red", "grün", "bleu"], ROWS)
    frame["note"] = [f"{random.choice(_NOTES)} {random.integers(0, 9)}" for _ in range(ROWS)]
    return frame


def signal(frame: pd.DataFrame) -> Any:
    """What the targets are made of, shape (rows,)."""
    words = frame["word"].map({"red": 0.8, "grün": -0.4, "bleu": 0.0}).to_numpy(float)
    noise = np.random.default_rng(8).normal(size=len(frame)) * 0.3
    notes = frame["note"].str.contains("red").to_numpy(float)
    return frame["a"].to_numpy() - 0.7 * frame["b"].to_numpy() ** 2 + words + 0.5 * notes + noise


def two_classes(frame: pd.DataFrame) -> Any:
    """Texts, shape (rows,)."""
    return np.where(signal(frame) > 0, "yes", "no")


def three_classes(frame: pd.DataFrame) -> Any:
    """Texts, shape (rows,)."""
    return np.array(["low", "middle", "top"])[np.digitize(signal(frame), [-0.7, 0.4])]


def number(frame: pd.DataFrame) -> Any:
    """Floats, shape (rows,)."""
    return signal(frame)


def positive(frame: pd.DataFrame) -> Any:
    """Positive floats, as for Poisson and gamma, shape (rows,)."""
    return np.exp(np.clip(signal(frame), -3, 3))


def events_file(folder: Path) -> Path:
    """The table as events, in JSON lines: what is missing is null."""
    path = folder / "events.jsonl"
    table().to_json(path, orient="records", lines=True, force_ascii=False)
    return path
