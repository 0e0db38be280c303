#!/usr/bin/env bash
# skl2onnx: Normalizer(norm="max") divides by another number in ONNX where a row has negative values.
#
# scikit-learn divides each row by its largest absolute value. The converter writes ONNX's Normalizer with
# norm MAX, and onnxruntime divides by the largest value with its sign: (-4, 2) becomes (-2, 1) in place of
# (-1, 0.5), and a row whose values are all negative turns its signs. Rows whose largest value is positive
# agree. Nothing is raised and nothing is warned about. norm="l1" and "l2" agree for all rows.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
# on Python 3.13:
#
#   skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
#   max of [4.0, 2.0]    scikit-learn [1.0, 0.5]    ONNX [1.0, 0.5]
#   max of [-2.0, 4.0]   scikit-learn [-0.5, 1.0]   ONNX [-0.5, 1.0]
#   max of [-4.0, 2.0]   scikit-learn [-1.0, 0.5]   ONNX [-2.0, 1.0]
#   max of [-4.0, -2.0]  scikit-learn [-1.0, -0.5]  ONNX [2.0, 1.0]
#   l1 and l2: the same
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
from sklearn.preprocessing import Normalizer

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("skl2onnx", "scikit-learn", "onnx", "onnxruntime", "numpy", "protobuf")
ROWS = np.array([[4, 2], [-2, 4], [-4, 2], [-4, -2]], dtype=np.float32)


def both(norm):
    """What scikit-learn and ONNX make of the rows."""
    model = Normalizer(norm).fit(ROWS)
    session = onnxruntime.InferenceSession(to_onnx(model, ROWS[:1]).SerializeToString())
    return model.transform(ROWS), session.run(None, {"X": ROWS})[0]


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
own, onnx = both("max")
for row, ours, theirs in zip(ROWS.tolist(), own.tolist(), onnx.tolist(), strict=True):
    print(f"max of {row!s:<13} scikit-learn {ours!s:<13} ONNX {theirs}")
others_agree = all(np.allclose(*both(norm)) for norm in ("l1", "l2"))
print(f"l1 and l2: {'the same' if others_agree else 'not the same'}")
if onnx.tolist() != [[1, 0.5], [-0.5, 1], [-2, 1], [2, 1]] or own[2:].tolist() != [[-1, 0.5], [-1, -0.5]]:
    sys.exit("ONNX no longer divides by the largest value with its sign.")
if not others_agree:
    sys.exit("l1 and l2 no longer agree.")
PY
