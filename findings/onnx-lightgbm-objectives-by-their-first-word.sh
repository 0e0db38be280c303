#!/usr/bin/env bash
# onnxmltools: what stands behind the name of a LightGBM objective is left out in ONNX, and linear leaves too.
#
# The converter looks at the objective's first word alone. With sigmoid=2 the logistic function is that of 1;
# multiclassova, whose classes each have a probability of their own, gets a softmax over them; with reg_sqrt the
# prediction stays the root of what LightGBM gives. With linear_tree each leaf answers with its constant alone.
# Nothing is raised and nothing is warned about. Without these settings the files agree.
#
# Seen with onnxmltools 1.16.0, lightgbm 4.7.0, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0,
# scikit-learn 1.9.1, numpy 2.5.5, protobuf 7.36.2 on Python 3.13:
#
#   onnxmltools 1.16.0, lightgbm 4.7.0, onnxruntime 1.32.0
#   binary                   of one flight LightGBM says [0.96], ONNX [0.96]
#   binary, sigmoid=2        of one flight LightGBM says [0.96], ONNX [0.84]
#   multiclass               of one flight LightGBM says [0.01 0.02 0.97], ONNX [0.01 0.02 0.97]
#   multiclassova            of one flight LightGBM says [0.02 0.03 0.95], ONNX [0. 0. 1.]
#   regression               of one flight LightGBM says [103.38], ONNX [103.38]
#   regression, reg_sqrt     of one flight LightGBM says [98.1], ONNX [9.9]
#   regression, linear_tree  of one flight LightGBM says [103.9], ONNX [102.21]
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
"$scratch/venv/bin/pip" install --quiet --no-compile onnxmltools==1.16.0 lightgbm==4.7.0 skl2onnx==1.20.0 onnx==1.23.2 \
  onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.5.5 protobuf==7.36.2 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"
"$scratch/venv/bin/python" -Ic 'import lightgbm' 2>"$scratch/log" ||
  cannot_try "LightGBM does not load; it needs OpenMP (libgomp1 on Debian, libomp on macOS). $(tail -n 1 "$scratch/log")"

cd "$scratch"
cat >program.py <<'PY'
import sys
import warnings
from importlib.metadata import version

import lightgbm
import numpy as np
import onnxruntime
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("onnxmltools", "lightgbm", "onnxruntime")

# Flights by their delay at departure, and how late they land.
departed = np.repeat(np.arange(-30, 120, dtype=np.float32), 20).reshape(-1, 1)
landed = departed[:, 0] * 0.9 + 5
CASES = {
    "binary": ({"objective": "binary"}, landed > 15),
    "binary, sigmoid=2": ({"objective": "binary", "sigmoid": 2.0}, landed > 15),
    "multiclass": ({"objective": "multiclass", "num_class": 3}, np.digitize(landed, [0, 30])),
    "multiclassova": ({"objective": "multiclassova", "num_class": 3}, np.digitize(landed, [0, 30])),
    "regression": ({"objective": "regression"}, landed),
    "regression, reg_sqrt": ({"objective": "regression", "reg_sqrt": True}, landed),
    "regression, linear_tree": ({"objective": "regression", "linear_tree": True}, landed),
}
SETTINGS = {"num_threads": 1, "verbose": -1, "seed": 0}

print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
agreeing = []
for name, (parameters, outcome) in CASES.items():
    data = lightgbm.Dataset(departed, outcome.astype(float))
    booster = lightgbm.train(SETTINGS | parameters, data, 20)
    converted = convert_lightgbm(booster, initial_types=[("x", FloatTensorType([None, 1]))], zipmap=False)
    onnx = onnxruntime.InferenceSession(converted.SerializeToString()).run(None, {"x": departed})[-1]
    own = booster.predict(departed).reshape(len(departed), -1)
    onnx = onnx[:, -own.shape[1] :]
    if np.abs(onnx - own).max() < 1e-4:
        agreeing.append(name)
    print(f"{name:<24} of one flight LightGBM says {own[-1].round(2)}, ONNX {onnx[-1].round(2)}")
if agreeing != ["binary", "multiclass", "regression"]:
    sys.exit(f"It is no longer these three that agree, but: {', '.join(agreeing)}.")
PY
venv/bin/python -I program.py || { echo "It is no longer as described." >&2; exit 1; }
