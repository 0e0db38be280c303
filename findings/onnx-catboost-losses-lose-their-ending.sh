#!/usr/bin/env bash
# CatBoost: its ONNX export makes other answers of several losses, and softmax of several predictions.
#
# save_model(format="onnx") writes the sums of the leaves and one of three endings: none, logistic, softmax. A
# model of the loss Poisson or Tweedie therefore answers with logarithms; MultiClassOneVsAll, whose classes each
# have a probability of their own, with a softmax over them; and a regressor of several numbers (MultiRMSE,
# MultiQuantile) becomes a classifier without classes, whose ZipMap onnxruntime refuses to load. Nothing is
# raised or warned about at the export. Logloss, MultiClass and RMSE are written as they should be.
#
# Seen with catboost 1.2.10, onnxruntime 1.32.0, numpy 2.5.5 on Python 3.13:
#
#   catboost 1.2.10, onnxruntime 1.32.0
#   Logloss                      agree; of one flight CatBoost says [0. 1.], ONNX [0. 1.]
#   MultiClass                   agree; of one flight CatBoost says [0. 0. 1.], ONNX [0. 0. 1.]
#   MultiClassOneVsAll           differ; of one flight CatBoost says [0.28 0.28 0.72], ONNX [0.12 0.12 0.77]
#   RMSE                         agree; of one flight CatBoost says [110.35], ONNX [110.35]
#   Poisson                      differ; of one flight CatBoost says [53.45], ONNX [3.98]
#   Tweedie:variance_power=1.5   differ; of one flight CatBoost says [3.17], ONNX [1.16]
#   MultiRMSE                    onnxruntime does not load the file (Fail)
#   MultiQuantile:alpha=0.1,0.9  onnxruntime does not load the file (Fail)
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
"$scratch/venv/bin/pip" install --quiet --no-compile catboost==1.2.10 onnxruntime==1.32.0 numpy==2.5.5 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
cat >program.py <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import onnxruntime
from catboost import CatBoostClassifier, CatBoostRegressor

onnxruntime.set_default_logger_severity(4)
SETTINGS = {"iterations": 20, "depth": 3, "verbose": False, "thread_count": 1, "allow_writing_files": False}

# Flights by their delay at departure, and how late they land.
departed = np.repeat(np.arange(-30, 120, dtype=np.float32), 10).reshape(-1, 1)
landed = departed[:, 0] * 0.9 + 5
CLASSES = np.digitize(landed, [0, 30])
OUTCOMES = {
    "Logloss": (CatBoostClassifier, CLASSES > 0),
    "MultiClass": (CatBoostClassifier, CLASSES),
    "MultiClassOneVsAll": (CatBoostClassifier, CLASSES),
    "RMSE": (CatBoostRegressor, landed),
    "Poisson": (CatBoostRegressor, np.maximum(landed, 0)),
    "Tweedie:variance_power=1.5": (CatBoostRegressor, np.maximum(landed, 0)),
    "MultiRMSE": (CatBoostRegressor, np.column_stack([landed, -landed])),
    "MultiQuantile:alpha=0.1,0.9": (CatBoostRegressor, landed),
}


def by_onnx():
    """What onnxruntime answers, a column for each number; or the exception that it raises at loading."""
    session = onnxruntime.InferenceSession("model.onnx")
    found = session.run(None, {"features": departed})[-1]
    if isinstance(found, list):
        return np.array([[row[key] for key in sorted(row)] for row in found])
    return np.asarray(found).reshape(len(departed), -1)


print(", ".join(f"{name} {version(name)}" for name in ("catboost", "onnxruntime")))
seen = {}
for loss, (kind, outcome) in OUTCOMES.items():
    model = kind(loss_function=loss, **SETTINGS).fit(departed, outcome.astype(int) if loss == "Logloss" else outcome)
    model.save_model("model.onnx", format="onnx")
    own = model.predict_proba(departed) if kind is CatBoostClassifier else model.predict(departed)
    try:
        onnx = by_onnx()
    except Exception as error:
        seen[loss] = "onnxruntime does not load the file"
        print(f"{loss:<28} {seen[loss]} ({type(error).__name__})")
        continue
    apart = float(np.abs(onnx - own.reshape(len(departed), -1)).max())
    seen[loss] = "agree" if apart < 1e-3 else "differ"
    last = own.reshape(len(departed), -1)[-1]
    print(f"{loss:<28} {seen[loss]}; of one flight CatBoost says {last.round(2)}, ONNX {onnx[-1].round(2)}")
agreeing = [loss for loss, found in seen.items() if found == "agree"]
if agreeing != ["Logloss", "MultiClass", "RMSE"]:
    sys.exit(f"It is no longer these three that agree, but: {', '.join(agreeing)}.")
PY
venv/bin/python -I program.py || { echo "It is no longer as described." >&2; exit 1; }
