"""From payloads to columns: one typed numpy array for each input of the manifest.

A column is read in one go where all its values have the expected type, which is nearly always; otherwise
value by value, so that each wrong one becomes the failure of its own event, naming the field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from everscore.event.pointer import Absent, compile_pointer
from everscore.failures import Permanent, Stage
from everscore.score.input_form import Default, Input, InputType

type Array = np.ndarray[Any, np.dtype[Any]]
type Columns = dict[str, Array]

_INT64 = np.iinfo(np.int64)
_EXPECTED: Mapping[InputType, str] = {
    InputType.NUMBER: "a number",
    InputType.INTEGER: "a whole number",
    InputType.TEXT: "a text",
    InputType.BOOLEAN: "true or false",
}
FAST_TYPES: Mapping[InputType, frozenset[type]] = {
    # The types of values that numpy may read in one go. By exact type: bool is a subclass of int, and numpy
    # would take "5" for 5.0.
    InputType.NUMBER: frozenset({int, float}),
    InputType.INTEGER: frozenset({int}),
    InputType.TEXT: frozenset({str}),
    InputType.BOOLEAN: frozenset({bool}),
}


class ColumnReader:
    """Reads one input out of payloads.

    The column's dtype is float64 for numbers, int64 for integers, bool for booleans, object (of str) for
    texts; integers and booleans that may be NaN are float64.
    """

    def __init__(self, description: Input) -> None:
        self.name = description.name
        self.pointer = description.pointer
        self._type = description.type
        self._get = compile_pointer(description.pointer)
        self._missing = description.missing
        self._fast = FAST_TYPES[description.type]
        self.dtype = self._dtype()
        self._placeholder: object = "" if description.type is InputType.TEXT else 0
        if description.missing == "nan" and description.type is InputType.NUMBER:
            # numpy reads None as NaN, which is just what the manifest asks for.
            self._fast |= {type(None)}

    def _dtype(self) -> np.dtype[Any]:
        if self._type is InputType.TEXT:
            return np.dtype(object)
        if self._type is InputType.NUMBER or self._missing == "nan":
            return np.dtype(np.float64)
        return np.dtype(np.int64 if self._type is InputType.INTEGER else np.bool_)

    def read(self, payloads: Sequence[object], failures: dict[int, Permanent]) -> Array:
        """The column of all payloads; one that cannot be read has its failure, and a placeholder here."""
        get = self._get
        values = [get(payload) for payload in payloads]
        if self._fast.issuperset(map(type, values)):
            column = self._read_fast(values)
            if column is not None:
                return column
        column = self._empty(len(values))
        for index, value in enumerate(values):
            try:
                column[index] = self._read_one(value)
            except Permanent as failure:
                failures.setdefault(index, failure)
                column[index] = self._placeholder
        return column

    def _empty(self, rows: int) -> Array:
        return np.zeros(rows, self.dtype)

    def _read_fast(self, values: Sequence[object]) -> Array | None:
        try:
            column = np.array(values, self.dtype)
        except OverflowError:  # an integer beyond the dtype: one event's fault, found value by value
            return None
        if self._type is InputType.NUMBER:
            finite = np.isfinite(column)
            if not (finite.all() or (self._missing == "nan" and not np.isinf(column).any())):
                return None
        return column

    def _read_one(self, value: object) -> object:
        if value is None or value is Absent.MISSING or (isinstance(value, float) and math.isnan(value)):
            return self._read_missing(value)
        return self._converted(self._typed(value))

    def _converted(self, value: object) -> object:
        """What the column holds for a value of the right type."""
        return value

    def _typed(self, value: object) -> object:
        match self._type:
            case InputType.TEXT if isinstance(value, str):
                return value
            case InputType.BOOLEAN if isinstance(value, bool):
                return value
            case InputType.NUMBER if isinstance(value, int | float) and not isinstance(value, bool):
                try:
                    number = float(value)
                except OverflowError:
                    raise self._out_of_range("a 64-bit number") from None
                if math.isinf(number):
                    raise self._failure("input not finite", "is infinite")
                return number
            case InputType.INTEGER if isinstance(value, int) and not isinstance(value, bool):
                return self._whole(value)
            case InputType.INTEGER if isinstance(value, float) and value.is_integer():
                return self._whole(int(value))  # JSON writes one number as 5 or as 5.0
        raise self._failure("wrong type of input", f"must be {_EXPECTED[self._type]}, found {_kind(value)}")

    def _whole(self, value: int) -> int:
        if not _INT64.min <= value <= _INT64.max:
            raise self._out_of_range("a 64-bit integer")
        return value

    def _read_missing(self, value: object) -> object:
        if isinstance(self._missing, Default):
            return self._missing.value
        if self._missing == "nan":
            return math.nan
        if isinstance(value, float):
            raise self._failure(
                "input not finite", "is NaN, and the model's manifest does not allow it to be missing"
            )
        found = "null" if value is None else "missing"
        raise self._failure("input missing", f"is {found}, and the model's manifest does not allow that")

    def _out_of_range(self, place: str) -> Permanent:
        return self._failure("input out of range", f"does not fit {place}")

    def _failure(self, reason: str, what: str) -> Permanent:
        return Permanent(Stage.SCORE, reason, f"The input '{self.name}' {what}.", field=self.pointer)


def _kind(value: object) -> str:
    if value is Absent.BLOCKED:
        return "no object on the way to it"
    kinds: Mapping[type, str] = {
        bool: "a boolean",
        int: "a whole number",
        float: "a number",
        str: "a text",
        list: "an array",
        dict: "an object",
    }
    return kinds.get(type(value), f"a {type(value).__name__}")


def read_columns(
    readers: Sequence[ColumnReader], payloads: Sequence[object], failures: dict[int, Permanent]
) -> Columns:
    """All columns; the first failure of each payload that cannot be read is put under its index."""
    return {reader.name: reader.read(payloads, failures) for reader in readers}
