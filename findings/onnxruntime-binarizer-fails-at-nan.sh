#!/usr/bin/env bash
# onnxruntime: one NaN at a Binarizer fails the whole batch, also where only the score before it is asked for.
#
# ML.NET ends each model of two classes with a Binarizer, which makes the label of the score. At a NaN, which a
# linear model gives for a row with a missing number, onnxruntime raises, and none of the rows has an answer;
# ML.NET itself, and the reference implementation of ONNX, answer such a row like any other. To ask run() for the
# score alone does not help: a session computes all outputs of its graph, whatever it is asked for.
# So cut the label off the graph, or make it with Greater.
#
# Seen with onnxruntime 1.32.0, onnx 1.23.2, numpy 2.5.5 on Python 3.13:
#
#   onnxruntime 1.32.0, onnx 1.23.2, numpy 2.5.5
#   reference, rows 1 to 3:   score [ 1.5  nan -1.5], label [1. 0. 0.]
#   onnxruntime, rows 1 and 3: score [ 1.5 -1.5], label [1. 0.]
#   onnxruntime, rows 1 to 3, score and label: refused: Input data with index: 1 is NaN
#   onnxruntime, rows 1 to 3, score: refused: Input data with index: 1 is NaN
#   onnxruntime, rows 1 to 3, cut off the label: score [ 1.5  nan -1.5]
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
from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(4)
print(", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "onnx", "numpy")))

# The end of a graph as ML.NET writes it for two classes: a score, and whether it is above 0.
graph = helper.make_graph(
    [
        helper.make_node(
            "LinearRegressor", ["x"], ["score"], domain="ai.onnx.ml", coefficients=[2.0, -1.0], intercepts=[0.5]
        ),
        helper.make_node("Binarizer", ["score"], ["label"], domain="ai.onnx.ml", threshold=0.0),
    ],
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
    [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("score", "label")],
)
model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid("", 12), helper.make_opsetid("ai.onnx.ml", 2)], ir_version=6
)
onnx.checker.check_model(model)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
rows = np.array([[1, 1], [np.nan, 1], [0, 2]], np.float32)


def shown(outputs):
    return ", ".join(f"{name} {found.ravel()}" for name, found in zip(("score", "label"), outputs))


print("reference, rows 1 to 3:  ", shown(ReferenceEvaluator(model).run(None, {"x": rows})))
print("onnxruntime, rows 1 and 3:", shown(session.run(None, {"x": rows[[0, 2]]})))
refused = 0
for names in (["score", "label"], ["score"]):
    try:
        session.run(names, {"x": rows})
    except Exception as error:
        refused += "is NaN" in str(error)
        print(f"onnxruntime, rows 1 to 3, {' and '.join(names)}: refused: {str(error).rpartition('Message: ')[2]}")
alone = helper.make_model(graph, opset_imports=model.opset_import, ir_version=6)
del alone.graph.node[1], alone.graph.output[1]
session = onnxruntime.InferenceSession(alone.SerializeToString(), providers=["CPUExecutionProvider"])
(score,) = session.run(["score"], {"x": rows})
print("onnxruntime, rows 1 to 3, cut off the label:", shown([score]))
if refused != 2 or not np.isnan(score[1, 0]):
    sys.exit("A NaN is taken.")
PY
