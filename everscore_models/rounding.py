"""Rows near a split: ONNX reads 32-bit floats, and a library that reads 64-bit ones goes the other way there.

Such a row is no fault of the conversion if ONNX gives exactly what the library itself gives for the inputs
rounded to 32 bits, or for the smallest numbers that round to the same: thresholds are rounded too, and
`x <= threshold` then holds for all numbers that round as the threshold does. How large the share of such rows
is tells whether the model can do with 32 bits at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from everscore.score.golden import scaled_difference
from everscore.score.onnx import bisect
from everscore.score.output_form import Kind
from everscore_models.candidate import Answer, Predict


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its numbers as 32-bit floats hold them; a number beyond their range stays as it is."""
    numbers = {name: column for name, column in frame.items() if column.dtype.kind in "iuf"}
    return frame.assign(**{str(name): _rounded(column) for name, column in numbers.items()})


def _rounded(column: pd.Series) -> pd.Series:
    exact = column.astype(np.float64)
    with np.errstate(over="ignore"):
        near = exact.astype(np.float32).astype(np.float64)
    return near.where(np.isfinite(near) | ~np.isfinite(exact), exact)


def _smallest(near: pd.Series) -> pd.Series:
    """The smallest 64-bit numbers that 32 bits round to those of a column of `rounded`.

    Zero stays: it is exact, and a sign of its own to models that take zeros for missing.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        below = np.nextafter(near.astype(np.float32), np.float32(-np.inf)).astype(np.float64)
        between = (near + below) / 2
        # Halfway between two the even one is taken, which is at times the lower.
        smallest = between.where(between.astype(np.float32) == near, np.nextafter(between, np.inf))
    return smallest.where(np.isfinite(below) & np.isfinite(smallest) & (near != 0), near)


def agree_when_rounded(
    predict: Predict, frame: pd.DataFrame, found: Sequence[Answer], kind: Kind, tolerance: float
) -> list[bool]:
    """Whether ONNX gives what the library does of the rounded inputs, or of the smallest that round so.

    Args:
        predict: the library's answers; what it raises is the row's own, which then does not agree.
        frame: the rows on which ONNX and the library differ, as the library was given them.
        found: what ONNX says of each.
        kind: what the model predicts.
        tolerance: the largest difference that counts as equal.
    """
    near = rounded(frame).reset_index(drop=True)
    agree = _agree(predict, near, found, kind, tolerance)
    differing = np.flatnonzero(~np.array(agree, bool))
    if len(differing):
        numbers = [name for name, column in near.items() if column.dtype.kind == "f"]
        smallest = near.iloc[differing].reset_index(drop=True)
        smallest = smallest.assign(**{str(name): _smallest(smallest[name]) for name in numbers})
        second = _agree(predict, smallest, [found[row] for row in differing.tolist()], kind, tolerance)
        for row, agrees in zip(differing.tolist(), second, strict=True):
            agree[row] = agrees
    return agree


def _agree(
    predict: Predict, frame: pd.DataFrame, found: Sequence[Answer], kind: Kind, tolerance: float
) -> list[bool]:
    agree: list[bool] = []
    for rows, outcome in bisect(lambda part: predict(frame.iloc[part].reset_index(drop=True)), len(frame)):
        if isinstance(outcome, Exception):
            agree += [False] * len(rows)
            continue
        agree += [
            wanted.label == found[row].label
            and scaled_difference(wanted.values, found[row].values, kind) <= tolerance
            for row, wanted in zip(rows.tolist(), outcome, strict=True)
        ]
    return agree
