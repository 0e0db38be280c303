#!/usr/bin/env bash
# skl2onnx: TfidfTransformer(sublinear_tf=True) takes log(1 + n) of a count n in ONNX, where scikit-learn takes
# 1 + log(n).
#
# A word that stands once counts 1 in scikit-learn and 0.69 in ONNX, one that stands four times 2.39 and 1.61: no
# common factor, so that the norm does not set it right. The same holds for TfidfVectorizer. Nothing is raised and
# nothing is warned about.
# Train with sublinear_tf=False.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
# on Python 3.13:
#
#   skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
#   sublinear_tf=False: scikit-learn [1. 4. 0.], ONNX [1. 4. 0.]
#   sublinear_tf=True: scikit-learn [1.   2.39 0.  ], ONNX [0.69 1.61 0.  ]
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
from sklearn.feature_extraction.text import TfidfTransformer

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("skl2onnx", "scikit-learn", "onnx", "onnxruntime", "numpy", "protobuf")
print(", ".join(f"{name} {version(name)}" for name in PACKAGES))

# Counts of three words in two reports of a delay.
counts = np.array([[1, 4, 0], [2, 0, 1]], np.float32)
as_described = True
for sublinear in (False, True):
    model = TfidfTransformer(sublinear_tf=sublinear, use_idf=False, norm=None).fit(counts)
    session = onnxruntime.InferenceSession(to_onnx(model, counts[:1]).SerializeToString())
    answer = session.run(None, {"X": counts})[0]
    expected = model.transform(counts).toarray()
    print(f"sublinear_tf={sublinear}: scikit-learn {expected[0].round(2)}, ONNX {answer[0].round(2)}")
    as_described &= np.allclose(answer, np.log1p(counts) if sublinear else counts, atol=1e-5)
    as_described &= np.allclose(answer, expected, atol=1e-5) != sublinear
if not as_described:
    sys.exit("Counts have the logarithm of scikit-learn in ONNX now, or another one than described.")
PY
