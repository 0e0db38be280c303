#!/usr/bin/env bash
# skl2onnx: LinearDiscriminantAnalysis of two classes gives other probabilities in ONNX: those of twice the margin.
#
# scikit-learn's probability is the logistic function of the decision function d. The converter makes a softmax
# over the two columns -d and d of it, which is the logistic function of 2 d: a 0.6 becomes 0.69, a 0.9 becomes
# 0.99. The labels are the same, so that a comparison of labels or an AUC shows nothing; thresholds, calibration
# and expected costs are wrong. Three classes agree, and so does LogisticRegression with the same coefficients.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
# on Python 3.13:
#
#   skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
#   two classes: 100 of 100 labels agree
#       scikit-learn [0.82, 0.366, 0.177]
#       ONNX         [0.954, 0.25, 0.044]
#   the same as LogisticRegression: 100 of 100 labels agree
#       scikit-learn [0.82, 0.366, 0.177]
#       ONNX         [0.82, 0.366, 0.177]
#   three classes: 150 of 150 labels agree
#       scikit-learn [0.0, 0.001, 0.0]
#       ONNX         [0.0, 0.001, 0.0]
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
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("skl2onnx", "scikit-learn", "onnx", "onnxruntime", "numpy", "protobuf")


def compare(name, model, rows):
    """Probabilities of the last class of three rows, and how many labels of all rows agree."""
    converted = to_onnx(model, rows[:1].astype(np.float32), options={id(model): {"zipmap": False}})
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    label, onnx = session.run(None, {"X": rows.astype(np.float32)})
    own = model.predict_proba(rows)
    shown = [own[[0, 20, 40], -1].round(3).tolist(), onnx[[0, 20, 40], -1].astype(float).round(3).tolist()]
    same = int((label == model.predict(rows)).sum())
    print(f"{name}: {same} of {len(rows)} labels agree\n    scikit-learn {shown[0]}\n    ONNX         {shown[1]}")
    return own[:, -1], onnx[:, -1], same == len(rows)


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
rows, kinds = load_iris(return_X_y=True)
rows = rows[:, :2]
two = kinds > 0  # versicolor and virginica, which overlap
model = LinearDiscriminantAnalysis().fit(rows[two], kinds[two])
own, onnx, labels = compare("two classes", model, rows[two])
doubled = 1 / (1 + np.exp(-2 * model.decision_function(rows[two])))
if not labels or np.abs(onnx - own).max() < 0.1 or np.abs(onnx - doubled).max() > 1e-4:
    sys.exit("Two classes are no longer those of twice the margin.")
same = LogisticRegression()
for attribute in ("coef_", "intercept_", "classes_", "n_features_in_"):
    setattr(same, attribute, getattr(model, attribute))
own, onnx, labels = compare("the same as LogisticRegression", same, rows[two])
if not labels or np.abs(onnx - own).max() > 1e-5:
    sys.exit("LogisticRegression differs now.")
own, onnx, labels = compare("three classes", LinearDiscriminantAnalysis().fit(rows, kinds), rows)
if np.abs(onnx - own).max() > 1e-5:
    sys.exit("Three classes differ now.")
PY
