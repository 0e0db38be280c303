"""From columns to the tensors that an ONNX session takes, cast on purpose and checked for what a cast loses.

onnxruntime refuses float64 where it expects float32, and accepts plain lists without looking; so every
column is cast to the dtype that the session declares, and a value that the dtype cannot hold is the failure
of its own event. Floats of 32 bits round, whole numbers too: so such a model reads every number, and so it
was compared with the trained one. All digits of an integer reach a model whose tensor holds integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from everscore.failures import ManifestError, Permanent, Stage
from everscore.score.columns import Array, Columns
from everscore.score.input_form import Input, InputType
from everscore.score.manifest import Manifest

_DTYPES: Mapping[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int16)": np.dtype(np.int16),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(uint64)": np.dtype(np.uint64),
    "tensor(uint32)": np.dtype(np.uint32),
    "tensor(uint16)": np.dtype(np.uint16),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(object),
}
_TAKES: Mapping[InputType, str] = {
    # Kinds of dtypes (numpy's letters) that can hold every value of the type.
    InputType.NUMBER: "f",
    InputType.INTEGER: "fiu",
    InputType.BOOLEAN: "fiub",
    InputType.TEXT: "O",
}


class NodeArg(Protocol):
    """An input or output as onnxruntime describes it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def type(self) -> str:
        """Its type, such as ``tensor(float)``."""

    @property
    def shape(self) -> Sequence[int | str | None]:
        """Its dimensions: a number where fixed, a name or None where free."""


