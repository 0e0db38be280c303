"""ML.NET, PyTorch and Keras: their ONNX files and own predictions, made once, as `tests/data` holds them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from everscore_models.survey.case import Case, Made

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
_MLNET = {
    "binary-fasttree": "FastTree, two classes",
    "binary-fastforest": "FastForest, two classes, not calibrated",
    "binary-lightgbm": "LightGbm, two classes",
    "binary-sdca": "SdcaLogisticRegression",
    "binary-perceptron": "AveragedPerceptron, not calibrated",
    "multi-lightgbm": "LightGbm, several classes",
    "multi-sdca": "SdcaMaximumEntropy, several classes",
    "regression-fasttree": "FastTree, regression",
    "regression-tweedie": "FastTreeTweedie",
    "kmeans": "KMeans",
}
_NETS = {
    "torch-sigmoid": ("PyTorch", "one probability (sigmoid)", "torch-features"),
    "torch-logits": ("PyTorch", "logits of three classes", "torch-features"),
    "torch-half": ("PyTorch", "float16", "torch-features"),
    "torch-external": ("PyTorch", "weights in a second file", "torch-features"),
    "torch-heads": ("PyTorch", "several outputs", "torch-features"),
    "torch-sequence": ("PyTorch", "a GRU over 12 readings", "torch-readings"),
    "torch-tokens": ("PyTorch", "embeddings of whole numbers", "torch-tokens"),
    "keras-sigmoid": ("Keras", "one probability (sigmoid)", "keras-sigmoid"),
    "keras-image": ("Keras", "convolutions over a small image", "keras-image"),
}


def cases() -> Iterator[Case]:
    """All of them."""
    for name, title in _MLNET.items():
        yield Case("ML.NET", title, partial(_file, "mlnet", name, "rows"))
    for name, (library, title, rows) in _NETS.items():
        yield Case(library, title, partial(_file, "nets", name, f"{rows}.rows"))


def _file(folder: str, name: str, rows: str, _made_in: Path) -> Made:
    data = DATA / folder
    return Made(data / f"{name}.onnx", data / f"{rows}.jsonl", data / f"{name}.expected.jsonl")
