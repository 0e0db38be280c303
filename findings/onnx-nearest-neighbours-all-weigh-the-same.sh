#!/usr/bin/env bash
# skl2onnx: nearest neighbours weighted by distance all weigh the same in ONNX.
#
# With weights="distance" scikit-learn gives a near neighbour more say than a far one, and a row that equals a
# training row gets that row's own answer. The converted graph computes weights too, but of distances that
# already carry a minus sign; each is then raised to one and the same smallest value, so that every neighbour
# weighs the same, as with weights="uniform". Nothing is raised and nothing is warned about.
# Where the weights matter, train with weights="uniform", or leave the model in scikit-learn.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
# on Python 3.13:
#
#   skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
#   rows that ONNX answers as scikit-learn does with:   weights="distance"   weights="uniform"
#   KNeighborsRegressor, the training rows                      0 of 400          400 of 400
#   KNeighborsRegressor, other rows                             0 of 400          400 of 400
#   KNeighborsClassifier, the training rows                   264 of 400          400 of 400
#   KNeighborsClassifier, other rows                          305 of 400          400 of 400
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
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("skl2onnx", "scikit-learn", "onnx", "onnxruntime", "numpy", "protobuf")

# Where an aircraft stands, and how many minutes its taxi to the runway takes.
random = np.random.default_rng(0)
places = random.uniform(-1, 1, size=(400, 2)).astype(np.float32)
minutes = (10 + 5 * places[:, 0] + 4 * places[:, 1] ** 2).astype(np.float32)
others = random.uniform(-1, 1, size=(400, 2)).astype(np.float32)


def by_onnx(model, rows):
    session = onnxruntime.InferenceSession(to_onnx(model, rows[:1]).SerializeToString())
    return session.run(None, {"X": rows})[0].ravel()


def same(answers, expected):
    """How many rows have the answer that is expected."""
    return int(np.isclose(answers, expected, atol=1e-4).sum())


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
print('rows that ONNX answers as scikit-learn does with:   weights="distance"   weights="uniform"')
as_described = True
for kind, targets in ((KNeighborsRegressor, minutes), (KNeighborsClassifier, (minutes * 2).astype(int))):
    for name, rows in (("the training rows", places), ("other rows", others)):
        weighted = kind(weights="distance").fit(places, targets)
        answers = by_onnx(weighted, rows)
        as_weighted = same(answers, weighted.predict(rows))
        as_uniform = same(answers, kind(weights="uniform").fit(places, targets).predict(rows))
        print(f"{kind.__name__ + ', ' + name:<49} {as_weighted:>11} of 400 {as_uniform:>12} of 400")
        as_described &= as_weighted < 395 and as_uniform == 400
if not as_described:
    sys.exit("Distances have a say in ONNX now, or the answers are others than those of equal weights.")
PY
