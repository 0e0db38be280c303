"""Inputs that are lists of numbers of a fixed shape, such as a sequence of readings or an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np

from everscore.score.columns import FAST_TYPES, Array, ColumnReader
from everscore.score.input_form import Input


class ListReader(ColumnReader):
    """Reads an input whose manifest has a ``shape``; see `everscore.score.columns.ColumnReader`.

    The column's shape is [rows, *shape]; its dtype is float64 for numbers, int64 for integers. Of numbers a
    null within the list is a NaN where the input may be missing as NaN; a list that is missing is all NaN
    then, or filled with the value that the manifest gives.
    """

    def __init__(self, description: Input) -> None:
        super().__init__(description)
        self._shape = description.shape or ()
        self._numbers = FAST_TYPES[description.type]
        if description.missing == "nan":
            self._numbers |= {type(None)}
        self._fast = frozenset({list})

    def _empty(self, rows: int) -> Array:
        return np.zeros((rows, *self._shape), self.dtype)

    def _read_fast(self, values: Sequence[object]) -> Array | None:
        flat: list[object] = list(values)
        for length in self._shape:
            if not all(type(each) is list and len(each) == length for each in flat):
                return None
            flat = list(chain.from_iterable(flat))  # type: ignore[arg-type]
        if not self._numbers.issuperset(map(type, flat)):
            return None
        try:
            column = np.array(flat, self.dtype).reshape(len(values), *self._shape)
        except (OverflowError, TypeError):  # an integer beyond the dtype: found number by number
            return None
        if column.dtype.kind == "f" and not np.isfinite(column).all() and not self._all_allowed(column):
            return None
        return column

    def _all_allowed(self, column: Array) -> bool:
        return self._missing == "nan" and not np.isinf(column).any()

    def _typed(self, value: object) -> object:
        return self._read_list(value, self._shape, "")

    def _read_list(self, value: object, shape: Sequence[int], place: str) -> object:
        if not shape:
            return self._read_number(value, place)
        lengths = " by ".join(str(each) for each in self._shape)
        if not isinstance(value, list):
            raise self._failure(
                "wrong shape of input", f"must be {lengths} numbers, and{_at(place)} holds no list"
            )
        if len(value) != shape[0]:
            raise self._failure(
                "wrong shape of input",
                f"must be {lengths} numbers, and{_at(place)} has {len(value)} of {shape[0]}",
            )
        return [self._read_list(each, shape[1:], f"{place}/{number}") for number, each in enumerate(value)]

    def _read_number(self, value: object, place: str) -> object:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            if self._missing == "nan":
                return math.nan
            raise self._failure("input missing", f"has no number{_at(place)}")
        if isinstance(value, float) and math.isinf(value):
            raise self._failure("input not finite", f"is infinite{_at(place)}")
        return super()._typed(value)


def _at(place: str) -> str:
    return f" at {place}" if place else ""
