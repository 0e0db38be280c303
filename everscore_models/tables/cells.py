"""Cells of CSV, which are texts: as what each column is read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable

from everscore.score.input_form import InputType

# A number of JSON: 00501 is none, and stays the text that an id or a postal code is.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_BOOLEANS = {"true": True, "false": False}
_ONE_AND_ZERO = {"1": "true", "0": "false"}
_EXACT = 2**53
_INFINITE = (math.inf, -math.inf)  # what 1e400 is read as


class Guess:
    """The type of a column of which nobody says it: all of its cells decide."""

    def __init__(self) -> None:
        self._given = False
        self._boolean = self._number = True

    def add(self, cells: Iterable[str]) -> None:
        """Look at some cells; the empty ones say nothing."""
        for cell in cells:
            if not cell:
                continue
            self._given = True
            if self._number and not _NUMBER.fullmatch(cell):
                self._number = False
            if self._boolean and cell.lower() not in _BOOLEANS:
                self._boolean = False
            if not (self._number or self._boolean):
                return

    @property
    def type(self) -> InputType:
        """Boolean or number where every cell is one, else text."""
        if self._given and self._boolean:
            return InputType.BOOLEAN
        return InputType.NUMBER if self._given and self._number else InputType.TEXT


def reader(kind: InputType) -> Callable[[str], object]:
    """Reads a cell as the type; one that is of another stays a text, which the model refuses by name."""
    if kind is InputType.TEXT:
        return str
    return _boolean if kind is InputType.BOOLEAN else _number


def _boolean(cell: str) -> object:
    return _BOOLEANS.get(_ONE_AND_ZERO.get(cell, cell.lower()), cell)


def _number(cell: str) -> object:
    if not _NUMBER.fullmatch(cell.strip()):
        return cell
    try:
        value = json.loads(cell)
    except ValueError:  # more digits than Python reads
        return cell
    if value in _INFINITE:
        return cell
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value
