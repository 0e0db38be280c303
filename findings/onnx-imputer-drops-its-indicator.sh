#!/usr/bin/env bash
# skl2onnx: SimpleImputer(add_indicator=True) loses its indicator columns in ONNX, and what follows guesses.
#
# With add_indicator scikit-learn appends a column for each feature that had missing values: that a value was
# missing is often what a model learns from. The converter leaves these columns out without a word. A
# LogisticRegression behind it has coefficients for all of them, gets fewer columns than it has coefficients,
# and onnxruntime computes with it all the same: no error, wrong labels, for complete rows too.
# MissingIndicator itself has no converter. What works: a column of 0 and 1 made before the pipeline.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
# on Python 3.13:
#
#   skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
#   add_indicator=False: scikit-learn gives 2 columns, ONNX 2; of 500 labels 0 differ, 0 of them in complete rows
#   add_indicator=True: scikit-learn gives 3 columns, ONNX 2; of 500 labels 121 differ, 85 of them in complete rows
#
# Exit code 0: still so. 1: no longer so. 2: it could not be tried.
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cannot_try() { printf 'This could not be tried: %s\n' "$1" >&2; exit 2; }

# A Python 3.13 wherever a newcomer may have it: named by PYTHON, on the PATH, in uv's folder or in pyenv's.
for python in "${PYTHON:-}" python3.13 python3 python "$(uv python find 3.13 2>/dev/null || true)" \
  "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python; do
  "$python" -Ic 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && break
  python=
done
[ -n "$python" ] || cannot_try "no Python 3.13 was found; set PYTHON to the path of one."
"$python" -m venv "$scratch/venv" || cannot_try "$python made no virtual environment."
"$scratch/venv/bin/pip" install --quiet --no-compile skl2onnx==1.20.0 scikit-learn==1.9.1 onnx==1.23.2 \
  onnxruntime==1.32.0 numpy==2.5.5 protobuf==7.36.2 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import sys
import warnings
from importlib.metadata import version

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("skl2onnx", "scikit-learn", "onnx", "onnxruntime", "numpy", "protobuf")

# Wind and visibility; the sensor of the first is often silent in a storm.
random = np.random.default_rng(0)
weather = random.normal(size=(500, 2)).astype(np.float32)
late = (weather[:, 0] + weather[:, 1] > 0).astype(int)
silent = random.random(500) < np.where(late, 0.5, 0.1)
weather[silent, 0] = np.nan


def by_onnx(model):
    session = onnxruntime.InferenceSession(to_onnx(model, weather[:1]).SerializeToString())
    return session.run(None, {"X": weather})[0]


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
as_described = True
for add_indicator in (False, True):
    imputer = SimpleImputer(add_indicator=add_indicator)
    columns = imputer.fit_transform(weather).shape[1], by_onnx(imputer.fit(weather)).shape[1]
    model = make_pipeline(imputer, LogisticRegression()).fit(weather, late)
    wrong = by_onnx(model) != model.predict(weather)
    print(f"add_indicator={add_indicator}: scikit-learn gives {columns[0]} columns, ONNX {columns[1]};", end=" ")
    print(f"of 500 labels {wrong.sum()} differ, {wrong[~silent].sum()} of them in complete rows")
    if add_indicator:
        as_described &= columns == (3, 2) and wrong[~silent].sum() > 5
    else:
        as_described &= columns == (2, 2) and not wrong.any()
if not as_described:
    sys.exit("The indicator is no longer left out without a word.")
PY
