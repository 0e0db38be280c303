#!/usr/bin/env bash
# avro: Apache's Python library writes the decimal 1 as 0.01, and 1.5 as 0.15.
#
# A decimal of Avro is a whole number and a scale that the schema fixes: with scale 2 the value 1.5 is written
# as 150. The library checks that a value has no more places than the scale, and then writes its digits as they
# stand, 15, without adding the zeros that are missing. Whoever reads the file, in whatever language, gets a
# tenth or a hundredth. Decimal("1.50") is written right, so that a test with two places shows nothing; results
# of a computation, Decimal("3") * 2 for example, are not. Nothing is raised and nothing is warned about.
# What works: value.quantize(Decimal("0.01")) before writing, or fastavro, which adds the zeros.
#
# Seen with avro 1.12.2 and fastavro 1.13.1 on Python 3.13:
#
#   avro 1.12.2, fastavro 1.13.1
#    1.50 written by avro: 1.50, written by fastavro: 1.50
#     1.5 written by avro: 0.15, written by fastavro: 1.50
#       1 written by avro: 0.01, written by fastavro: 1.00
#    -7.1 written by avro: -0.71, written by fastavro: -7.10
#    1E+2 written by avro: 0.01, written by fastavro: 100.00
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
"$scratch/venv/bin/pip" install --quiet --no-compile avro==1.12.2 fastavro==1.13.1 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import io
import json
import sys
import warnings
from decimal import Decimal
from importlib.metadata import version

import avro.io
import avro.schema
import fastavro

warnings.simplefilter("error")  # a library that warned would be heard
VALUES = ("1.50", "1.5", "1", "-7.1", "1E+2")
PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}


def by_avro(value):
    written = io.BytesIO()
    avro.io.DatumWriter(avro.schema.parse(json.dumps(PRICE))).write(value, avro.io.BinaryEncoder(written))
    return written.getvalue()


def by_fastavro(value):
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(PRICE), value)
    return written.getvalue()


def read_by_both(written):
    """What both libraries read; they agree about the bytes."""
    reader = avro.io.DatumReader(avro.schema.parse(json.dumps(PRICE)))
    own = reader.read(avro.io.BinaryDecoder(io.BytesIO(written)))
    other = fastavro.schemaless_reader(io.BytesIO(written), PRICE)
    if own != other:
        sys.exit(f"The libraries no longer read the same: {own}, {other}")
    return own


print(", ".join(f"{name} {version(name)}" for name in ("avro", "fastavro")))
seen = []
for text in VALUES:
    read = [read_by_both(write(Decimal(text))) for write in (by_avro, by_fastavro)]
    print(f"{text:>5} written by avro: {read[0]}, written by fastavro: {read[1]}")
    seen.append(read)
if [str(by) for by, _ in seen] != ["1.50", "0.15", "0.01", "-0.71", "0.01"]:
    sys.exit("avro no longer writes the digits as they stand.")
if [by for _, by in seen] != [Decimal(text) for text in VALUES]:
    sys.exit("fastavro no longer writes what it is given.")
PY
