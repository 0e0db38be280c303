#!/usr/bin/env bash
# skl2onnx: CalibratedClassifierCV(method="isotonic") takes the nearest step of its curve in ONNX.
#
# scikit-learn draws straight lines between the points of an isotonic curve. The converted graph takes the value
# of the nearest point, so that a probability may jump where it should climb. Nothing is raised and nothing is
# warned about.
# Use method="sigmoid", which agrees.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
# on Python 3.13:
#
#   skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
#   sigmoid     0 of 400 probabilities differ, by up to 7.2e-08
#   isotonic   63 of 400 probabilities differ, by up to 0.045
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
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import LinearSVC

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("skl2onnx", "scikit-learn", "onnx", "onnxruntime", "numpy", "protobuf")
print(", ".join(f"{name} {version(name)}" for name in PACKAGES))

# Delays and how busy the airport is, and which flights missed their connection.
random = np.random.default_rng(0)
rows = random.normal(size=(400, 2)).astype(np.float32)
missed = (rows[:, 0] + 0.5 * rows[:, 1] + random.normal(size=400) > 0.5).astype(int)
others = random.normal(size=(400, 2)).astype(np.float32)

found = {}
for method in ("sigmoid", "isotonic"):
    model = CalibratedClassifierCV(LinearSVC(), method=method, cv=2).fit(rows, missed)
    converted = to_onnx(model, rows[:1], options={id(model): {"zipmap": False}}, target_opset={"": 21, "ai.onnx.ml": 3})
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    difference = np.abs(session.run(None, {"X": others})[1] - model.predict_proba(others)).max(axis=1)
    found[method] = int((difference > 1e-4).sum())
    print(f"{method:<9} {found[method]:>3} of 400 probabilities differ, by up to {difference.max():.2g}")
if found["sigmoid"] or found["isotonic"] < 20:
    sys.exit("The curve is interpolated in ONNX now, or the sigmoid differs too.")
PY
