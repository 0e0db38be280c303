#!/usr/bin/env bash
# skl2onnx: TunedThresholdClassifierCV loses its threshold in ONNX.
#
# The class exists to choose another threshold than 0.5, and its label goes by that. The converter hands on the
# label and the probabilities of the classifier inside: the probabilities agree, and the label is that of 0.5,
# with no warning.
# Apply the threshold (best_threshold_) to the probabilities after ONNX, or register a converter that does.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
# on Python 3.13:
#
#   skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
#   threshold 0.156; largest difference of a probability 1e-07
#   missed connections: 290 by scikit-learn, 58 by ONNX
#   labels: 232 of 1000 differ; 1000 are those of 0.5
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
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TunedThresholdClassifierCV

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("skl2onnx", "scikit-learn", "onnx", "onnxruntime", "numpy", "protobuf")
print(", ".join(f"{name} {version(name)}" for name in PACKAGES))

# Delays and how busy the airport is, and which flights missed their connection: few, so that 0.5 finds hardly any.
random = np.random.default_rng(0)
rows = random.normal(size=(1000, 2)).astype(np.float32)
missed = rows[:, 0] + 0.5 * rows[:, 1] + random.normal(size=1000) > 1.5
tuned = TunedThresholdClassifierCV(LogisticRegression()).fit(rows, missed.astype(int))

model = to_onnx(tuned, rows[:1], options={id(tuned): {"zipmap": False}}, target_opset={"": 21, "ai.onnx.ml": 3})
labels, probabilities = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"X": rows})
expected = tuned.predict(rows)
largest = np.abs(probabilities - tuned.predict_proba(rows)).max()
print(f"threshold {tuned.best_threshold_:.3f}; largest difference of a probability {largest:.1g}")
print(f"missed connections: {expected.sum()} by scikit-learn, {labels.sum()} by ONNX")
inside = tuned.estimator_.predict(rows)
print(f"labels: {(labels != expected).sum()} of 1000 differ; {(labels == inside).sum()} are those of 0.5")
if largest > 1e-5 or (labels == expected).all() or (labels != inside).any():
    sys.exit("The label goes by the threshold in ONNX now, or by another than 0.5.")
PY
