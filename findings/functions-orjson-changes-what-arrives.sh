#!/usr/bin/env bash
# azure-functions: once orjson is installed, by whatever package, requests and messages are read another way.
#
# The library parses JSON with orjson where it can be imported and with Python's json where not. Nobody has to
# ask for it: it is enough that some other dependency brings orjson along. get_json() of an HTTP request and of a
# queue message then changes its answers: a whole number from 2**64 on becomes a float and loses its digits
# without a word, and NaN, which Python's json writes and reads, is refused, so that a producer in Python and a
# function in Python no longer understand each other.
# What works: json.loads(request.get_body()) with a parser that the application has chosen itself.
#
# Seen with azure-functions 2.3.0 and orjson 3.13.0 on Python 3.13:
#
#   azure-functions 2.3.0, orjson 3.13.0
#   {"id": 18446744073709551615}
#       without orjson {'id': 18446744073709551615}
#       with orjson    {'id': 18446744073709551615}
#   {"id": 18446744073709551617}
#       without orjson {'id': 18446744073709551617}
#       with orjson    {'id': 1.8446744073709552e+19}
#   {"late": NaN}
#       without orjson {'late': nan}
#       with orjson    orjson.JSONDecodeError
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
"$scratch/venv/bin/pip" install --quiet --no-compile azure-functions==2.3.0 orjson==3.13.0 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import subprocess
import sys
from importlib.metadata import version

BODIES = ('{"id": 18446744073709551615}', '{"id": 18446744073709551617}', '{"late": NaN}')
READ = """
import sys
if sys.argv[1] == "without":
    sys.modules["orjson"] = None  # as if it were not installed: the import fails
import azure.functions
for body in sys.argv[2:]:
    for message in (
        azure.functions.HttpRequest("POST", "/", body=body.encode()),
        azure.functions.QueueMessage(body=body.encode()),
    ):
        try:
            print(message.get_json())
        except ValueError as error:
            print(type(error).__module__, type(error).__name__, sep=".")
"""


def read(how):
    command = [sys.executable, "-I", "-c", READ, how, *BODIES]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


print(", ".join(f"{name} {version(name)}" for name in ("azure-functions", "orjson")))
without, installed = read("without"), read("with")
for place, body in enumerate(BODIES):
    print(f"{body}\n    without orjson {without[place * 2]}\n    with orjson    {installed[place * 2]}")
same = [answers[0::2] == answers[1::2] for answers in (without, installed)]
if not all(same):
    sys.exit("Requests and queue messages are no longer read alike.")
if without[0::2] != ["{'id': 18446744073709551615}", "{'id': 18446744073709551617}", "{'late': nan}"]:
    sys.exit("Without orjson all three are no longer read as they are.")
if installed[0::2] != ["{'id': 18446744073709551615}", "{'id': 1.8446744073709552e+19}", "orjson.JSONDecodeError"]:
    sys.exit("With orjson the answers are others than described.")
PY
