"""A model's own code: ``features(columns) -> columns`` in ``features.py``, called once a batch.

The same file computes the features in training and in serving. Its hash stands in the manifest, so a
changed file is noticed before it changes a score.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections.abc import Callable, Container
from pathlib import Path
from types import ModuleType

import numpy as np

from everscore.failures import Configuration, ManifestError, Stage
from everscore.score.columns import Columns
from everscore.score.manifest import Features


class FeatureCode:
    """The function of a features.py, imported on first use."""

    def __init__(self, folder: Path, description: Features, texts: Container[str], where: str) -> None:
        """Checks the file's hash; does not run it.

        Args:
            folder: the model's.
            description: what the manifest says of the file.
            texts: the columns that the model takes as texts; all others must be numbers or booleans.
            where: begins the sentence of a mistake.

        Raises:
            ManifestError: the file is missing, or another than the manifest says.
        """
        self._path = folder / description.file
        self._names = description.columns
        self._texts = texts
        self._lock = threading.Lock()
        self._function: Callable[[Columns], object] | None = None
        try:
            self._source = self._path.read_bytes()
        except OSError as error:
            raise ManifestError(f"{where}: {self._path} cannot be read ({error.strerror}).") from error
        found = hashlib.sha256(self._source).hexdigest()
        if found != description.sha256:
            raise ManifestError(
                f"{where}: {description.file} has the SHA-256 {found}, the manifest says "
                f"{description.sha256}: export the model again, since other features give other scores."
            )

    def __call__(self, columns: Columns, rows: int) -> Columns:
        """The columns for the model: texts as objects, all others as numbers or booleans.

        Raises:
            Exception: see `run`; also a text where the model takes a number.
        """
        made = self.run(columns, rows)
        for name, column in made.items():
            if name in self._texts:
                made[name] = column.astype(object)
            elif column.dtype.kind not in "fiub":
                made[name] = column.astype(np.float64)
        return made

    def run(self, columns: Columns, rows: int) -> Columns:
        """The columns as the function returns them.

        Raises:
            Configuration: the file cannot be imported, or has no function ``features``.
            Exception: whatever the function raises; TypeError or ValueError where it breaks its contract.
        """
        result = self._loaded()(columns)
        if not isinstance(result, dict):
            raise TypeError(f"features() returned a {type(result).__name__}, not a dict of columns")
        made: Columns = {}
        for name in self._names:
            if name not in result:
                raise ValueError(f"features() returned no column '{name}'")
            column = np.asarray(result[name])
            if column.shape != (rows,):
                raise ValueError(f"features() returned '{name}' in the shape {column.shape}, not ({rows},)")
            made[name] = column
        return made

    def _loaded(self) -> Callable[[Columns], object]:
        with self._lock:
            if self._function is None:
                self._function = self._load()
            return self._function

    def _load(self) -> Callable[[Columns], object]:
        # A module of its own, not in sys.modules: two models may each have a features.py.
        spec = importlib.util.spec_from_file_location(f"{self._path.parent.name}_features", self._path)
        module = ModuleType("features")
        module.__file__ = str(self._path)
        module.__spec__ = spec
        try:
            # The very bytes that were hashed, not those that may stand in the file by now.
            exec(compile(self._source, str(self._path), "exec"), module.__dict__)  # noqa: S102 - the user's own code
        except (Exception, SystemExit) as error:
            raise Configuration(
                Stage.SCORE,
                "features.py cannot be loaded",
                f"{self._path.name} raised {type(error).__name__} while it was imported.",
            ) from error
        function = getattr(module, "features", None)
        if not callable(function):
            raise Configuration(
                Stage.SCORE,
                "features.py cannot be loaded",
                f"{self._path.name} has no function 'features(columns)'.",
            )
        loaded: Callable[[Columns], object] = function
        return loaded
