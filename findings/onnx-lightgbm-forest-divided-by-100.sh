#!/usr/bin/env bash
# onnxmltools: a LightGBM random forest is divided by 100 in ONNX, however many trees it has.
#
# LightGBM with boosting_type="rf" averages its trees. The converter writes a division by a constant 100 in
# place of the number of trees. A regressor of 100 trees, LightGBM's default, is therefore right, one of 50
# gives half of each prediction and one of 200 the double. In a two-class classifier the division comes after
# the logistic function: no probability is ever above 0.01, and every row gets the negative label, with any
# number of trees. Nothing is raised and nothing is warned about. Boosted trees (gbdt) convert as they should.
#
# Seen with onnxmltools 1.16.0, lightgbm 4.7.0, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0,
# scikit-learn 1.9.1, numpy 2.5.5, protobuf 7.36.2 on Python 3.13:
#
#   onnxmltools 1.16.0, lightgbm 4.7.0, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, [...]
#   regressor,  50 trees: ONNX gives 0.50 times what LightGBM gives
#   regressor, 100 trees: ONNX gives 1.00 times what LightGBM gives
#   regressor, 200 trees: ONNX gives 2.00 times what LightGBM gives
#   classifier, rf:   of 3000 flights LightGBM calls 2160 late, ONNX 0; highest probability in ONNX 0.01
#   classifier, gbdt: of 3000 flights LightGBM calls 2160 late, ONNX 2160; highest probability in ONNX 1.00
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
venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import sys
import warnings
from importlib.metadata import version

import numpy as np
import onnxruntime
from lightgbm import LGBMClassifier, LGBMRegressor
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("onnxmltools", "lightgbm", "skl2onnx", "onnx", "onnxruntime", "scikit-learn", "numpy", "protobuf")

# Flights by their delay at departure: how late they land, in minutes, and whether that is late.
departed = np.repeat(np.arange(-30, 120, dtype=np.float32), 20).reshape(-1, 1)
landed = departed[:, 0] * 0.9 + 5
late = (landed > 15).astype(int)


def trained(kind, trees, answers, boosting="rf"):
    settings = {"subsample": 0.8, "subsample_freq": 1, "n_jobs": 1, "random_state": 0, "verbose": -1}
    return kind(boosting_type=boosting, n_estimators=trees, **settings).fit(departed, answers)


def by_onnx(model, **options):
    converted = convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, 1]))], **options)
    return onnxruntime.InferenceSession(converted.SerializeToString()).run(None, {"x": departed})


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
as_described = True
for trees in (50, 100, 200):
    model = trained(LGBMRegressor, trees, landed)
    [onnx] = by_onnx(model)
    factor = float(np.median(onnx[:, 0] / model.predict(departed)))
    print(f"regressor, {trees:>3} trees: ONNX gives {factor:.2f} times what LightGBM gives")
    as_described &= abs(factor - trees / 100) < 0.001
for boosting in ("rf", "gbdt"):
    model = trained(LGBMClassifier, 100, late, boosting)
    labels, probabilities = by_onnx(model, zipmap=False)
    own = int(model.predict(departed).sum())
    highest = float(probabilities[:, 1].max())
    print(
        f"{f'classifier, {boosting}:':<17} of {len(late)} flights LightGBM calls {own} late, ONNX {labels.sum()};"
        f" highest probability in ONNX {highest:.2f}"
    )
    if boosting == "rf":
        as_described &= own > 0 and labels.sum() == 0 and highest <= 0.0101
    else:
        as_described &= bool((labels == model.predict(departed)).all())
if not as_described:
    sys.exit("The forest is no longer divided by 100 whatever the number of its trees.")
PY
