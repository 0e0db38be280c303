"""Which outputs of a graph are the numbers, and which one is the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import ModelProto, TypeProto

from everscore_models.errors import ExportError
from everscore_models.graph.meaning import Meaning, meaning_of
from everscore_models.graph.tracing import PASS_ON, Tracer

_FLOATS = frozenset({1, 10, 11})  # float, float16, double, as TensorProto numbers them
_PROBABLE = (Meaning.SHARES, Meaning.CHANCES, Meaning.LOGITS, Meaning.MARGINS)


@dataclass(frozen=True, slots=True)
class Given:
    """The outputs that are read.

    Attributes:
        values: with the numbers.
        label: with the class, if there is one.
        meaning: what the numbers are.
        left: outputs of numbers that are not read.
    """

    values: tuple[str, ...]
    label: str | None
    meaning: Meaning
    left: tuple[str, ...] = ()


def outputs_of(model: ModelProto, wanted: Sequence[str]) -> Given:
    """The outputs to read.

    Args:
        model: the graph.
        wanted: those that a person named; none: they are found by what makes them, and by their names.

    Raises:
        ExportError: there is none with numbers, or several could be meant.
    """
    offered = {each.name: each.type for each in model.graph.output}
    if lacking := [name for name in wanted if name not in offered]:
        raise ExportError(f"The file has no output {_quoted(lacking)}: it has {_quoted(offered)}.")
    considered = (
        list(dict.fromkeys(wanted))
        or [name for name in offered if not _is_input(model, name)]
        or list(offered)
    )
    numbers = [name for name in considered if _holds_numbers(offered[name])]
    labels = [name for name in considered if name not in numbers]
    if not numbers:
        raise ExportError(
            f"None of the outputs {_quoted(considered)} holds probabilities or predictions as floating-point "
            "numbers: export the model with them, not with the class alone."
        )
    label = _label(labels, asked=bool(wanted))
    meanings = {name: meaning_of(model, name) for name in numbers}
    if len(numbers) == 1:
        return Given((numbers[0],), label, meanings[numbers[0]])
    probable = [name for name in numbers if meanings[name] in _PROBABLE]
    if wanted and not label and not probable:
        return Given(tuple(numbers), None, Meaning.UNSAID)
    return _among(numbers, probable, meanings, label, asked=bool(wanted))


def _among(
    numbers: Sequence[str],
    probable: Sequence[str],
    meanings: Mapping[str, Meaning],
    label: str | None,
    *,
    asked: bool,
) -> Given:
    """One of several outputs of numbers; or all of them, where they are several predictions."""
    if asked or len(probable) > 1:
        # The same before and after a softmax is no choice: what is a probability is meant.
        ready = [name for name in probable if meanings[name] in (Meaning.SHARES, Meaning.CHANCES)]
        if len(ready) != 1 or asked:
            raise ExportError(
                f"The outputs {_quoted(numbers)} cannot be one model's scores: name the one that is meant "
                "with --outputs (a model for each, where several are)."
            )
        probable = ready
    if not probable and label is None:
        return Given(tuple(numbers), None, Meaning.UNSAID)
    chosen = probable[0] if probable else numbers[0]
    left = tuple(name for name in numbers if name != chosen)
    if not probable:
        raise ExportError(
            f"The file gives a label, and numbers in the outputs {_quoted(numbers)}: name the label and the "
            "one with the probabilities with --outputs."
        )
    return Given((chosen,), label, meanings[chosen], left)


def _label(labels: Sequence[str], *, asked: bool) -> str | None:
    if len(labels) > 1:
        if asked:
            raise ExportError(
                f"Of the outputs {_quoted(labels)} only one can be the label: name one of them."
            )
        return next((name for name in labels if "label" in name.lower()), None)
    return labels[0] if labels else None


def _holds_numbers(kind: TypeProto) -> bool:
    """Whether an output may hold scores: floating-point numbers."""
    return bool(kind.HasField("tensor_type")) and int(kind.tensor_type.elem_type) in _FLOATS


def _is_input(model: ModelProto, name: str) -> bool:
    """Whether an output is nothing but an input, or a constant."""
    origin, maker = Tracer(model).origin(name, PASS_ON)
    return maker is None and any(each.name == origin for each in model.graph.input)


def _quoted(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in names)
