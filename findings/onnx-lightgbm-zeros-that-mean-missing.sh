#!/usr/bin/env bash
# onnxmltools: a LightGBM model with zero_as_missing=True sends zeros the other way in ONNX.
#
# With zero_as_missing LightGBM learns at each split where missing values go, and sends zeros there too. The
# converter writes an ordinary comparison, and ONNX compares the zero: every row with a zero may get another
# answer, all others agree. Nothing is raised and nothing is warned about.
# What works: to put NaN in place of zero before training and before scoring, with zero_as_missing left off.
#
# Seen with onnxmltools 1.16.0, lightgbm 4.7.0, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0,
# scikit-learn 1.9.1, numpy 2.5.5, protobuf 7.36.2 on Python 3.13:
#
#   onnxmltools 1.16.0, lightgbm 4.7.0, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, protobuf 7.36.2
#   zero_as_missing=True   of 750 rows with a zero    0 agree, of 2250 others 2250; a zero: LightGBM 19.6, ONNX 4.6
#   zero_as_missing=False  of 750 rows with a zero  750 agree, of 2250 others 2250; a zero: LightGBM 19.6, ONNX 19.6
#   NaN in place of zero   of 750 rows with a zero  750 agree, of 2250 others 2250; a zero: LightGBM 19.6, ONNX 19.6
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
"$scratch/venv/bin/pip" install --quiet --no-compile onnxmltools==1.16.0 lightgbm==4.7.0 skl2onnx==1.20.0 \
  scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.5.5 protobuf==7.36.2 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import sys
import warnings
from importlib.metadata import version

import numpy as np
import onnxruntime
from lightgbm import LGBMRegressor
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("onnxmltools", "lightgbm", "skl2onnx", "onnx", "onnxruntime", "protobuf")

# Tons of cargo; a 0 says that nobody has entered it, and such flights leave late.
random = np.random.default_rng(0)
tons = random.integers(1, 10, size=(3000, 1)).astype(np.float32)
tons[::4] = 0
zero = tons[:, 0] == 0
minutes = np.where(zero, 20, tons[:, 0] * 3)


def compare(name, rows, **settings):
    """How many rows ONNX answers as LightGBM does: of those that hold a zero at first, and of all others."""
    model = LGBMRegressor(n_estimators=20, verbose=-1, **settings).fit(rows, minutes)
    converted = convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, 1]))])
    onnx = onnxruntime.InferenceSession(converted.SerializeToString()).run(None, {"x": rows})[0].ravel()
    own = model.predict(rows)
    same = np.isclose(onnx, own, atol=1e-3)
    print(
        f"{name:<22} of {zero.sum()} rows with a zero {same[zero].sum():>4} agree,",
        f"of {(~zero).sum()} others {same[~zero].sum():>4}; a zero: LightGBM {own[0]:.1f}, ONNX {onnx[0]:.1f}",
    )
    return int(same[zero].sum()), int(same[~zero].sum())


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
seen = [
    compare("zero_as_missing=True", tons, zero_as_missing=True),
    compare("zero_as_missing=False", tons, zero_as_missing=False),
    compare("NaN in place of zero", np.where(zero[:, None], np.float32("nan"), tons)),
]
all_agree = (int(zero.sum()), int((~zero).sum()))
if seen != [(0, all_agree[1]), all_agree, all_agree]:
    sys.exit("It is no longer the rows with a zero that differ, all of them, and only with zero_as_missing.")
PY
