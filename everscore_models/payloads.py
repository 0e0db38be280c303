"""Payloads as data frames: training reads them with the very code that serving reads them with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from everscore.failures import Permanent
from everscore.score.columns import read_columns
from everscore.score.feature_code import FeatureCode
from everscore.score.input_form import Input
from everscore.score.manifest import Features
from everscore.score.readers import column_readers
from everscore_models.errors import ExportError
from everscore_models.trained import Payload

FEATURES_FILE = "features.py"


def read_frame(payloads: Sequence[Payload], inputs: Sequence[Input]) -> pd.DataFrame:
    """The inputs of payloads as a data frame, one row each, as the model sees them.

    Raises:
        ExportError: the model would refuse one of them; the sentence says which and why.
    """
    frame, refused = read_readable(payloads, inputs)
    if refused:
        index, failure = min(refused.items())
        raise ExportError(
            f"Payload {index} of {len(payloads)} does not fit the inputs ({failure.detail}): leave such "
            "payloads out of the training, or change the input's type or what its 'missing' says."
        )
    return frame


def read_readable(
    payloads: Sequence[Payload], inputs: Sequence[Input]
) -> tuple[pd.DataFrame, dict[int, Permanent]]:
    """As `read_frame`, with the refused payloads by index, and placeholders in their rows."""
    refused: dict[int, Permanent] = {}
    columns = read_columns(column_readers(inputs), payloads, refused)
    # A column of lists is one of objects here: a frame has no columns of several dimensions.
    return pd.DataFrame(
        {name: each if each.ndim == 1 else list(each) for name, each in columns.items()}
    ), refused


def describe_features(folder: Path, columns: Sequence[str]) -> Features | None:
    """What the manifest says of the folder's features.py; None if it returns no columns, so is not used.

    Raises:
        ExportError: there is no such file.
    """
    if not columns:
        return None
    path = folder / FEATURES_FILE
    if not path.is_file():
        raise ExportError(f"There is no {path}, though the training names feature_columns.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Features(file=FEATURES_FILE, sha256=digest, columns=tuple(columns))


def apply_features(frame: pd.DataFrame, folder: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The columns that the folder's features.py makes of a frame; the same frame if it makes none.

    Raises:
        ExportError: there is no such file.
        Exception: whatever the function raises.
    """
    description = describe_features(folder, columns)
    if description is None:
        return frame
    code = FeatureCode(folder, description, frozenset(), str(folder))
    return pd.DataFrame(code.run({str(name): frame[name].to_numpy() for name in frame}, len(frame)))
