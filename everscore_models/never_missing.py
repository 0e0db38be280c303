"""Inputs that are missing in no event, and that ONNX would score otherwise than the library where they were.

An isolation forest, say, takes NaN when it is asked, and its conversion has no branch for it. If no event
lacks the value, none is to: such an input is refused where it is missing, and all else agrees.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from everscore.event.pointer import Absent, compile_pointer
from everscore.score.input_form import Input
from everscore_models.parity import Difference

type Payload = Mapping[str, object]


def to_refuse(
    differences: Sequence[Difference], inputs: Sequence[Input], events: Sequence[Payload]
) -> list[str]:
    """The inputs to refuse where they are missing; none where that would not end all differences.

    Args:
        differences: the rows on which the library and ONNX disagree.
        inputs: as they were proposed.
        events: as they were given.
    """
    asked = [each for each in inputs if each.missing == "nan" and not _is_missing_in(each, events)]
    found: list[str] = []
    for each in differences:
        missing = [one.name for one in asked if _is_missing_in(one, [each.probe.payload])]
        if not missing:
            return []
        found += missing
    return [each.name for each in asked if each.name in found]


def refusing(inputs: Sequence[Input], names: Collection[str]) -> list[Input]:
    """The inputs, of which those of these names are refused where they are missing."""
    return [each.model_copy(update={"missing": "reject"}) if each.name in names else each for each in inputs]


def _is_missing_in(one: Input, events: Sequence[Payload]) -> bool:
    get = compile_pointer(one.pointer)
    return any(value is None or isinstance(value, Absent) for value in map(get, events))
