#!/usr/bin/env bash
# cloudevents: reading an event that has no time gives it the time of reading, another one at each read.
#
# The time of a CloudEvent is optional. Python's SDK sets it when an application makes an event, and also when
# it reads one: an event that a producer sent without a time comes back with the present one, and nothing tells
# it from a time that was sent. The same message, read again after a retry, says another time; written on, it
# carries the made-up time as if it were the producer's. An id that is missing, which the specification does not
# allow, is made up as well, a random one at each read, so that no repetition is ever recognised as one.
# What works: to look into the message itself, its JSON or its ce-time header, for what the producer said.
#
# Seen with cloudevents 2.2.0 on Python 3.13 (the times are those of the run):
#
#   cloudevents 2.2.0
#   structured: read at first  2026-12-01 01:16:40.567030+00:00
#               read once more 2026-12-01 01:16:40.577315+00:00
#   binary: read at first  2026-12-01 01:16:40.588433+00:00
#           read once more 2026-12-01 01:16:40.598724+00:00
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
"$scratch/venv/bin/pip" install --quiet --no-compile cloudevents==2.2.0 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import sys
import time
from importlib.metadata import version

from cloudevents.core.bindings import http

STRUCTURED = http.HTTPMessage(
    headers={"content-type": "application/cloudevents+json"},
    body=b'{"specversion":"1.0","id":"1","source":"/gates/7","type":"flight.departs","data":{"late":3}}',
)
BINARY = http.HTTPMessage(
    headers={
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "/gates/7",
        "ce-type": "flight.departs",
    },
    body=b'{"late":3}',
)

print(f"cloudevents {version('cloudevents')}")
as_described = True
for name, message in (("structured", STRUCTURED), ("binary", BINARY)):
    read = []
    for _ in range(2):
        read.append(http.from_http_event(message))
        time.sleep(0.01)
    first, again = (event.get_time() for event in read)
    print(f"{name}: read at first  {first}\n{'':<{len(name)}}  read once more {again}")
    written = http.to_structured_event(read[0]).body
    as_described &= first is not None and again is not None and first < again and b'"time"' in written
if not as_described:
    sys.exit("An event without a time no longer gets the time of reading.")
PY
