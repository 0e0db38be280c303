#!/usr/bin/env bash
# skl2onnx: after OrdinalEncoder a missing category is -1 in ONNX, whatever encoded_missing_value says.
#
# scikit-learn keeps a missing category apart: it leaves NaN, or gives the code that encoded_missing_value
# names. The converter knows neither and gives it -1, which with unknown_value=-1, a usual choice,
# is also the code of a category never seen. The two cases that were told apart in training are one in ONNX, and a
# model that takes NaN behind the encoder gets a number. Nothing is raised and nothing is warned about; rows
# without a missing category agree. What works: to put a category of one's own ("none", 999) in place of what
# is missing before training and before scoring.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
# on Python 3.13:
#
#   skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
#   no settings
#       of [10.0, 20.0, 30.0, nan]: scikit-learn [0.0, 1.0, 2.0, nan], ONNX [0.0, 1.0, 2.0, -1.0]
#   encoded_missing_value=-2
#       of [10.0, 20.0, 30.0, nan]: scikit-learn [0.0, 1.0, 2.0, -2.0], ONNX [0.0, 1.0, 2.0, -1.0]
#   encoded_missing_value=-2, handle_unknown=use_encoded_value, unknown_value=-1
#       of [10.0, 20.0, 30.0, nan, 70.0]: scikit-learn [0.0, 1.0, 2.0, -2.0, -1.0], ONNX [0.0, 1.0, 2.0, -1.0, -1.0]
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
from sklearn.preprocessing import OrdinalEncoder

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("skl2onnx", "scikit-learn", "onnx", "onnxruntime", "numpy", "protobuf")

gates = np.array([[10], [20], [30], [np.nan]], dtype=np.float32)
scored = np.array([[10], [20], [30], [np.nan], [70]], dtype=np.float32)
unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}


def both(rows, **settings):
    model = OrdinalEncoder(**settings).fit(gates)
    session = onnxruntime.InferenceSession(to_onnx(model, rows[:1]).SerializeToString())
    own, onnx = model.transform(rows).ravel(), session.run(None, {"X": rows})[0].ravel()
    print(", ".join(f"{name}={value}" for name, value in settings.items()) or "no settings")
    print(f"    of {rows.ravel().tolist()}: scikit-learn {own.tolist()}, ONNX {onnx.tolist()}")
    return own.tolist(), onnx.tolist()


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
own, onnx = zip(both(gates), both(gates, encoded_missing_value=-2), both(scored, encoded_missing_value=-2, **unknown))
if not np.array_equal(own[0], [0, 1, 2, np.nan], equal_nan=True) or own[1:] != ([0, 1, 2, -2], [0, 1, 2, -2, -1]):
    sys.exit("scikit-learn no longer keeps a missing category apart.")
if onnx != ([0, 1, 2, -1], [0, 1, 2, -1], [0, 1, 2, -1, -1]):
    sys.exit("A missing category is no longer -1 in ONNX.")
PY
