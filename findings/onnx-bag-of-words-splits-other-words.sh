#!/usr/bin/env bash
# skl2onnx: CountVectorizer and TfidfVectorizer find other words in ONNX: accents split them, pairs break up.
#
# scikit-learn's default token_pattern takes runs of two or more word characters of any alphabet. The converter
# puts [a-zA-Z0-9_]+ in its place: "forêt" becomes "for" and "t" and counts for nothing, and a text in Greek or
# Chinese letters is empty. Plain English is hit as well: one-letter words, which scikit-learn skips, stay in,
# so that with ngram_range=(1, 2) the pair "gate closed" is not found in "gate a closed". Nothing is raised and
# nothing is warned about.
# What works: texts split into words before the pipeline, and token_pattern=r"\S+", which is converted as it is.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
# on Python 3.13 (lowercase=False, since lower-casing needs a locale of the system in onnxruntime):
#
#   skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.5.5, protobuf 7.36.2
#   CountVectorizer, 'feu de forêt à midi':
#       scikit-learn ['de', 'feu', 'forêt', 'midi']
#       ONNX         ['de', 'feu', 'midi']
#   TfidfVectorizer, 'feu de forêt à midi':
#       scikit-learn ['de', 'feu', 'forêt', 'midi']
#       ONNX         ['de', 'feu', 'midi']
#   CountVectorizer, ngram_range=(1, 2), 'gate a closed':
#       scikit-learn ['closed', 'gate', 'gate closed']
#       ONNX         ['closed', 'gate']
#   CountVectorizer, token_pattern='\\S+', 'feu de forêt à midi':
#       scikit-learn ['de', 'feu', 'forêt', 'midi', 'à']
#       ONNX         ['de', 'feu', 'forêt', 'midi', 'à']
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
from skl2onnx.common.data_types import StringTensorType
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

warnings.simplefilter("error", category=UserWarning)  # a converter that warned would be heard
onnxruntime.set_default_logger_severity(3)
PACKAGES = ("skl2onnx", "scikit-learn", "onnx", "onnxruntime", "numpy", "protobuf")


def compare(kind, texts, **settings):
    """Which words scikit-learn counts in the first text, and which ONNX counts."""
    model = kind(lowercase=False, **settings).fit(texts)
    converted = to_onnx(model, initial_types=[("x", StringTensorType([None]))])
    onnx = onnxruntime.InferenceSession(converted.SerializeToString()).run(None, {"x": np.array(texts)})[0]
    names = model.get_feature_names_out()
    own, other = (names[row > 0].tolist() for row in (model.transform(texts).toarray()[0], onnx[0]))
    how = "".join(f", {name}={value!r}" for name, value in settings.items())
    print(f"{kind.__name__}{how}, {texts[0]!r}:\n    scikit-learn {own}\n    ONNX         {other}")
    return own, other


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
french = ["feu de forêt à midi", "brume"]
english = ["gate a closed", "gate open"]
seen = [
    compare(CountVectorizer, french),
    compare(TfidfVectorizer, french),
    compare(CountVectorizer, english, ngram_range=(1, 2)),
    compare(CountVectorizer, french, token_pattern=r"\S+"),
]
words = ["de", "feu", "forêt", "midi"]
if seen[:2] != [(words, ["de", "feu", "midi"])] * 2:
    sys.exit("Words with accents are no longer lost.")
if seen[2] != (["closed", "gate", "gate closed"], ["closed", "gate"]):
    sys.exit("A pair of words around a one-letter word is no longer lost.")
if seen[3][0] != seen[3][1]:
    sys.exit("A pattern of one's own is no longer converted as it is.")
PY
