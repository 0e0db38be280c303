"""What a model says of one event."""

from __future__ import annotations

import msgspec


class Scores(msgspec.Struct, frozen=True):
    """What a model says of one event, in plain Python types, as the stored document holds it.

    Attributes:
        version: the model's version, as its manifest says.
        sha256: the hash that identifies the model's files.
        label: the predicted class by its name; None for a regressor.
        value: the probability of the positive class, the largest probability (multi-class), the
            prediction (regressor), or the anomaly score (scikit-learn: negative is anomalous).
        values: the probability of each class by its name; empty for regressors and anomaly detectors.
    """

    version: str
    sha256: str
    label: str | None
    value: float
    values: dict[str, float]
