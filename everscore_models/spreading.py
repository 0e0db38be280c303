"""A matrix whose columns have no names in the file: as one list in an event, or as fields of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from everscore_models.candidate import Candidate
from everscore_models.errors import ExportError


def spread(candidate: Candidate, column: str, names: Sequence[str]) -> Candidate:
    """The same model, its list of numbers now so many columns of one number, in this order.

    Raises:
        ExportError: the column is no list of one dimension, or has another length.
    """
    found = next((each for each in candidate.columns if each.name == column), None)
    if found is None or found.shape is None or len(found.shape) != 1:
        raise ExportError(f"The model has no list of numbers '{column}' that could be spread over fields.")
    if len(names) != found.shape[0]:
        raise ExportError(
            f"The input '{column}' takes {found.shape[0]} numbers, and {len(names)} fields are named for it: "
            "name one for each, in the order of training."
        )
    others = [each.name for each in candidate.columns if each is not found]
    if len(set(names)) < len(names) or not set(names).isdisjoint(others):
        raise ExportError(f"Of the fields for the input '{column}' two have one name.")
    spread_columns = [replace(found, name=name, shape=None) for name in names]
    columns = [new for each in candidate.columns for new in (spread_columns if each is found else [each])]
    return replace(candidate, columns=columns, tensors={**candidate.tensors, column: list(names)})