def dtype_of(onnx_type: str) -> np.dtype[Any] | None:
    """The dtype of an ONNX type such as ``tensor(float)``; None where it is not supported."""
    return _DTYPES.get(onnx_type)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One ONNX input: its columns, dtype and form."""

    name: str
    dtype: np.dtype[Any]
    columns: tuple[str, ...]
    whole: bool
    """Whether its one column is the tensor: the shape is [rows], or the column holds lists."""

    def build(self, columns: Columns) -> Array:
        """Stacks columns that were cast by `Caster.cast`."""
        if self.whole:
            return columns[self.columns[0]]
        return np.stack([columns[name] for name in self.columns], axis=1)


def plan_tensors(
    manifest: Manifest, inputs: Sequence[NodeArg], where: str
) -> tuple[list[Tensor], int | None]:
    """Matches the manifest with a session's inputs.

    Returns:
        The tensors, and the number of rows that every call must have, where the model was exported with a
        fixed first dimension.

    Raises:
        ManifestError: names, types or shapes disagree; one sentence each, beginning with `where`.
    """
    wanted = manifest.columns_by_tensor()
    offered = {each.name: each for each in inputs}
    mistakes: list[str] = []
    if lacking := [name for name in wanted if name not in offered]:
        mistakes.append(
            f"model.onnx has no input {_quoted(lacking)}, only {_quoted(offered)}: converters rewrite names "
            "such as 'a.b' to 'a_b', so say under 'tensors' which ONNX input takes which columns"
        )
    if unfed := [name for name in offered if name not in wanted]:
        mistakes.append(
            f"nothing feeds the input {_quoted(unfed)} of model.onnx: add it to 'inputs' or 'tensors'"
        )
    types = {} if manifest.features else {each.name: each for each in manifest.inputs}
    tensors: list[Tensor] = []
    rows: set[int] = set()
    for name, columns in wanted.items():
        if name not in offered:
            continue
        argument = offered[name]
        dtype = dtype_of(argument.type)
        if dtype is None:
            mistakes.append(
                f"the input '{name}' of model.onnx is a {argument.type}, which is not supported: "
                f"use one of {', '.join(_DTYPES)}"
            )
            continue
        shape = argument.shape
        described_columns = [types[column] for column in columns if column in types]
        lists = [each for each in described_columns if each.shape is not None]
        wrong = (
            _wrong_lists(name, shape, lists, len(columns)) if lists else _wrong_shape(name, shape, columns)
        )
        mistakes += wrong
        if not shape:
            continue
        if isinstance(shape[0], int):
            rows.add(shape[0])
        mistakes += [
            each for described in described_columns for each in _wrong_type(described, argument, dtype)
        ]
        tensors.append(Tensor(name, dtype, columns, whole=bool(lists) or len(shape) == 1))
    if len(rows) > 1:
        mistakes.append(f"the inputs of model.onnx have different fixed numbers of rows: {sorted(rows)}")
    if mistakes:
        raise ManifestError("\n".join(f"{where}: {each}." for each in mistakes))
    return tensors, min(rows, default=None)


def _wrong_shape(name: str, shape: Sequence[int | str | None], columns: Sequence[str]) -> list[str]:
    if len(shape) not in (1, 2) or (len(shape) == 1 and len(columns) > 1):
        sentence = f"the input '{name}' of model.onnx has the shape {list(shape)}: it must be [rows, columns]"
        if len(shape) > 1 and len(columns) == 1:
            free = ", ".join(str(each) if isinstance(each, int) else "…" for each in shape[1:])
            sentence += f', or the input be a list of numbers (schema 2, "shape": [{free}])'
        return [sentence]
    if len(shape) == 2 and isinstance(shape[1], int) and shape[1] != len(columns):
        return [
            f"the input '{name}' of model.onnx takes {shape[1]} columns, the manifest says {len(columns)}"
        ]
    return []


def _wrong_lists(
    name: str, shape: Sequence[int | str | None], lists: Sequence[Input], columns: int
) -> list[str]:
    """What is wrong where an input with a shape feeds an ONNX input: it must do so alone, and fit."""
    if columns > 1:
        return [
            f"tensors.{name} joins '{lists[0].name}', which is a list, with others: give it a tensor alone"
        ]
    wanted = lists[0].shape or ()
    offered = list(shape[1:])
    fits = len(offered) == len(wanted) and all(
        not isinstance(there, int) or there == here for there, here in zip(offered, wanted, strict=True)
    )
    if fits:
        return []
    mistake = (
        f"the input '{lists[0].name}' has the shape {list(wanted)}, but '{name}' of model.onnx takes "
        f"{offered} a row"
    )
    return [mistake]


def _wrong_type(described: Input, argument: NodeArg, dtype: np.dtype[Any]) -> list[str]:
    # Categories reach the model as their codes.
    kind = InputType.INTEGER if described.categories is not None else described.type
    if dtype.kind not in _TAKES[kind]:
        return [f"the input '{described.name}' is of type {kind}, but model.onnx takes {argument.type}"]
    if described.may_be_nan and dtype.kind != "f":
        return [
            f"the input '{described.name}' may be NaN, which the {argument.type} of model.onnx cannot hold"
        ]
    return []


@dataclass(frozen=True, slots=True)
class Caster:
    """Casts columns, and notes the failure of each row that does not survive it.

    Attributes:
        rows: the index in the batch of each value of the columns.
        failures: by index in the batch.
    """

    rows: Array
    failures: dict[int, Permanent]

    def cast(self, column: Array, dtype: np.dtype[Any], name: str, field: str) -> Array:
        """Casts what a reader, or the model's features.py, made to what the session takes.

        Args:
            column: its values.
            dtype: the session's.
            name: the column's, for the failure's sentence.
            field: what a failure names: the JSON Pointer where there is one.
        """
        if dtype.kind == "O":
            texts = column.astype(object)
            wrong = np.array([type(each) is not str for each in texts], np.bool_)
            self._note(wrong, "wrong type of input", f"The column '{name}' must hold texts.", field)
            return texts
        if dtype == column.dtype and dtype.kind in "biu":
            return column
        with np.errstate(over="ignore", invalid="ignore"):
            cast = column.astype(dtype)
            lost = np.isinf(cast) if dtype.kind == "f" else _changed(column, cast)
        if column.dtype.kind == "f":
            self._note(np.isinf(column), "input not finite", f"The column '{name}' is infinite.", field)
            if dtype.kind != "f":
                detail = f"The column '{name}' is NaN, which {dtype.name} cannot hold."
                self._note(np.isnan(column), "input not finite", detail, field)
        self._note(lost, "input out of range", f"A value of '{name}' does not fit {dtype.name}.", field)
        return cast

    def _note(self, where: Array, reason: str, detail: str, field: str) -> None:
        if where.ndim > 1:  # lists of numbers: one that is wrong is its row's
            where = where.reshape(len(where), -1).any(axis=1)
        for row in self.rows[where].tolist():
            self.failures.setdefault(row, Permanent(Stage.SCORE, reason, detail, field=field))


def _changed(column: Array, cast: Array) -> Array:
    """Where whole numbers or booleans are others than the values that they were cast from."""
    changed: Array = cast.astype(column.dtype) != column
    if cast.dtype.kind == "u" and column.dtype.kind in "if":
        changed |= column < 0  # which wraps, and back again
    if cast.dtype.kind in "iu" and column.dtype.kind in "uf":
        # A number beyond the largest wraps (unsigned) or stops there (floats, on ARM): cast back, both are
        # what they were.
        # 2**63 and 2**64 themselves are doubles, their predecessors are not.
        changed |= column >= int(np.iinfo(cast.dtype).max) + 1
    return changed


def _quoted(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in names)
