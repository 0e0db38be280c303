"""Inputs of named categories: the model is given the place of a value in the manifest's list."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from everscore.score.columns import FAST_TYPES, Array, ColumnReader
from everscore.score.input_form import Default, Input


class CategoryReader(ColumnReader):
    """Reads an input whose manifest has ``categories``; see `everscore.score.columns.ColumnReader`.

    The column holds codes: int64, or float64 where the model may be given a NaN.
    """

    def __init__(self, description: Input) -> None:
        super().__init__(description)
        # 5 and 5.0 are one category, as they are one number in JSON; types keep True and 1 apart.
        codes: dict[object, float] = {each: code for code, each in enumerate(description.categories or ())}
        self._known = tuple(codes)
        self._codes = codes
        if isinstance(description.missing, Default):
            self._missing_code: float | None = codes[description.missing.value]
        else:
            self._missing_code = math.nan if description.missing == "nan" else None
        code = description.unseen_code()
        self._unseen_code: float | None = math.nan if description.unseen == "nan" else code
        self.dtype = np.dtype(np.float64 if description.may_be_nan else np.int64)
        self._fast = FAST_TYPES[description.type]
        self._placeholder = 0
        if self._missing_code is not None:
            codes[None] = self._missing_code
            self._fast |= {type(None)}

    def _read_fast(self, values: Sequence[object]) -> Array | None:
        get, unseen = self._codes.get, self._unseen_code
        found = [get(value, unseen) for value in values]
        # An unseen value that has no code is one event's fault, found value by value.
        return None if unseen is None and None in found else np.array(found, self.dtype)

    def _converted(self, value: object) -> object:
        code = self._codes.get(value, self._unseen_code)
        if code is None:
            raise self._failure(
                "unseen category",
                f"holds none of the {len(self._known)} categories, and the manifest refuses unseen ones",
            )
        return code

    def _read_missing(self, value: object) -> object:
        return super()._read_missing(value) if self._missing_code is None else self._missing_code
