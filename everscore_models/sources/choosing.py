"""Which library a file is of: by its first bytes and the end of its name."""

from __future__ import annotations

import importlib
from pathlib import Path

from everscore_models.candidate import Candidate, Choices
from everscore_models.errors import ExportError

_SOURCES = {
    ".onnx": "onnx_graph",
    ".joblib": "pickled",
    ".pkl": "pickled",
    ".pickle": "pickled",
    ".skops": "pickled",
    ".txt": "lightgbm_text",
    ".lgb": "lightgbm_text",
    ".json": "xgboost_file",
    ".ubj": "xgboost_file",
    ".cbm": "catboost_file",
}
_PICKLES = (".joblib", ".pkl", ".pickle")
_KNOWN = (
    ".onnx; .joblib, .pkl or .skops of scikit-learn; .txt of LightGBM; .json or .ubj of XGBoost; .cbm of "
    "CatBoost"
)
_LFS = b"version https://git-lfs"
_FIRST = {
    ".skops": ((b"PK",), "the zip archive that skops writes"),
    ".txt": ((b"tree", b"\xef\xbb\xbftree"), "the text that LightGBM's save_model writes"),
    ".lgb": ((b"tree",), "the text that LightGBM's save_model writes"),
    ".json": ((b"{",), "the JSON that XGBoost's save_model writes"),
    ".ubj": ((b"{",), "the UBJSON that XGBoost's save_model writes"),
    ".cbm": ((b"CBM1",), "what CatBoost's save_model writes"),
}


def read(path: Path, choices: Choices) -> Candidate:
    """The model in a file of any known library.

    Raises:
        ExportError: the file is missing, of an unknown kind, truncated, a Git LFS pointer, a pickle that is
            not trusted, or holds a model that cannot be converted; one sentence.
    """
    try:
        with path.open("rb") as file:
            first = file.read(64)
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    suffix = path.suffix.lower()
    if not first:
        raise ExportError(f"{path} is empty.")
    if first.startswith(_LFS):
        raise ExportError(
            f"{path} is a Git LFS pointer, not the model itself: run `git lfs pull` in its repository."
        )
    if suffix not in _SOURCES:
        raise ExportError(f"{path} is of an unknown kind: the models that can be added are {_KNOWN}.")
    expected, what = _FIRST.get(suffix, ((), ""))
    if expected and not first.lstrip().startswith(expected):
        raise ExportError(f"{path} is not {what}: it was cut off, or is a file of another kind.")
    if suffix in _PICKLES and not choices.trust:
        raise ExportError(
            f"{path} is a pickle, and loading one runs whatever code is in it: add --trust if you trust "
            "where it comes from, or save the model with skops, which runs none."
        )
    name = _SOURCES[suffix]
    try:
        source = importlib.import_module(f"everscore_models.sources.{name}")
    except ModuleNotFoundError as error:
        package = {"sklearn": "scikit-learn"}.get(str(error.name), error.name)
        raise ExportError(f"{path} needs the package {package}: pip install {package}.") from error
    made: Candidate = source.read(path, choices)
    return made
