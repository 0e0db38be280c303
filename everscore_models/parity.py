"""The parity gate: an ONNX file is written only if it answers as the library that trained the model does.

Compared are whole payloads, through the code that scores in production: real rows, and rows made from them
(`everscore_models.probes`), in batches and each alone. A row that the library refuses must be refused by ONNX
too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from everscore.event.scores import Scores
from everscore.failures import Failure
from everscore.score.golden import GOLDEN_ROWS, GoldenRow, scaled_difference
from everscore.score.input_form import Input
from everscore.score.manifest import Manifest
from everscore.score.model import Model
from everscore.score.onnx import bisect
from everscore.score.output_form import Kind, Outputs
from everscore_models.candidate import Answer, Predict
from everscore_models.payloads import read_readable
from everscore_models.probes import Probe, evenly
from everscore_models.trained import Payload

MAX_TIES = 0.05
"""The share of rows that may have another label because the library's two best classes tie."""
ALONE = 64
"""Rows that are also scored one by one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row on which the library and ONNX disagree.

    Attributes:
        row: its place in `Comparison.frame`.
        probe: the row.
        wanted: what the library says, or the name of what it raises.
        found: what ONNX says.
        what: is wrong, for a sentence.
        label_only: whether the numbers agree.
    """

    row: int
    probe: Probe
    wanted: Answer | str
    found: Scores | Failure
    what: str
    label_only: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing.

    Attributes:
        probes: the rows that could be read.
        frame: their columns, as the model takes them.
        rows: how many rows both scored alike.
        largest: the largest difference on those.
        tolerance: what counts as equal; for an anomaly detector it grows with the spread of its scores.
        ties: rows of those with another label, since the library's best classes tie.
        differences: the rows that disagree.
        expected: what the library says of each row, or the name of what it raises.
    """

    probes: Sequence[Probe]
    frame: pd.DataFrame
    rows: int
    largest: float
    tolerance: float
    ties: int
    differences: Sequence[Difference]
    expected: Sequence[Answer | str]


def measure(
    rows: Sequence[Probe],
    inputs: Sequence[Input],
    predict: Predict | Sequence[Answer],
    model: Model,
    tolerance: float,
    *,
    library: str = "scikit-learn",
) -> Comparison:
    """Compares the library's own answers with the loaded ONNX model's, row by row.

    Args:
        rows: to compare.
        inputs: of the model.
        predict: makes the library's answers, or they themselves, one for each row.
        model: as production loads it.
        tolerance: the largest difference that counts as equal.
        library: its name, for sentences.
    """
    payloads = [each.payload for each in rows]
    frame, refused = read_readable(payloads, inputs)
    kept = [index for index in range(len(rows)) if index not in refused]
    frame = frame.iloc[kept].reset_index(drop=True)
    payloads = [payloads[index] for index in kept]
    chosen = [rows[index] for index in kept]
    kind = model.manifest.kind
    expected = answers(predict, frame) if callable(predict) else [predict[index] for index in kept]
    tolerance = _effective(tolerance, expected, kind)
    scored = model.score(payloads)
    largest, compared, ties = 0.0, 0, 0
    differences: list[Difference] = []
    for row, (wanted, found) in enumerate(zip(expected, scored, strict=True)):
        what, off = _difference(wanted, found, model.manifest.kind, tolerance, library)
        if what:
            differences.append(Difference(row, chosen[row], wanted, found, what))
            continue
        if isinstance(wanted, str) or isinstance(found, Failure):
            continue
        if wanted.label != found.label:
            if not _tied(wanted, found.label, model, tolerance):
                what = f"{library} says '{wanted.label}', ONNX '{found.label}'"
                differences.append(Difference(row, chosen[row], wanted, found, what, label_only=True))
                continue
            ties += 1
        compared += 1
        largest = max(largest, off)
    differences += _alone(chosen, payloads, expected, batch=scored, model=model, tolerance=tolerance)
    return Comparison(chosen, frame, compared, largest, tolerance, ties, differences, expected)


def _effective(tolerance: float, expected: Sequence[Answer | str], kind: Kind) -> float:
    """Scores of detectors have no scale of their own: those of a support vector machine go into hundreds."""
    values = [each.values[0] for each in expected if isinstance(each, Answer)]
    if kind is not Kind.ANOMALY or not values:
        return tolerance
    low, high = np.quantile(np.asarray(values), [0.25, 0.75]).tolist()
    return float(tolerance * max(1.0, high - low))


def _alone(
    rows: Sequence[Probe],
    payloads: Sequence[Payload],
    expected: Sequence[Answer | str],
    *,
    batch: Sequence[Scores | Failure],
    model: Model,
    tolerance: float,
) -> list[Difference]:
    """Rows of which ONNX says something else alone than among others."""
    odd = [row for row, each in enumerate(rows) if not each.real]
    real = [row for row, each in enumerate(rows) if each.real]
    found: list[Difference] = []
    for group in (odd, real):
        for row in group[:: max(1, len(group) // (ALONE // 2))][: ALONE // 2]:
            (alone,) = model.score([payloads[row]])
            together = batch[row]
            if isinstance(together, Failure) or isinstance(alone, Failure):
                same = isinstance(together, Failure) and isinstance(alone, Failure)
            else:
                off = scaled_difference(_numbers(together), _numbers(alone), model.manifest.kind)
                same = off <= tolerance and together.label == alone.label
            if not same:
                what = f"ONNX says {_said(alone)} of the row alone, and {_said(together)} among others"
                found.append(Difference(row, rows[row], expected[row], alone, what))
    return found


def golden_rows(
    payloads: Sequence[Payload], inputs: Sequence[Input], predict: Predict, model: Model, tolerance: float
) -> list[GoldenRow]:
    """Rows for golden.jsonl, spread over the scores, which are the library's own.

    A row on which the library is undecided within the tolerance is left out, since its label may change with
    the last bit.
    """
    chosen, _ = evenly(payloads)
    frame, refused = read_readable(chosen, inputs)
    kept = [index for index in range(len(chosen)) if index not in refused]
    manifest = model.manifest
    found = answers(predict, frame.iloc[kept].reset_index(drop=True))
    return _spread_golden([chosen[index] for index in kept], found, manifest, tolerance)


def golden_of(found: Comparison, model: Model) -> list[GoldenRow]:
    """As `golden_rows`, of the real rows of a comparison on which both agree."""
    differing = {each.row for each in found.differences}
    rows = [row for row, each in enumerate(found.probes) if each.real and row not in differing]
    payloads = [found.probes[row].payload for row in rows]
    expected = [found.expected[row] for row in rows]
    return _spread_golden(payloads, expected, model.manifest, found.tolerance)


def _spread_golden(
    payloads: Sequence[Payload], found: Sequence[Answer | str], manifest: Manifest, tolerance: float
) -> list[GoldenRow]:
    rows = [
        _golden(payload, answer, manifest.kind, manifest.outputs)
        for payload, answer in zip(payloads, found, strict=True)
        if isinstance(answer, Answer)
        and np.isfinite(answer.values).all()
        and not _undecided(answer, manifest.kind, tolerance)
    ]
    rows.sort(key=lambda row: row.value)
    if len(rows) <= GOLDEN_ROWS:
        return rows
    return [rows[round(place)] for place in np.linspace(0, len(rows) - 1, GOLDEN_ROWS)]


def _golden(payload: Payload, answer: Answer, kind: Kind, outputs: Outputs) -> GoldenRow:
    numbers = [_rounded(each) for each in answer.values]
    names = list(outputs.label_of().values()) if kind is not Kind.ANOMALY else []
    if kind is Kind.REGRESSOR:
        names = list(outputs.columns)
    values = dict(zip(names, numbers, strict=True)) if names else {}
    if kind is Kind.CLUSTERER:
        value = min(numbers)
    elif kind in (Kind.CLASSIFIER, Kind.MULTICLASS):
        value = max(numbers) if outputs.positive is None else values[outputs.positive]
    else:
        value = numbers[0] if outputs.main is None else values[outputs.main]
    return GoldenRow(payload, answer.label, value, values)


def _rounded(value: float) -> float:
    """To nine digits: far within any tolerance, and the same text on machines that sum in another order."""
    return float(f"{value:.9g}")


def answers(predict: Predict, frame: pd.DataFrame) -> list[Answer | str]:
    """What the library says of each row, or the name of what it raises for that row alone."""
    found: list[Answer | str] = []
    for _, outcome in bisect(lambda rows: predict(frame.iloc[rows].reset_index(drop=True)), len(frame)):
        if isinstance(outcome, Exception):
            found.append(type(outcome).__name__)
        else:
            found += outcome
    return found


def _numbers(scores: Scores) -> tuple[float, ...]:
    return tuple(scores.values.values()) or (scores.value,)


def _difference(
    wanted: Answer | str, found: Scores | Failure, kind: Kind, tolerance: float, library: str
) -> tuple[str, float]:
    """What is wrong with the numbers of ONNX (nothing: empty), and how far they are off."""
    if isinstance(wanted, str):
        if isinstance(found, Failure):
            return "", 0.0
        return f"{library} raises {wanted}, ONNX says {found.value:.6g}", 0.0
    if isinstance(found, Failure):
        if not np.isfinite(wanted.values).all():  # neither has a score for it
            return "", 0.0
        return f"{library} says {_shown(wanted.values)}, ONNX fails ({found.reason})", 0.0
    numbers = _numbers(found)
    if len(numbers) != len(wanted.values):
        return f"{library} gives {len(wanted.values)} numbers, ONNX {len(numbers)}", 0.0
    off = scaled_difference(wanted.values, numbers, kind)
    if not off <= tolerance:  # NaN compares as False
        return f"{library} says {_shown(wanted.values)}, ONNX {_shown(numbers)}", off
    return "", off


def _tied(wanted: Answer, label: str | None, model: Model, tolerance: float) -> bool:
    """Whether this label is, within the tolerance, as good as the library's own."""
    kind = model.manifest.kind
    if kind is Kind.ANOMALY:
        return abs(wanted.values[0]) <= tolerance
    if kind is Kind.REGRESSOR or label is None or wanted.label is None:
        return False
    value = dict(zip(model.manifest.outputs.label_of().values(), wanted.values, strict=True))
    best = min(wanted.values) if kind is Kind.CLUSTERER else max(wanted.values)
    # A label of the library's own that is not that of the best class comes from a threshold, and is no tie.
    return all(abs(value[each] - best) <= 2 * tolerance for each in (label, wanted.label))


def _undecided(answer: Answer, kind: Kind, tolerance: float) -> bool:
    """Whether the library's two best classes are equally good within the tolerance."""
    if kind is Kind.REGRESSOR:
        return False
    if kind is Kind.ANOMALY:
        return abs(answer.values[0]) <= tolerance
    ordered = sorted(answer.values, reverse=kind is not Kind.CLUSTERER)
    first, second = next(pairwise(ordered), (0.0, 1.0))
    return abs(first - second) <= 2 * tolerance


def _said(answer: Scores | Failure) -> str:
    return f"'{answer.reason}'" if isinstance(answer, Failure) else f"{answer.value:.6g}"


def _shown(numbers: Sequence[float]) -> str:
    return ", ".join(f"{each:.6g}" for each in numbers)
