#!/usr/bin/env bash
# skl2onnx: a tree of scikit-learn that learned where missing values go forgets it in ONNX.
#
# scikit-learn's trees take NaN and learn for each node whether it goes left or right. The format has an
# attribute for that, nodes_missing_value_tracks_true, but the converter writes 0 for every node, and ONNX
# sends every missing value right. All rows without a missing value agree, so that a comparison on complete
# rows shows nothing; a row whose missing value had to go left gets the other answer. Nothing is raised and
# nothing is warned about. Seen for decision trees and random forests, classifiers and regressors alike.
# (Reported to the converter's project as onnx/sklearn-onnx#1253, July 2026.)
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
# on Python 3.13:
#
#   skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
#   rows that ONNX answers as scikit-learn does:     with a value   without
#   DecisionTreeClassifier, missing means ice        1800 of 1800     0 of 200
#   RandomForestClassifier, missing means ice        1800 of 1800     0 of 200
#   RandomForestRegressor, missing means ice         1800 of 1800     0 of 200
#   DecisionTreeClassifier, missing means no ice     1800 of 1800   200 of 200
#   learned for the first one: missing_go_to_left [1, 0, 0]; written: nodes_missing_value_tracks_true [0, 0, 0]
#   the first one, with the attribute as learned     1800 of 1800   200 of 200
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
from onnx import helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.tree import DecisionTreeClassifier

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("skl2onnx", "scikit-learn", "onnx", "onnxruntime", "numpy", "protobuf")

# Degrees at a runway, and whether there is ice; the sensor says nothing where it has frozen itself.
degrees = np.repeat(np.arange(-50, 50, dtype=np.float32) / 2, 20)
degrees[::10] = np.nan
frozen = np.isnan(degrees)
rows = degrees.reshape(-1, 1)
ice = (frozen | (degrees < 1)).astype(int)
no_ice_where_missing = (degrees < 1).astype(int)


def compare(name, model, converted):
    """How many rows ONNX answers as scikit-learn does: of those with a value, and of those without."""
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    answers = session.run(None, {"X": rows})[0].ravel()
    same = np.isclose(answers, model.predict(rows), atol=1e-5)
    with_value, without = int(same[~frozen].sum()), int(same[frozen].sum())
    print(f"{name:<47} {with_value:>5} of {(~frozen).sum()} {without:>5} of {frozen.sum()}")
    return with_value == (~frozen).sum(), without


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
print("rows that ONNX answers as scikit-learn does:     with a value   without")
seen = []
for kind in (DecisionTreeClassifier, RandomForestClassifier, RandomForestRegressor):
    model = kind(random_state=0).fit(rows, ice)
    seen.append(compare(f"{kind.__name__}, missing means ice", model, to_onnx(model, rows[:1])))
other = DecisionTreeClassifier(random_state=0).fit(rows, no_ice_where_missing)
learned_right = compare("DecisionTreeClassifier, missing means no ice", other, to_onnx(other, rows[:1]))

# The proof of the cause: what the tree learned, put into the attribute by hand.
tree = DecisionTreeClassifier(random_state=0).fit(rows, ice)
converted = to_onnx(tree, rows[:1])
[node] = [node for node in converted.graph.node if node.op_type == "TreeEnsembleClassifier"]
[attribute] = [each for each in node.attribute if each.name == "nodes_missing_value_tracks_true"]
written, learned = list(attribute.ints), tree.tree_.missing_go_to_left.tolist()
print(f"learned for the first one: missing_go_to_left {learned}; written: {attribute.name} {written}")
attribute.CopyFrom(helper.make_attribute(attribute.name, learned))
put_right = compare("the first one, with the attribute as learned", tree, converted)

missing = int(frozen.sum())
if seen != [(True, 0)] * 3 or learned_right != (True, missing) or put_right != (True, missing):
    sys.exit("Missing values no longer go right in ONNX where the tree learned that they go left.")
PY
