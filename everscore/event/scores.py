"""What a model says of one event."""

from __future__ import annotations

import msgspec


class Scores(msgspec.Struct, frozen=True):
    """What a model says of one event, in plain Python types, as the stored document holds it.

    Attributes:
        version: the model's version, as its manifest says.
        sha256: the hash that identifies the model's files.
        label: the predicted class or cluster by its name; None for a regressor.
        value: the probability of the positive class, the largest probability (multi-class), the
            prediction (regressor), the anomaly score (scikit-learn: negative is anomalous), or the distance
            to the nearest cluster.
        values: the probability of each class, the distance to each cluster, or each of several predictions,
            by name; empty for regressors of one number and anomaly detectors.
    """

    version: str
    sha256: str
    label: str | None
    value: float
    values: dict[str, float]
