"""A graph in a session of onnxruntime: what it takes, and what it answers to rows of nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from everscore.failures import Failure
from everscore.score.columns import Array
from everscore.score.onnx import open_session
from everscore.score.tensors import NodeArg, dtype_of
from everscore_models.errors import ExportError

ROWS = 2
"""Rows of a trial: one alone could not show which dimension of an output is that of the rows."""


class Trial:
    """A loaded graph."""

    def __init__(self, content: bytes) -> None:
        """Loads it.

        Raises:
            ExportError: onnxruntime does not load it.
        """
        try:
            self._session = open_session(content, Path("model.onnx"), 1)
        except Failure as failure:
            raise ExportError(f"The app could not load the file: {failure.detail}") from failure

    @property
    def inputs(self) -> Sequence[NodeArg]:
        """What it takes."""
        found: Sequence[NodeArg] = self._session.get_inputs()
        return found

    @property
    def outputs(self) -> Sequence[NodeArg]:
        """What it gives."""
        found: Sequence[NodeArg] = self._session.get_outputs()
        return found

    def rows(self) -> int:
        """Rows of one call: those that the graph was exported for, or `ROWS`."""
        fixed = [each.shape[0] for each in self.inputs if each.shape and isinstance(each.shape[0], int)]
        return fixed[0] if fixed else ROWS

    def zeros(self) -> dict[str, Array]:
        """Rows of zeros and of empty texts, for inputs of which only the rows are free."""
        return {
            each.name: np.full(self._shape(each), "" if dtype.kind == "O" else 0, dtype)
            for each in self.inputs
            if (dtype := dtype_of(each.type)) is not None
        }

    def _shape(self, argument: NodeArg) -> list[int]:
        return [self.rows(), *(each if isinstance(each, int) else 1 for each in argument.shape[1:])]

    def run(self, feed: Mapping[str, Array]) -> dict[str, Any] | None:
        """The outputs by name; None where the graph raises, as for a text that training never saw."""
        names = [each.name for each in self.outputs]
        try:
            return dict(zip(names, self._session.run(names, dict(feed)), strict=True))
        except Exception:  # noqa: BLE001 - onnxruntime raises anything; a trial that fails only tells nothing
            return None
