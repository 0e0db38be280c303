"""What it is that differs between ONNX and the library: a sentence that goes by the rows that do."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from everscore.event.pointer import compile_pointer
from everscore.event.scores import Scores
from everscore.failures import Failure
from everscore.score.golden import scaled_difference
from everscore.score.input_form import Input
from everscore.score.model import Model
from everscore_models.candidate import Answer
from everscore_models.parity import Comparison, Difference
from everscore_models.probes import Trait, with_value
from everscore_models.trained import Payload

_ENOUGH = 4
"""Rows from which on a factor that they share is no accident."""
_TRIED_ROWS = 40
_TRIED_COLUMNS = 5
_TRIED_CLASSES = 6
_SAME_FACTOR = 1e-3


def refusal(
    found: Comparison, differences: Sequence[Difference], inputs: Sequence[Input], model: Model, library: str
) -> str:
    """The sentence of a refusal.

    Args:
        found: the comparison.
        differences: of it, those that count.
        inputs: of the model.
        model: as production loads it.
        library: whose model it is.
    """
    rows = {each.row for each in differences}
    first = differences[0]
    return (
        f"ONNX and {library} disagree on {len(rows):,} of {len(found.probes):,} rows (tolerance "
        f"{found.tolerance:g}; first: {first.probe.what}: {first.what}): "
        f"{_cause(found, differences, inputs, model, library)}. Nothing was written."
    )


def _cause(
    found: Comparison, differences: Sequence[Difference], inputs: Sequence[Input], model: Model, library: str
) -> str:
    if all(each.label_only for each in differences):
        return (
            "the numbers agree and only labels differ, as where two classes tie or where the library has a "
            "threshold of its own: compare the value with that threshold where scores are read, or leave "
            "the label out of the predictions"
        )
    real = {row for row, each in enumerate(found.probes) if each.real}
    wrong = {each.row for each in differences}
    if not real - wrong:
        whole = _of_all(found, differences, inputs, model)
        if whole:
            return whole
    shared = _of_some(found, differences, wrong)
    if shared:
        return shared
    return (
        "nothing that these rows share tells why. Values near a split, or columns of a wide range such as "
        f"time stamps, differ since ONNX computes in 32 bits: compare what {library} was given with the "
        "events, row by row; bring such columns near zero in features.py, and put no scaler before trees"
    )


def _of_some(found: Comparison, differences: Sequence[Difference], wrong: set[int]) -> str | None:
    """What all differing rows have, and not all others."""
    missing = found.frame.isna().to_numpy()
    nulls = {row for row in range(len(missing)) if missing[row].any()}
    traits = {row: found.probes[row].trait for row in range(len(found.probes))}
    nulls |= {row for row, trait in traits.items() if trait is Trait.NULL}
    if wrong <= nulls:
        return (
            f"only rows with a null differ ({_columns(found, differences, missing)}), for which ONNX takes "
            'another branch. Give the input a value for it ("missing": {"value": …}) and train with that, or '
            'refuse such events ("missing": "reject")'
        )
    wrong -= nulls
    for trait, what in (
        (Trait.UNSEEN, _UNSEEN),
        (Trait.FRACTION, _FRACTION),
        (Trait.BOOLEAN, _BOOLEAN),
    ):
        rows = {row for row in range(len(found.probes)) if traits[row] is trait}
        if wrong <= rows:
            return what.format(columns=_names(found, wrong))
    zeros = _zeros(found)
    if wrong <= zeros and len(zeros) < len(found.probes):
        return _ZERO.format(columns=_names(found, wrong))
    extremes = {row for row, trait in traits.items() if trait is Trait.EXTREME}
    if wrong <= extremes:
        return _EXTREME.format(columns=_names(found, wrong))
    return None


_UNSEEN = (
    "only rows with a text or category that training never saw differ ({columns}). Let the encoder ignore "
    'them (handle_unknown="ignore"), or list the values as categories of the input'
)
_FRACTION = (
    "only rows with a fraction where training had whole numbers differ ({columns}): a category's code is cut "
    "to a whole number by the library, and not by ONNX. Let the events hold whole numbers (the input's type "
    'is "integer"), or list the categories (--categories)'
)
_BOOLEAN = "only rows whose boolean was changed differ ({columns}): train with 0 and 1 instead"
_ZERO = (
    "only rows with a zero differ ({columns}), which the model takes for a missing value (LightGBM's "
    "zero_as_missing) and ONNX for a number. Train with zero_as_missing=False, and with NaN for what is "
    "missing"
)
_EXTREME = (
    "only rows with a value far outside of what training saw differ ({columns}): cut such values in "
    "features.py, in training and serving alike"
)


def _zeros(found: Comparison) -> set[int]:
    numbers = found.frame.select_dtypes("number")
    if numbers.shape[1] == 0:
        return set()
    return set(np.flatnonzero((numbers.to_numpy() == 0).any(axis=1)).tolist())


def _columns(found: Comparison, differences: Sequence[Difference], missing: np.ndarray) -> str:
    counts: Counter[str] = Counter()
    for row in {each.row for each in differences}:
        counts.update(str(name) for name, absent in zip(found.frame, missing[row], strict=True) if absent)
    if not counts:
        return _names(found, {each.row for each in differences})
    return ", ".join(f"'{name}' in {count}" for name, count in counts.most_common(5))


def _names(found: Comparison, rows: set[int]) -> str:
    counts = Counter(found.probes[row].column for row in rows if found.probes[row].column is not None)
    return ", ".join(f"'{name}'" for name, _ in counts.most_common(5)) or "in several columns"


def _of_all(
    found: Comparison, differences: Sequence[Difference], inputs: Sequence[Input], model: Model
) -> str | None:
    """What is wrong where every real row differs."""
    pairs = [
        (each.wanted, each.found)
        for each in differences
        if each.probe.real and isinstance(each.wanted, Answer) and isinstance(each.found, Scores)
    ]
    if len(pairs) < _ENOUGH:
        return None
    order = _order(found, inputs, model)
    if order is not None:
        return (
            "all rows differ, and agree where the model is given its columns in another order: "
            f"{', '.join(order)}. Name the fields in the order of training (--columns)"
        )
    classes = _classes(pairs, found.tolerance)
    if classes is not None:
        return (
            "all rows differ, and agree where the classes stand in another order: give them in the order of "
            f"the file's columns (--labels {','.join(classes)})"
        )
    factor = _factor(pairs)
    if factor is not None:
        return (
            f"all rows differ by one factor, ONNX gives {factor:.4g} times what the library does: as where a "
            "forest's sum is taken for its mean, or logits for probabilities (--transform). Convert it with "
            "a newer converter, or add the library's own file"
        )
    labels = {got.label for _, got in pairs}
    if len(labels) == 1 and None not in labels and len({wanted.label for wanted, _ in pairs}) > 1:
        return (
            f"ONNX gives every row the class '{labels.pop()}', as where a random forest of LightGBM was "
            "divided by its number of trees once too often, or logits were taken for probabilities "
            "(--transform). Add the library's own file instead of its conversion"
        )
    return None


def _classes(pairs: Sequence[tuple[Answer, Scores]], tolerance: float) -> list[str] | None:
    """The classes in the order of the file's columns, if its numbers are the library's in another order."""
    names = list(pairs[0][1].values)
    if not 2 <= len(names) <= _TRIED_CLASSES or any(len(each.values) != len(names) for each, _ in pairs):
        return None
    wanted = np.array([each.values for each, _ in pairs])
    got = np.array([list(each.values.values()) for _, each in pairs])
    for order in itertools.permutations(range(len(names))):
        if bool((np.abs(got[:, order] - wanted) <= tolerance).all()):
            # The column in this place holds what the library calls so.
            return [names[order.index(column)] for column in range(len(names))]
    return None


def _factor(pairs: Sequence[tuple[Answer, Scores]]) -> float | None:
    wanted = np.array([each.values[-1] for each, _ in pairs])
    got = np.array([(tuple(each.values.values()) or (each.value,))[-1] for _, each in pairs])
    large = np.abs(wanted) > 1e-6
    if large.sum() < _ENOUGH:
        return None
    ratios = got[large] / wanted[large]
    middle = float(np.median(ratios))
    if middle == 0 or np.ptp(wanted[large]) == 0:
        return None
    return middle if bool((np.abs(ratios / middle - 1) < _SAME_FACTOR).all()) else None


def _order(found: Comparison, inputs: Sequence[Input], model: Model) -> list[str] | None:
    """The order of columns in which ONNX says what the library does, where there is one."""
    rows = [
        row for row, each in enumerate(found.probes) if each.real and isinstance(found.expected[row], Answer)
    ][:_TRIED_ROWS]
    payloads = [found.probes[row].payload for row in rows]
    for order in _orders(inputs):
        changed = [_reordered(each, inputs, order) for each in payloads]
        scored = model.score(changed)
        if all(
            _agrees(found.expected[row], got, model, found.tolerance)
            for row, got in zip(rows, scored, strict=True)
        ):
            return [inputs[place].name for place in order]
    return None


def _orders(inputs: Sequence[Input]) -> Iterator[tuple[int, ...]]:
    """Orders of columns of one type: all of few columns; of more, two of them exchanged."""
    same = {place: each.type for place, each in enumerate(inputs) if each.shape is None}
    places = tuple(range(len(inputs)))
    if len(inputs) <= _TRIED_COLUMNS:
        tried: Iterator[tuple[int, ...]] = itertools.permutations(places)
    else:
        tried = (_exchanged(places, one, other) for one, other in itertools.combinations(places[:20], 2))
    for order in tried:
        if order != places and all(
            to == place or (place in same and same.get(to) == same[place]) for place, to in enumerate(order)
        ):
            yield order


def _exchanged(places: tuple[int, ...], one: int, other: int) -> tuple[int, ...]:
    changed = list(places)
    changed[one], changed[other] = other, one
    return tuple(changed)


def _reordered(payload: Payload, inputs: Sequence[Input], order: Sequence[int]) -> Payload:
    changed = payload
    for place, source in enumerate(order):
        if place != source:
            value = compile_pointer(inputs[source].pointer)(payload)
            changed = with_value(changed, inputs[place].pointer, value)
    return changed


def _agrees(wanted: Answer | str, got: Scores | Failure, model: Model, tolerance: float) -> bool:
    if isinstance(wanted, str) or isinstance(got, Failure):
        return False
    numbers = tuple(got.values.values()) or (got.value,)
    return (
        len(numbers) == len(wanted.values)
        and scaled_difference(wanted.values, numbers, model.manifest.kind) <= tolerance
    )
