#!/usr/bin/env bash
# azure-eventhub: an event with a property above 2147483647 "exceeds the Event Hub frame size limit".
#
# A Python int in an event's application properties is always written as AMQP's 32-bit int. A time in
# milliseconds does not fit, and the error is a ValueError, the very one that EventDataBatch.add documents for
# a full batch: send_batch says of one event of some 40 bytes that the collection exceeds the frame size, and
# the usual loop (on ValueError send the batch, then add the event to a new one) gets no further. A float, a
# text or a datetime is written as it should be.
# Where two meet: the AMQP binding of the CloudEvents SDK writes the event's time, which it sets by default, as
# an int of milliseconds. So a CloudEvent in binary mode cannot be sent by azure-eventhub as it stands; in
# structured mode, or with `cloudEvents_time` turned into a datetime, it can.
#
# Seen with azure-eventhub 5.15.1 and cloudevents 2.2.0 on Python 3.13; nothing is connected to:
#
#   azure-eventhub 5.15.1, cloudevents 2.2.0
#   departs = 2147483647        added
#   departs = 2147483648        ValueError: Value supplied for int invalid: 2147483648
#   departs = 1767323045678     ValueError: Value supplied for int invalid: 1767323045678
#   departs = a datetime        added
#   a body of 2,000,000 bytes   ValueError: EventDataBatch has reached its size limit: 1048576
#   a CloudEvent, binary        ValueError: Value supplied for int invalid: 1767323045678
#   a CloudEvent, structured    added
#   send_batch of one event     ValueError: The combined size of EventData or AmqpAnnotatedMessage collection
#                               exceeds the Event Hub frame size limit. [and what to do about its size]
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
"$scratch/venv/bin/pip" install --quiet azure-eventhub==5.15.1 cloudevents==2.2.0 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import sys
from datetime import datetime, timezone
from importlib.metadata import version

from azure.eventhub import EventData, EventDataBatch, EventHubProducerClient
from cloudevents.core.bindings import amqp
from cloudevents.core.v1.event import CloudEvent

DEPARTS = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=timezone.utc)
MILLISECONDS = 1_767_323_045_678  # the same
LIMIT_BYTES = 1_048_576


class Unconnected(EventHubProducerClient):
    """Makes its batches without asking a hub how large they may be."""

    def create_batch(self, **_):
        return EventDataBatch(max_size_in_bytes=LIMIT_BYTES)


def event(body=b'{"late": 3}', **properties):
    made = EventData(body)
    made.properties = properties
    return made


def said_of(name, call):
    try:
        call()
        said = "added"
    except ValueError as error:
        said = f"ValueError: {error}"
    print(f"{name:<27} {said}")
    return said.removeprefix("ValueError: ")


def add(name, made):
    return said_of(name, lambda: EventDataBatch(max_size_in_bytes=LIMIT_BYTES).add(made))


print(", ".join(f"{name} {version(name)}" for name in ("azure-eventhub", "cloudevents")))
seen = [
    add("departs = 2147483647", event(departs=2**31 - 1)),
    add("departs = 2147483648", event(departs=2**31)),
    add(f"departs = {MILLISECONDS}", event(departs=MILLISECONDS)),
    add("departs = a datetime", event(departs=DEPARTS)),
    add("a body of 2,000,000 bytes", event(b" " * 2_000_000)),
]
flight = CloudEvent({"id": "1", "source": "/gates/7", "type": "flight.departs", "time": DEPARTS}, {"late": 3})
binary, structured = amqp.to_binary_event(flight), amqp.to_structured_event(flight)
seen += [
    add("a CloudEvent, binary", event(binary.application_data, **binary.application_properties)),
    add("a CloudEvent, structured", event(structured.application_data, **structured.application_properties)),
]
producer = Unconnected("example.servicebus.windows.net", "flights", credential=object())
seen.append(said_of("send_batch of one event", lambda: producer.send_batch([event(departs=MILLISECONDS)])))

too_long = "Value supplied for int invalid: "
expected = [
    "added",
    f"{too_long}{2**31}",
    f"{too_long}{MILLISECONDS}",
    "added",
    f"EventDataBatch has reached its size limit: {LIMIT_BYTES}",
    f"{too_long}{MILLISECONDS}",
    "added",
]
if seen[:-1] != expected or "exceeds the Event Hub frame size limit" not in seen[-1]:
    sys.exit("A whole number above 2147483647 is no longer refused as if the batch were full.")
if "time" not in CloudEvent({"source": "/gates/7", "type": "flight.departs"}).get_attributes():
    sys.exit("A CloudEvent no longer has a time unless one is given.")
PY
