"""The model of this process: loaded on first use, once, in a worker thread.

This module is cheap to import. numpy and onnxruntime, which cost a few tenths of a second, are loaded with
the first model.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from everscore.failures import Configuration, Failure, ManifestError, Stage, Transient, describe
from everscore.score.model import Model

logger = logging.getLogger(__name__)

# A model that does not load is not tried again by every batch.
_RELOAD_SECONDS = 10.0


def load_model(folder: Path, *, threads: int = 1) -> Model:
    """Loads ``manifest.json``, ``model.onnx`` and, if the manifest names it, ``features.py``.

    Args:
        folder: the model's folder.
        threads: threads within one call. Set on purpose, since onnxruntime would otherwise take one for
            each core of the host, which a container limited to less pays for dearly.

    Raises:
        ManifestError: the manifest is wrong, or disagrees with the files beside it.
        Configuration: its golden rows have other scores on this machine than in training.
        Transient: the folder or a file is missing or unreadable, or needs a newer onnxruntime; events can
            wait until it is corrected.
    """
    from everscore.score.onnx import load_onnx_model  # noqa: PLC0415 - numpy and onnxruntime load here, not before

    return load_onnx_model(folder, threads=threads)


def load_named(folder: Path, *, threads: int = 1) -> Model:
    """As `load_model`, of a model whose name is that of its folder.

    Raises:
        ManifestError: also where the two differ. Documents keep scores under the name: two models of one name
            would be one there.
    """
    model = load_model(folder, threads=threads)
    if model.name != folder.name:
        raise ManifestError(
            f"{folder / 'manifest.json'}: the model is called {model.name}, and its folder {folder.name}: "
            "give both the same name."
        )
    return model


class ModelSource:
    """Loads a model when it is first needed.

    Args:
        folder: the model's folder.
        threads: that one scoring call may use.
    """

    def __init__(self, folder: Path, *, threads: int) -> None:
        self._folder = folder
        self._threads = threads
        self._lock = asyncio.Lock()
        self._model: Model | None = None
        self._failure: Failure | None = None
        self._failed_at = 0.0

    @property
    def failure(self) -> Failure | None:
        """Why the model did not load when it was last needed; None where it did, or was not needed yet."""
        return self._failure

    async def get(self) -> Model:
        """The model.

        Raises:
            Failure: it is missing, unreadable or wrong; the events wait in the retry queue meanwhile.
        """
        async with self._lock:  # the first batches of all partitions come at once, and one load serves them
            if self._model is not None:
                return self._model
            if self._failure is not None and time.monotonic() - self._failed_at < _RELOAD_SECONDS:
                # Raised again and again it would hold the frames, and so the events, of all those batches.
                raise self._failure.with_traceback(None)
            try:
                self._model = await asyncio.to_thread(load_named, self._folder, threads=self._threads)
            except Exception as error:  # whatever it is, it is the model's, not an event's
                self._failure = _as_failure(error)
                self._failed_at = time.monotonic()
                logger.error("The model does not load: %s", self._failure)  # noqa: TRY400 - a sentence, no trace
                raise self._failure from error
            self._failure = None
            return self._model


def _as_failure(error: Exception) -> Failure:
    if isinstance(error, Failure):
        return error
    if isinstance(error, ManifestError):
        return Configuration(Stage.SCORE, "model manifest wrong", str(error))
    return Transient(Stage.SCORE, "model does not load", describe(error))
