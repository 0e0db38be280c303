#!/usr/bin/env bash
# skl2onnx: CalibratedClassifierCV around a pipeline gives other probabilities in ONNX.
#
# Around a model that has a decision_function CalibratedClassifierCV fits its curves to the margins, and skl2onnx
# asks the model's converter for margins, too. Around a pipeline that ends in the same model it does not: the
# curves are fed with probabilities. Nothing is raised and nothing is warned about. The other way around, with
# CalibratedClassifierCV as the last step of the pipeline, the probabilities agree.
#
# Seen with skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, scikit-learn 1.9.1, numpy 2.5.5,
# protobuf 7.36.2 on Python 3.13:
#
#   skl2onnx 1.20.0, onnxruntime 1.32.0, scikit-learn 1.9.1
#   around the model   largest difference of a probability 0.0000
#   around a pipeline  largest difference of a probability 0.4796
#   last in a pipeline largest difference of a probability 0.0000
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
"$scratch/venv/bin/pip" install --quiet --no-compile skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 \
  scikit-learn==1.9.1 numpy==2.5.5 protobuf==7.36.2 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
cat >program.py <<'PY'
import sys
import warnings
from importlib.metadata import version

import numpy as np
import onnxruntime
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
PACKAGES = ("skl2onnx", "onnxruntime", "scikit-learn")

# Flights by their delay at departure, and whether they land late, which chance has a part in.
random = np.random.default_rng(0)
departed = random.uniform(-30, 120, size=(2000, 1)).astype(np.float32)
late = (departed[:, 0] + random.normal(0, 30, size=2000) > 30).astype(int)
MODELS = {
    "around the model": CalibratedClassifierCV(LogisticRegression(), cv=3),
    "around a pipeline": CalibratedClassifierCV(make_pipeline(StandardScaler(), LogisticRegression()), cv=3),
    "last in a pipeline": make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression(), cv=3)),
}

print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
agreeing = []
for name, model in MODELS.items():
    model.fit(departed, late)
    converted = convert_sklearn(
        model,
        initial_types=[("x", FloatTensorType([None, 1]))],
        target_opset={"": 21, "ai.onnx.ml": 3},
        options={id(model): {"zipmap": False}},
    )
    onnx = onnxruntime.InferenceSession(converted.SerializeToString()).run(None, {"x": departed})[1]
    apart = float(np.abs(onnx - model.predict_proba(departed)).max())
    if apart < 1e-4:
        agreeing.append(name)
    print(f"{name:<18} largest difference of a probability {apart:.4f}")
if agreeing != ["around the model", "last in a pipeline"]:
    sys.exit(f"It is no longer these two that agree, but: {', '.join(agreeing)}.")
PY
venv/bin/python -I program.py || { echo "It is no longer as described." >&2; exit 1; }
