"""Which reader each input of a manifest needs."""

from __future__ import annotations

from collections.abc import Iterable

from everscore.score.categories import CategoryReader
from everscore.score.columns import ColumnReader
from everscore.score.input_form import Input
from everscore.score.lists import ListReader


def column_readers(inputs: Iterable[Input]) -> list[ColumnReader]:
    """A reader for each input, in their order."""
    return [_reader(each) for each in inputs]


def _reader(description: Input) -> ColumnReader:
    if description.categories is not None:
        return CategoryReader(description)
    return ColumnReader(description) if description.shape is None else ListReader(description)
