#!/usr/bin/env bash
# skl2onnx: an SGDClassifier with loss="modified_huber" and three classes names another class in ONNX.
#
# scikit-learn chooses the class by the decision function. The converted graph chooses the first class with the
# highest probability, and modified_huber's probabilities are cut off at 0 and 1: whenever all classes, or the
# best two, are cut off, they tie, and the first of them wins. A quarter of the labels differ here, while every
# probability agrees, so that a comparison of probabilities shows nothing. Nothing is raised and nothing is
# warned about. Two classes, and loss="log_loss", agree.
# So compare labels as well as probabilities; where the label counts, train with log_loss.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
# on Python 3.13:
#
#   skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
#   modified_huber, 3 classes: 101 of 400 labels differ, 101 of them where probabilities tie; probabilities agree
#   modified_huber, 2 classes:   0 of 400 labels differ,   0 of them where probabilities tie; probabilities agree
#   log_loss, 3 classes:         0 of 400 labels differ,   0 of them where probabilities tie; probabilities agree
#   log_loss, 2 classes:         0 of 400 labels differ,   0 of them where probabilities tie; probabilities agree
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
from sklearn.linear_model import SGDClassifier

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("skl2onnx", "scikit-learn", "onnx", "onnxruntime", "numpy", "protobuf")

random = np.random.default_rng(0)
trained, flights = random.normal(size=(2, 400, 3)).astype(np.float32)
delay = trained[:, 0] + trained[:, 1] / 2


def labels_that_differ(loss, bounds):
    """How many labels ONNX gives otherwise than scikit-learn, and by how much probabilities differ at most."""
    model = SGDClassifier(loss=loss, random_state=0).fit(trained, np.digitize(delay, bounds))
    converted = to_onnx(model, trained[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    labels, probabilities = session.run(None, {"X": flights})
    differ = labels != model.predict(flights)
    furthest = float(abs(probabilities - model.predict_proba(flights)).max())
    highest = probabilities == probabilities.max(axis=1, keepdims=True)
    tie = highest.sum(axis=1) > 1
    print(
        f"{loss}, {len(bounds) + 1} classes:".ljust(26),
        f"{differ.sum():>3} of 400 labels differ, {(differ & tie).sum():>3} of them where probabilities tie;",
        f"probabilities {'agree' if furthest < 1e-5 else 'differ'}",
    )
    return int(differ.sum()), int((differ & tie).sum()), furthest < 1e-5


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
several = labels_that_differ("modified_huber", (-0.5, 0.5))
others = [
    labels_that_differ("modified_huber", (0,)),
    labels_that_differ("log_loss", (-0.5, 0.5)),
    labels_that_differ("log_loss", (0,)),
]
if not (several[0] > 40 and several[0] == several[1] and several[2] and others == [(0, 0, True)] * 3):
    sys.exit("The labels of three classes no longer differ where the probabilities tie.")
PY
