#!/usr/bin/env bash
# azure-eventhub: with tracing on, an event that has a traceparent goes out with two of them.
#
# An application that hands on the trace context sets event.properties["traceparent"]. With OpenTelemetry
# tracing switched on in azure-core the client adds its own, under the same name but as bytes: Python keeps both
# keys, and the AMQP map on the wire holds "traceparent" twice. The AMQP specification calls such a map invalid.
# Python's own reader takes the last, so that the sender's context is gone without a word; other readers may
# take the first, or refuse the event.
# What works: to leave the property to the client and start the span from the context instead, or to give the
# context another name.
#
# Seen with azure-eventhub 5.15.1, azure-core-tracing-opentelemetry 1.0.0b13, opentelemetry-sdk 1.45.2 on Python
# 3.13; nothing is connected to (the trace ids of the client are others each time):
#
#   azure-eventhub 5.15.1, azure-core-tracing-opentelemetry 1.0.0b13, opentelemetry-sdk 1.45.2
#   tracing off, own traceparent:
#       00-11111111111111111111111111111111-2222222222222222-01
#   tracing off, none of its own:
#       (no traceparent)
#   tracing opentelemetry, own traceparent:
#       00-11111111111111111111111111111111-2222222222222222-01
#       00-e7c3a1472c3aa4edf6384ba81e47eb4c-8c2057c21d80f323-03
#   tracing opentelemetry, none of its own:
#       00-2a9b64076c743f11643580607d9c9441-4292d9f0133819b5-03
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
"$scratch/venv/bin/pip" install --quiet --no-compile azure-eventhub==5.15.1 \
  azure-core-tracing-opentelemetry==1.0.0b13 opentelemetry-sdk==1.45.2 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import sys
from importlib.metadata import version

from azure.core.settings import settings
from azure.eventhub import EventData, EventDataBatch
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

PACKAGES = ("azure-eventhub", "azure-core-tracing-opentelemetry", "opentelemetry-sdk")
OURS = "00-11111111111111111111111111111111-2222222222222222-01"
NAME = b"\xa1\x0btraceparent"  # as AMQP writes it: a short text of eleven letters


class Wire(EventDataBatch):
    """A batch that shows the bytes of its last event."""

    def event(self):
        return bytes(self._message[5][-1])


def sent(own):
    """The values of traceparent that one event has on the wire, in order."""
    event = EventData(b'{"late": 3}')
    event.properties = {"traceparent": OURS} if own else {}
    batch = Wire(max_size_in_bytes=2**20)
    with trace.get_tracer("flights").start_as_current_span("flight"):
        batch.add(event)
    return [part[2 : 2 + len(OURS)].decode() for part in batch.event().split(NAME)[1:]]


print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
trace.set_tracer_provider(TracerProvider())
seen = {}
for implementation in (None, "opentelemetry"):
    settings.tracing_implementation = implementation
    for own in (True, False):
        seen[implementation, own] = sent(own)
        print(f"tracing {implementation or 'off'}, {'own traceparent' if own else 'none of its own'}:")
        for value in seen[implementation, own] or ["(no traceparent)"]:
            print(f"    {value}")
if seen[None, True] != [OURS] or seen[None, False] != []:
    sys.exit("Without tracing an event no longer goes out with just what it was given.")
if len(seen["opentelemetry", True]) != 2 or seen["opentelemetry", True][0] != OURS:
    sys.exit("The event no longer has two of them.")
PY
