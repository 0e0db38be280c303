#!/usr/bin/env bash
# onnxruntime: None in a column of texts becomes the text "None", and NaN the text "nan".
#
# A tensor of strings is taken from an array of Python objects, and whatever is no text is passed through str():
# None, NaN, 5, True and a dictionary all become texts, without an error or a warning. scikit-learn tells None
# and NaN from texts (an encoder has a category of its own for them, or refuses them); its converted graph gets
# "None" and "nan" and takes them for texts that it has never seen, or for a real category of that name.
# A tensor of floats is strict: the same None in an array of objects is refused.
# So check, before run(), that each value of a text feature is a str.
#
# Seen with onnxruntime 1.32.0, onnx 1.23.2, numpy 2.5.5 on Python 3.13:
#
#   onnxruntime 1.32.0, onnx 1.23.2, numpy 2.5.5
#   string tensor: 'Kai 3'      becomes 'Kai 3'
#   string tensor: None         becomes 'None'
#   string tensor: nan          becomes 'nan'
#   string tensor: 5            becomes '5'
#   string tensor: True         becomes 'True'
#   string tensor: {'gate': 7}  becomes "{'gate': 7}"
#   float tensor:  None         is refused: Unexpected input data type. Actual: (tensor(string)) , expected: (tensor
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
import onnxruntime
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

warnings.simplefilter("error")  # a warning would be heard
onnxruntime.set_default_logger_severity(3)


def session(element_type):
    """A graph that hands on what it gets."""
    ends = [helper.make_tensor_value_info(name, element_type, [None]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString())


print(", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "onnx", "numpy")))
given = ["Kai 3", None, float("nan"), 5, True, {"gate": 7}]
[got] = session(TensorProto.STRING).run(None, {"x": np.array(given, dtype=object)})
for value, text in zip(given, got.tolist(), strict=True):
    print(f"string tensor: {value!r:<12} becomes {text!r}")
try:
    session(TensorProto.FLOAT).run(None, {"x": np.array([1.0, None], dtype=object)})
    refused = False
except InvalidArgument as error:
    refused = True
    print(f"float tensor:  None         is refused: {str(error).partition('INVALID_ARGUMENT : ')[2]}")
if got.tolist() != ["Kai 3", "None", "nan", "5", "True", "{'gate': 7}"] or not refused:
    sys.exit("Values that are no texts are no longer turned into texts, or a float tensor takes None as well.")
PY
