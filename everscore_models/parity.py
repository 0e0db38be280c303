"""The parity gate: an ONNX file is written only if it answers as the pipeline does.

Compared are whole payloads, through the code that scores in production: held-out rows, and rows made from
them with extreme, missing and unseen values. A row that scikit-learn refuses must be refused by ONNX too.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from everscore.event.pointer import parse_pointer
from everscore.event.scores import Scores
from everscore.failures import Failure
from everscore.score.columns import Array
from everscore.score.golden import GOLDEN_ROWS, GoldenRow, scaled_difference
from everscore.score.input_form import Input, InputType
from everscore.score.manifest import Manifest
from everscore.score.model import Model
from everscore.score.onnx import bisect
from everscore.score.output_form import Kind
from everscore_models.candidate import Answer
from everscore_models.errors import ExportError
from everscore_models.payloads import read_readable
from everscore_models.trained import Payload, Trained

MAX_HELD_OUT = 2000
# Of rows with one missing value, and of rows with two: a branch that only missing values reach may be rare.
MAX_ONE_MISSING = 4000
MAX_ONE_MISSING_EACH = 400
MAX_TWO_MISSING = 2000
UNSEEN = "\N{EMPTY SET} never seen in training"

_CHOICES = (
    "no file was written. Choices: no scaler before trees, whose thresholds flip by rounding; columns of a "
    "wide range, such as time stamps, brought near zero in features.py, since ONNX computes in float32; "
    "another model"
)


@dataclass(frozen=True, slots=True)
class Probe:
    """A payload to compare, what it is, and whether it is a held-out one as it came."""

    what: str
    payload: Payload
    real: bool = False


def probes(trained: Trained) -> list[Probe]:
    """Up to `MAX_HELD_OUT` of the held-out rows, evenly spread, and the rows made from them."""
    held_out = trained.held_out
    if not held_out:
        raise ExportError(
            "There are no held-out payloads: without them nobody knows whether the ONNX file is right."
        )
    step = max(1, len(held_out) // MAX_HELD_OUT)
    chosen = held_out[::step][:MAX_HELD_OUT]
    found = [Probe(f"held-out row {row * step}", payload, real=True) for row, payload in enumerate(chosen)]
    frame, _ = read_readable(chosen, trained.inputs)
    bases = [chosen[0], chosen[len(chosen) // 2], chosen[-1]]
    for base in bases:
        found += _made_from(base, trained.inputs, frame)
    found += _with_missing(chosen, [each for each in trained.inputs if each.missing != "reject"])
    return found


def _with_missing(chosen: Sequence[Payload], inputs: Sequence[Input]) -> Iterator[Probe]:
    """Each input that may be missing, null on many rows; and each pair of them.

    A model that has learned from missing values may have one branch in thousands that only they reach.
    """
    ones = [(each,) for each in inputs]
    twos = list(itertools.combinations(inputs, 2))
    for groups, most in ((ones, MAX_ONE_MISSING), (twos, MAX_TWO_MISSING)):
        if not groups:
            continue
        each_has = min(MAX_ONE_MISSING_EACH, max(1, most // len(groups)), len(chosen))
        for number, group in enumerate(groups[:: -(-len(groups) // most)]):
            names = tuple(each.name for each in group)
            what = " and ".join(f"'{name}'" for name in names) + (
                " is null" if len(names) == 1 else " are null"
            )
            for place in range(each_has):
                # Other rows for each group, so that all together see as many as they can.
                row = (number + place * len(chosen) // each_has) % len(chosen)
                payload = chosen[row]
                for each in group:
                    payload = with_value(payload, each.pointer, None)
                yield Probe(f"held-out row {row} where {what}", payload)


def _made_from(base: Payload, inputs: Sequence[Input], frame: pd.DataFrame) -> Iterator[Probe]:
    nothing = copy.deepcopy(base)
    for each in inputs:
        for value in _odd_values(each, frame[each.name].to_numpy()):
            yield Probe(f"'{each.name}' is {value!r}", with_value(base, each.pointer, value))
        yield Probe(f"'{each.name}' is null", with_value(base, each.pointer, None))
        nothing = with_value(nothing, each.pointer, None)
    yield Probe("every input is null", nothing)


def _odd_values(description: Input, seen: Array) -> list[Any]:
    if description.type is InputType.TEXT:
        return [UNSEEN, ""]
    if description.type is InputType.BOOLEAN:
        return [True, False]
    known = seen[np.isfinite(seen)] if seen.dtype.kind == "f" else seen
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    span = max(high - low, 1.0)
    values = [low, high, low - 10 * span, high + 10 * span, 0.0, -1.0]
    return [int(each) for each in values] if description.type is InputType.INTEGER else values


def with_value(payload: Payload, pointer: str, value: Any) -> Payload:
    """A copy of the payload with another value where the pointer points; objects on the way are made."""
    changed: Any = copy.deepcopy(payload)
    tokens = parse_pointer(pointer)
    if not tokens:
        raise ExportError("An input's pointer is empty: a payload is an object, and inputs are its fields.")
    container: Any = changed
    for token in tokens[:-1]:
        inner = container[int(token)] if isinstance(container, list) else container.get(token)
        if inner is None:
            inner = container[token] = {}
        container = inner
    if isinstance(container, list):
        container[int(tokens[-1])] = value
    else:
        container[tokens[-1]] = value
    result: Payload = changed
    return result


def compare(
    trained: Trained, manifest: Manifest, model: Model, features: Callable[[pd.DataFrame], pd.DataFrame]
) -> tuple[int, float]:
    """Compares the pipeline with the loaded ONNX model on all probes.

    Returns:
        How many rows both scored, and the largest difference.

    Raises:
        ExportError: they differ by more than the tolerance, in a label, or in what they refuse.
    """
    rows = probes(trained)
    payloads = [each.payload for each in rows]
    frame, refused = read_readable(payloads, trained.inputs)
    kept = [index for index in range(len(rows)) if index not in refused]
    expected = _answers(trained.pipeline, manifest, features(frame.iloc[kept].reset_index(drop=True)))
    scored = model.score([payloads[index] for index in kept])
    largest, compared = 0.0, 0
    faults: list[tuple[int, str]] = []
    for index, wanted, found in zip(kept, expected, scored, strict=True):
        fault, difference = _difference(wanted, found, manifest, trained.tolerance)
        if fault:
            faults.append((index, fault))
        elif isinstance(wanted, Answer):
            compared += 1
            largest = max(largest, difference)
    if faults:
        raise ExportError(
            f"ONNX and scikit-learn disagree on {len(faults)} of {len(kept)} rows (tolerance "
            f"{trained.tolerance:g}; first: {rows[faults[0][0]].what}: {faults[0][1]})"
            f"{_what_they_share(frame.iloc[[index for index, _ in faults]])}: {_CHOICES}."
        )
    if not any(rows[index].real for index in kept):
        raise ExportError("Not one held-out payload can be scored: compare the inputs with the payloads.")
    return compared, largest


def _what_they_share(differing: pd.DataFrame) -> str:
    """What all the differing rows have in common, where that is a missing value."""
    missing = differing.isna()
    if not missing.any(axis=1).all():
        return ""
    counts = missing.sum().sort_values(ascending=False)
    names = ", ".join(f"'{name}' in {count}" for name, count in counts[counts > 0].head(5).items())
    return (
        f"; only rows with a missing value differ ({names}), for which ONNX takes another branch than the "
        'model. Give the input a value for it ("missing": {"value": …}) and train with that, or refuse such '
        'events ("missing": "reject")'
    )


def golden_rows(
    trained: Trained, manifest: Manifest, features: Callable[[pd.DataFrame], pd.DataFrame]
) -> list[GoldenRow]:
    """Rows for golden.jsonl: of the sample, or else the held-out rows, spread over the scores.

    The scores are scikit-learn's own. A row on which it is undecided within the tolerance is left out, since
    its label may change with the last bit.
    """
    payloads = list(trained.sample or trained.held_out[:MAX_HELD_OUT])
    frame, refused = read_readable(payloads, trained.inputs)
    kept = [index for index in range(len(payloads)) if index not in refused]
    answers = _answers(trained.pipeline, manifest, features(frame.iloc[kept].reset_index(drop=True)))
    rows = [
        _golden(payloads[index], answer, manifest)
        for index, answer in zip(kept, answers, strict=True)
        if isinstance(answer, Answer) and not _tied(answer, manifest.kind, trained.tolerance)
    ]
    rows.sort(key=lambda row: row.value)
    if len(rows) <= GOLDEN_ROWS:
        return rows
    return [rows[round(place)] for place in np.linspace(0, len(rows) - 1, GOLDEN_ROWS)]


def _golden(payload: Payload, answer: Answer, manifest: Manifest) -> GoldenRow:
    if manifest.kind not in (Kind.CLASSIFIER, Kind.MULTICLASS):
        return GoldenRow(payload, answer.label, _rounded(answer.values[0]))
    values = {
        label: _rounded(value)
        for label, value in zip(manifest.outputs.label_of().values(), answer.values, strict=True)
    }
    positive = manifest.outputs.positive
    value = max(values.values()) if positive is None else values[positive]
    return GoldenRow(payload, answer.label, value, values)


def _rounded(value: float) -> float:
    """To nine digits: far within any tolerance, and the same text on machines that sum in another order."""
    return float(f"{value:.9g}")


def _answers(pipeline: Any, manifest: Manifest, frame: pd.DataFrame) -> list[Answer | str]:
    """What scikit-learn says of each row, or the name of what it raises for that row alone."""
    answers: list[Answer | str] = []
    for _, outcome in bisect(lambda rows: _predict(pipeline, manifest, frame.iloc[rows]), len(frame)):
        answers += [type(outcome).__name__] if isinstance(outcome, Exception) else outcome
    return answers


def _predict(pipeline: Any, manifest: Manifest, frame: pd.DataFrame) -> list[Answer]:
    given = frame if hasattr(pipeline, "feature_names_in_") else frame.to_numpy()
    if manifest.kind is Kind.REGRESSOR:
        return [Answer((float(each),), None) for each in np.asarray(pipeline.predict(given)).reshape(-1)]
    label_of = manifest.outputs.label_of()
    labels = [label_of[each] for each in np.asarray(pipeline.predict(given)).tolist()]
    if manifest.kind is Kind.ANOMALY:
        numbers = np.asarray(pipeline.decision_function(given)).reshape(-1, 1)
    else:
        numbers = pipeline.predict_proba(given)
    return [Answer(tuple(row), label) for row, label in zip(numbers.tolist(), labels, strict=True)]


def _difference(
    wanted: Answer | str, found: Scores | Failure, manifest: Manifest, tolerance: float
) -> tuple[str, float]:
    """What is wrong with an answer of ONNX (nothing: empty), and how far it is off."""
    if isinstance(wanted, str):
        if isinstance(found, Failure):
            return "", 0.0
        return f"scikit-learn raises {wanted}, ONNX says {found.value:.6g}", 0.0
    if isinstance(found, Failure):
        return f"scikit-learn says {_shown(wanted)}, ONNX fails ({found.reason})", 0.0
    numbers = tuple(found.values.values()) or (found.value,)
    difference = scaled_difference(wanted.values, numbers, manifest.kind)
    if not difference <= tolerance:  # NaN compares as False
        return (
            f"scikit-learn says {_shown(wanted)}, ONNX {', '.join(f'{each:.6g}' for each in numbers)}",
            difference,
        )
    if wanted.label != found.label and not _tied(wanted, manifest.kind, tolerance):
        return f"scikit-learn says '{wanted.label}', ONNX '{found.label}'", difference
    return "", difference


def _tied(wanted: Answer, kind: Kind, tolerance: float) -> bool:
    """Whether scikit-learn itself is undecided within the tolerance."""
    if kind is Kind.REGRESSOR:
        return False
    if kind is Kind.ANOMALY:
        return abs(wanted.values[0]) <= tolerance
    first, second = sorted(wanted.values)[-1:-3:-1]
    return first - second <= 2 * tolerance


def _shown(answer: Answer) -> str:
    return ", ".join(f"{each:.6g}" for each in answer.values)
