"""Scoring: a model's folder becomes a `Model`, which turns a batch of payloads into `Scores`.

This module is cheap to import. numpy and onnxruntime, which cost a few tenths of a second, are loaded with
the first model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from everscore.failures import Failure
from everscore.manifest import Manifest


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


class Model(Protocol):
    """A loaded model. `score` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The manifest's name, under which documents keep the scores."""

    @property
    def version(self) -> str:
        """The manifest's version."""

    @property
    def sha256(self) -> str:
        """SHA-256 of model.onnx; with a features.py, of both hashes joined by a line feed."""

    @property
    def threads(self) -> int:
        """Threads that one call may use."""

    @property
    def manifest(self) -> Manifest:
        """The whole manifest."""

    def score(self, payloads: Sequence[object]) -> list[Scores | Failure]:
        """Scores a batch, one result a payload, in order. Blocks: call it in a worker thread.

        No exception of one event reaches its neighbours: what one payload brings about is its own Failure.
        """


def load_model(folder: Path, *, threads: int = 1) -> Model:
    """Loads ``manifest.json``, ``model.onnx`` and, if the manifest names it, ``features.py``.

    Args:
        folder: the model's folder.
        threads: threads within one call. Set on purpose, since onnxruntime would otherwise take one for
            each core of the host, which a container limited to less pays for dearly.

    Raises:
        ManifestError: the manifest is wrong, or disagrees with the files beside it.
        Transient: the folder or a file is missing or unreadable, or needs a newer onnxruntime; events can
            wait until it is mended.
    """
    from everscore.onnx_model import load_onnx_model  # noqa: PLC0415 - numpy and onnxruntime load here, not before

    return load_onnx_model(folder, threads=threads)
