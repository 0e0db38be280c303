#!/usr/bin/env bash
# onnxruntime: a GRU or LSTM with a bias answers a NaN with a number, as if the reading had been another one.
#
# PyTorch answers NaN for a sequence that holds one, and so does the reference implementation of ONNX: whoever
# watches for scores that are no number sees the missing reading. onnxruntime's GRU and LSTM have an ordinary
# state after it where they have a bias, as every GRU and LSTM of PyTorch has unless told otherwise, and the
# score is a number like any other. Without a bias, and in the plain RNN, NaN stays NaN.
# So check, before run(), that no reading is missing, instead of looking for NaN in the answer.
#
# Seen with onnxruntime 1.32.0, onnx 1.23.2, numpy 2.5.5 on Python 3.13:
#
#   onnxruntime 1.32.0, onnx 1.23.2, numpy 2.5.5
#   GRU  without bias: onnxruntime [nan nan], reference [nan nan]
#   GRU  with bias: onnxruntime [0.301 0.301], reference [nan nan]
#   LSTM without bias: onnxruntime [nan nan], reference [nan nan]
#   LSTM with bias: onnxruntime [-0.005 -0.002], reference [nan nan]
#   RNN  without bias: onnxruntime [nan nan], reference [nan nan]
#   RNN  with bias: onnxruntime [nan nan], reference [nan nan]
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
"$scratch/venv/bin/pip" install --quiet --no-compile onnxruntime==1.32.0 onnx==1.23.2 numpy==2.5.5 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import sys
import warnings
from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

warnings.simplefilter("ignore")
onnxruntime.set_default_logger_severity(3)
SIZE, SENSORS = 4, 2
LOST = {("GRU", True), ("LSTM", True)}
random = np.random.default_rng(0)
print(", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "onnx", "numpy")))


def answers(node, row, shape, weights=()):
    """The last output of a graph of one node: by onnxruntime, and by the reference of the ONNX format."""
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, row.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": row})[0], ReferenceEvaluator(model).run(None, {"x": row})[0]


def weight(name, *shape):
    return numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)


readings = np.ones((3, 1, SENSORS), np.float32)
readings[1, 0, 0] = np.nan  # the second of three readings, of the first sensor
finite = {}
for operator, gates in (("GRU", 3), ("LSTM", 4), ("RNN", 1)):
    for bias in (False, True):
        names = ["x", "W", "R", "B"] if bias else ["x", "W", "R"]
        weights = [weight("W", 1, gates * SIZE, SENSORS), weight("R", 1, gates * SIZE, SIZE)]
        weights += [weight("B", 1, 2 * gates * SIZE)] if bias else []
        node = helper.make_node(operator, names, ["", "y"], hidden_size=SIZE)
        both = answers(node, readings, (1, 1, SIZE), weights)
        finite[operator, bias] = [bool(np.isfinite(each).all()) for each in both]
        mine, reference = (np.round(each.ravel()[:2], 3) for each in both)
        print(f"{operator:4} {'with' if bias else 'without'} bias: onnxruntime {mine}, reference {reference}")
lost = {name for name, (mine, reference) in finite.items() if mine and not reference}
if lost != LOST:
    sys.exit(f"NaN is lost in {sorted(lost)} instead of {sorted(LOST)}.")
PY
