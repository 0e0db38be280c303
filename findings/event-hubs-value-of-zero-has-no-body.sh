#!/usr/bin/env bash
# azure-eventhub: a message whose AMQP value is 0, False or "" goes out without any body.
#
# AmqpAnnotatedMessage(value_body=...) sends one AMQP value in place of bytes. Where the value is false in
# Python's sense (0, 0.0, False, "", an empty list or dictionary) the encoder takes it for "not given" and
# leaves the section out. The readings 1, 2 and 3 arrive, the reading 0 arrives as an event without a body,
# which AMQP does not know (a message has a body section) and which readers take for None or for an empty event.
# What works: EventData with bytes or text, json.dumps(0) for example, where every reading has a body.
#
# Seen with azure-eventhub 5.15.1 on Python 3.13; nothing is connected to:
#
#   azure-eventhub 5.15.1
#   value_body=1            b'\x00SwT\x01'
#   value_body=0            no byte
#   value_body=0.5          b'\x00Sw\x82?\xe0\x00\x00\x00\x00\x00\x00'
#   value_body=0.0          no byte
#   value_body=True         b'\x00SwV\x01'
#   value_body=False        no byte
#   value_body='late'       b'\x00Sw\xa1\x04late'
#   value_body=''           no byte
#   value_body={'late': 3}  b'\x00Sw\xc1\t\x02\xa1\x04lateT\x03'
#   value_body={}           no byte
#   value_body=[3]          b'\x00Sw\xc0\x03\x01T\x03'
#   value_body=[]           no byte
#   EventData('0')          b'\x00Su\xa0\x010'
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
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import sys
from importlib.metadata import version

from azure.eventhub import EventData, EventDataBatch
from azure.eventhub.amqp import AmqpAnnotatedMessage


class Wire(EventDataBatch):
    """A batch that shows the bytes of its last event."""

    def event(self):
        return bytes(self._message[5][-1])


def wire(message):
    batch = Wire(max_size_in_bytes=2**20)
    batch.add(message)
    return batch.event()


print(f"azure-eventhub {version('azure-eventhub')}")
values = {}
for value in (1, 0, 0.5, 0.0, True, False, "late", "", {"late": 3}, {}, [3], []):
    values[repr(value)] = written = wire(AmqpAnnotatedMessage(value_body=value))
    print(f"value_body={value!r:<12} {written or 'no byte'}")
body = wire(EventData("0"))
print(f"EventData('0')          {body}")
section = b"\x00Sw"  # AMQP's mark of a value section
full = [name for name, written in values.items() if written.startswith(section)]
bare = [name for name, written in values.items() if not written]
if full != ["1", "0.5", "True", "'late'", "{'late': 3}", "[3]"] or bare != ["0", "0.0", "False", "''", "{}", "[]"]:
    sys.exit("It is no longer the false values, and they alone, that have no body.")
if not body.endswith(b"0"):
    sys.exit("EventData no longer sends its text.")
PY
