#!/usr/bin/env bash
# LightGBM 4.7: CalibratedClassifierCV around it gives other probabilities in ONNX.
#
# LGBMClassifier has a decision_function since 4.7.0, and CalibratedClassifierCV prefers that to predict_proba.
# It now calibrates margins, where it calibrated probabilities before. The converter of onnxmltools, registered
# as the documentation of sklearn-onnx shows, has no option raw_scores, so skl2onnx feeds probabilities into the
# curves that were fitted to margins. Nothing is raised and nothing is warned about; LightGBM alone converts as
# it should, and with LightGBM 4.6.0 the calibrated one does too.
#
# Seen with onnxmltools 1.16.0, lightgbm 4.7.0, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0,
# scikit-learn 1.9.1, numpy 2.5.5, protobuf 7.36.2 on Python 3.13:
#
#   lightgbm 4.7.0, onnxmltools 1.16.0, skl2onnx 1.20.0, onnxruntime 1.32.0, scikit-learn 1.9.1
#   LGBMClassifier has a decision_function: True
#   alone      largest difference between LightGBM's and ONNX's probability 0.00
#   calibrated largest difference between LightGBM's and ONNX's probability 0.48
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

import numpy as np
import onnxruntime
from lightgbm import LGBMClassifier
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.calibration import CalibratedClassifierCV

warnings.filterwarnings("ignore", "X does not have valid feature names")
PACKAGES = ("lightgbm", "onnxmltools", "skl2onnx", "onnxruntime", "scikit-learn")
update_registered_converter(
    LGBMClassifier,
    "LightGbmLGBMClassifier",
    calculate_linear_classifier_output_shapes,
    convert_lightgbm,
    options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
)

# Flights by their delay at departure, and whether they land late, which chance has a part in.
random = np.random.default_rng(0)
departed = random.uniform(-30, 120, size=(2000, 1)).astype(np.float32)
late = (departed[:, 0] + random.normal(0, 30, size=2000) > 30).astype(int)


def apart(model):
    """The largest difference between the probabilities of a model and of its ONNX file."""
    converted = convert_sklearn(
        model,
        initial_types=[("x", FloatTensorType([None, 1]))],
        target_opset={"": 21, "ai.onnx.ml": 3},
        options={id(model): {"zipmap": False}},
    )
    found = onnxruntime.InferenceSession(converted.SerializeToString()).run(None, {"x": departed})[1]
    return float(np.abs(found - model.predict_proba(departed)).max())


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
print(f"LGBMClassifier has a decision_function: {hasattr(LGBMClassifier, 'decision_function')}")
seen = {}
for name, model in (
    ("alone", LGBMClassifier(n_estimators=20, n_jobs=1, random_state=0, verbose=-1)),
    ("calibrated", CalibratedClassifierCV(LGBMClassifier(n_estimators=20, n_jobs=1, random_state=0, verbose=-1), cv=3)),
):
    seen[name] = apart(model.fit(departed, late))
    print(f"{name:<10} largest difference between LightGBM's and ONNX's probability {seen[name]:.2f}")
expects_margins = hasattr(LGBMClassifier, "decision_function")
if seen["alone"] > 1e-5 or (seen["calibrated"] > 0.1) != expects_margins or not expects_margins:
    sys.exit("It is no longer the calibrated model alone that differs.")
PY
venv/bin/python -I program.py || { echo "It is no longer as described." >&2; exit 1; }
