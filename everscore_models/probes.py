"""The payloads on which a model is compared with its library: real ones, and ones made from them.

A converter goes wrong where training data seldom are: at nulls, zeros, extremes, texts and categories that
were never seen, and fractions where training had whole numbers.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from everscore.event.pointer import parse_pointer
from everscore.score.columns import Array
from everscore.score.input_form import Input, InputType
from everscore_models.errors import ExportError
from everscore_models.payloads import read_readable
from everscore_models.trained import Payload

MAX_HELD_OUT = 2000
# Of rows with one missing value, and of rows with two: a branch that only missing values reach may be rare.
MAX_ONE_MISSING = 4000
MAX_ONE_MISSING_EACH = 400
MAX_TWO_MISSING = 2000
# Rows of which one number is made zero, or is given a fraction.
MAX_CHANGED = 1000
MAX_CHANGED_EACH = 40
UNSEEN = "\N{EMPTY SET} never seen in training"


class Trait(StrEnum):
    """What is odd about a payload, and so what a difference there may come from."""

    REAL = "real"
    NULL = "null"
    ZERO = "zero"
    EXTREME = "extreme"
    UNSEEN = "unseen"
    FRACTION = "fraction"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Probe:
    """A payload to compare.

    Attributes:
        what: it is, for a sentence.
        payload: the event.
        trait: what is odd about it.
        column: the input that was changed, where it was one.
    """

    what: str
    payload: Payload
    trait: Trait = Trait.REAL
    column: str | None = None

    @property
    def real(self) -> bool:
        """Whether it is an event as it came."""
        return self.trait is Trait.REAL


def evenly[T](payloads: Sequence[T], most: int = MAX_HELD_OUT) -> tuple[Sequence[T], int]:
    """At most so many of the payloads, evenly spread, and the step between two."""
    step = max(1, len(payloads) // most)
    return payloads[::step][:most], step


def probes(payloads: Sequence[Payload], inputs: Sequence[Input]) -> list[Probe]:
    """Up to `MAX_HELD_OUT` of the payloads, evenly spread, and the rows made from them.

    Raises:
        ExportError: there are no payloads.
    """
    if not payloads:
        raise ExportError(
            "There are no held-out payloads: without them nobody knows whether the ONNX file is right."
        )
    chosen, step = evenly(payloads)
    found = [Probe(f"held-out row {row * step}", payload) for row, payload in enumerate(chosen)]
    frame, refused = read_readable(chosen, inputs)
    known = frame.drop(index=list(refused))
    for base in (chosen[0], chosen[len(chosen) // 2], chosen[-1]):
        found += _made_from(base, inputs, known)
    found += _changed(chosen, inputs, known)
    found += _with_missing(chosen, [each for each in inputs if each.missing != "reject"])
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
            for row in _spread(number, each_has, len(chosen)):
                payload = chosen[row]
                for each in group:
                    payload = with_value(payload, each.pointer, None)
                column = names[0] if len(names) == 1 else None
                yield Probe(f"held-out row {row} where {what}", payload, Trait.NULL, column)


def _changed(chosen: Sequence[Payload], inputs: Sequence[Input], frame: pd.DataFrame) -> Iterator[Probe]:
    """Each number made zero on several rows; and, where all were whole numbers, given a fraction."""
    numbers = [each for each in inputs if _is_plain_number(each)]
    each_has = min(MAX_CHANGED_EACH, MAX_CHANGED // max(1, len(numbers)), len(chosen))
    for number, each in enumerate(numbers):
        column = frame[each.name].to_numpy(dtype=np.float64)
        whole = each.type is InputType.NUMBER and _all_whole(column)
        for row in _spread(number, each_has, len(chosen)):
            zero = with_value(chosen[row], each.pointer, 0)
            yield Probe(f"held-out row {row} where '{each.name}' is 0", zero, Trait.ZERO, each.name)
            if whole and len(column):
                value = float(column[row % len(column)]) + 0.5
                if np.isfinite(value):
                    yield Probe(
                        f"held-out row {row} where '{each.name}' is {value:g}, a fraction",
                        with_value(chosen[row], each.pointer, value),
                        Trait.FRACTION,
                        each.name,
                    )


def _is_plain_number(description: Input) -> bool:
    number = description.type in (InputType.NUMBER, InputType.INTEGER)
    return number and description.shape is None and description.categories is None


def _all_whole(column: Array) -> bool:
    finite = column[np.isfinite(column)]
    return bool(len(finite)) and bool((finite == np.floor(finite)).all())


def _spread(number: int, count: int, rows: int) -> Iterator[int]:
    """So many of the rows; other ones for each number, so that all together see as many as they can."""
    for place in range(count):
        yield (number + place * rows // count) % rows


def _made_from(base: Payload, inputs: Sequence[Input], frame: pd.DataFrame) -> Iterator[Probe]:
    nothing = copy.deepcopy(base)
    for each in inputs:
        for value, trait in _odd_values(each, frame[each.name]):
            yield Probe(
                f"'{each.name}' is {_shown(value)}", with_value(base, each.pointer, value), trait, each.name
            )
        yield Probe(f"'{each.name}' is null", with_value(base, each.pointer, None), Trait.NULL, each.name)
        nothing = with_value(nothing, each.pointer, None)
    yield Probe("every input is null", nothing, Trait.NULL)


def _odd_values(description: Input, column: pd.Series[Any]) -> list[tuple[Any, Trait]]:
    if description.categories is not None:
        return [(value, Trait.UNSEEN) for value in _unseen_categories(description)]
    if description.type is InputType.TEXT:
        return [(UNSEEN, Trait.UNSEEN), ("", Trait.UNSEEN)]
    if description.type is InputType.BOOLEAN:
        return [(True, Trait.BOOLEAN), (False, Trait.BOOLEAN)]
    seen = np.concatenate([np.ravel(each) for each in column]) if description.shape else column.to_numpy()
    known = seen[np.isfinite(seen)] if seen.dtype.kind == "f" else seen
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    span = max(high - low, 1.0)
    values = [low, high, low - 10 * span, high + 10 * span, 0.0, -1.0]
    if description.type is InputType.INTEGER:
        values = [int(each) for each in values]
    return [(_filled(each, description.shape), Trait.ZERO if each == 0 else Trait.EXTREME) for each in values]


def _unseen_categories(description: Input) -> list[Any]:
    if description.type is InputType.TEXT:
        return [UNSEEN, ""]
    if description.type is InputType.BOOLEAN:
        return [True, False]
    known = [each for each in description.categories or () if not isinstance(each, str)]
    return [max(known) + 1, min(known) - 1]


def _filled(value: Any, shape: Sequence[int] | None) -> Any:
    """The value, or a list of that shape that holds it everywhere."""
    return value if not shape else [_filled(value, shape[1:])] * shape[0]


def _shown(value: Any) -> str:
    while isinstance(value, list):
        value = value[0]
    return repr(value)


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
