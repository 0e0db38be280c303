"""The inputs of a graph as columns of a model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto

from everscore.score.input_form import LARGEST_LIST, InputType
from everscore.score.tensors import NodeArg, dtype_of
from everscore_models.candidate import Column
from everscore_models.errors import ExportError
from everscore_models.graph.cutting import reads
from everscore_models.graph.locale import nodes_within
from everscore_models.graph.trial import Trial

_TYPES: Mapping[str, InputType] = {
    "f": InputType.NUMBER,
    "i": InputType.INTEGER,
    "u": InputType.INTEGER,
    "b": InputType.BOOLEAN,
    "O": InputType.TEXT,
}
# Of these it is known what they make of a NaN; a net may pass one on, or lose it on the way as a GRU does.
_TREES = frozenset({"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"})
_ON_THE_WAY = frozenset(
    {"Identity", "Cast", "Concat", "FeatureVectorizer", "Reshape", "Flatten", "Unsqueeze", "Imputer", "IsNaN"}
)


def columns_of(
    model: ModelProto, trial: Trial, values: Sequence[str]
) -> tuple[list[Column], dict[str, list[str]]]:
    """The columns that a graph takes, in their order, and the tensors that join several of them.

    An input of one number, text or boolean a row is a column; one of more is a list, unless the file's
    metadata name the columns of a matrix (``feature_names``, as a JSON list or parted by commas).

    Args:
        model: the graph, cut to what is used.
        trial: the same, loaded.
        values: the outputs with the numbers, which show what becomes of a NaN.

    Raises:
        ExportError: an input is none that an event could fill; the sentence says why, and the way out.
    """
    shapes = {each.name: _shape(each) for each in trial.inputs}
    named = _named_features(model)
    columns: list[Column] = []
    tensors: dict[str, list[str]] = {}
    for each in trial.inputs:
        kind, shape = _type(each), shapes[each.name]
        takes_nan = _takes_nan(model, trial, each.name, values) if kind is InputType.NUMBER else None
        if math.prod(shape) == 1 and len(shape) <= 1:
            columns.append(Column(name=each.name, type=kind, takes_nan=takes_nan))
        elif len(shape) == 1 and len(named) == shape[0] and len(trial.inputs) == 1:
            columns += [Column(name=name, type=kind, takes_nan=takes_nan) for name in named]
            tensors[each.name] = named
        elif kind in (InputType.NUMBER, InputType.INTEGER):
            columns.append(Column(name=each.name, type=kind, takes_nan=takes_nan, shape=shape))
        elif len(shape) > 1:
            raise ExportError(
                f"The input '{each.name}' takes lists of lists that are no numbers: export the model with "
                "one row of them for each event."
            )
        else:
            # Only numbers come in lists; texts and booleans are columns side by side.
            names = [f"{each.name}_{number}" for number in range(shape[0])]
            columns += [Column(name=name, type=kind) for name in names]
            tensors[each.name] = names
    return columns, tensors


def _type(argument: NodeArg) -> InputType:
    dtype = dtype_of(argument.type)
    if dtype is None:
        raise ExportError(
            f"The input '{argument.name}' is a {argument.type}, which no event can hold: export the model "
            "with inputs of float, double, float16, whole numbers, bool or string."
        )
    return _TYPES[dtype.kind]


def _shape(argument: NodeArg) -> tuple[int, ...]:
    """Of one row."""
    shape = argument.shape
    shown = ", ".join(str(each) if isinstance(each, int) else "…" for each in shape)
    if not shape:
        raise ExportError(
            f"The input '{argument.name}' has no dimension of rows: export the model for many rows, as [N, "
            "1]."
        )
    if len(shape) == 1 and isinstance(shape[0], int) and shape[0] > 1:
        raise ExportError(
            f"The input '{argument.name}' has the shape [{shown}], where the first dimension is that of the "
            f"rows: export the model with one before it, as [N, {shown}]."
        )
    row = shape[1:]
    if not all(isinstance(each, int) for each in row):
        raise ExportError(
            f"The input '{argument.name}' has the shape [{shown}], which leaves open how many numbers a row "
            "has: export the model with a fixed length, only the first dimension free."
        )
    fixed = tuple(int(each) for each in row if each is not None)
    if math.prod(fixed) > LARGEST_LIST:
        raise ExportError(
            f"The input '{argument.name}' takes {math.prod(fixed):,} numbers a row: at most {LARGEST_LIST:,}."
        )
    return fixed


def _named_features(model: ModelProto) -> list[str]:
    for each in model.metadata_props:
        if each.key.lower() in ("feature_names", "features", "columns"):
            try:
                found: Any = json.loads(each.value)
            except ValueError:
                found = each.value.split(",")
            names = [str(name).strip() for name in found] if isinstance(found, list) else []
            return names if all(names) and len(set(names)) == len(names) else []
    return []


def _takes_nan(model: ModelProto, trial: Trial, name: str, values: Sequence[str]) -> bool | None:
    """Whether a row may have a NaN there: it may not where the score becomes one, and may in trees."""
    feed = trial.zeros()
    before = trial.run(feed)
    feed[name] = np.full_like(feed[name], np.nan)
    after = trial.run(feed)
    if before is None or after is None or not _finite(before, values):
        return None
    if not _finite(after, values):
        return False
    if _reaches_only_trees(model, name):
        return True
    return None if _may_know_nan(model) else False


def _finite(outputs: Mapping[str, Any], values: Sequence[str]) -> bool:
    return all(np.isfinite(np.asarray(outputs[name], np.float64)).all() for name in values)


def _may_know_nan(model: ModelProto) -> bool:
    """Whether something in the graph could tell a NaN from a number: else a finite score has only lost it."""
    return any(
        node.op_type in _TREES
        or node.op_type in ("Imputer", "IsNaN")
        or node.domain not in ("", "ai.onnx.ml")
        for node in nodes_within(model.graph)
    )


def _reaches_only_trees(model: ModelProto, name: str) -> bool:
    reached = {name}
    for node in model.graph.node:
        if reached.isdisjoint(reads(node)):
            continue
        if node.op_type in _TREES:
            continue
        if node.op_type not in _ON_THE_WAY:
            return False
        reached.update(node.output)
    return True
