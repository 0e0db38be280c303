#!/usr/bin/env bash
# azure-cosmos: a transactional batch sends ids that create_item refuses.
#
# An id may not hold / \ ? or #, nor end in a blank, since it becomes part of an address. create_item and
# upsert_item hold to that before anything is sent: ValueError. execute_item_batch sends the same item as it is.
# An id with a slash is then asked for under another address: read_item and delete_item put it into the path
# unchanged, /docs/gate/7/ in place of /docs/gate%2F7/, which is not the address of a document.
# So code that moves from create_item to batches loses a check that it may rely on: check ids before the call.
#
# Seen with azure-cosmos 4.17.1, azure-core 1.41.0 on Python 3.13. What the service does with such a batch is not
# shown here; the server on loopback only notes what it is sent:
#
#   azure-cosmos 4.17.1, azure-core 1.41.0
#   'gate/7'   create_item ValueError: Id contains illegal chars.; in a batch: sent as ['gate/7']
#   'gate\\7'  create_item ValueError: Id contains illegal chars.; in a batch: sent as ['gate\\7']
#   'gate?7'   create_item ValueError: Id contains illegal chars.; in a batch: sent as ['gate?7']
#   'gate#7'   create_item ValueError: Id contains illegal chars.; in a batch: sent as ['gate#7']
#   'gate 7 '  create_item ValueError: Id ends with a space or newline.; in a batch: sent as ['gate 7 ']
#   delete_item('gate/7') asks for /dbs/d/colls/c/docs/gate/7/
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
"$scratch/venv/bin/pip" install --quiet --no-compile azure-cosmos==4.17.1 azure-core==1.41.0 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import json
import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from azure.cosmos import CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError


class Account(BaseHTTPRequestHandler):
    """As much of Cosmos DB as one client needs: the account, a container, and an answer to each write."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, content, headers=()):
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path != "/":
            self.answer(200, {"id": "c", "_rid": "AAAAAAAAAAA=", "partitionKey": {"paths": ["/pk"], "kind": "Hash"}})
            return
        here = [{"name": "Here", "databaseAccountEndpoint": f"http://127.0.0.1:{self.server.server_port}/"}]
        consistency = {"defaultConsistencyLevel": "Session"}
        self.answer(
            200,
            {"writableLocations": here, "readableLocations": here, "userConsistencyPolicy": consistency},
        )

    def do_POST(self):
        [create] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.ids.append(create["resourceBody"]["id"])
        self.answer(200, [{"statusCode": 201, "requestCharge": 1}])

    def do_DELETE(self):
        self.server.paths.append(self.path)
        self.answer(404, {"code": "NotFound", "message": "There is nothing."})


def refusal(call):
    try:
        call()
    except ValueError as error:
        return f"ValueError: {error}"
    except CosmosResourceNotFoundError:
        return "404"
    return "sent"


logging.getLogger("azure").setLevel(logging.CRITICAL)
print(", ".join(f"{name} {version(name)}" for name in ("azure-cosmos", "azure-core")))
server = ThreadingHTTPServer(("127.0.0.1", 0), Account)
server.daemon_threads, server.ids, server.paths = True, [], []
threading.Thread(target=server.serve_forever, daemon=True).start()
seen = []
with CosmosClient(f"http://127.0.0.1:{server.server_port}/", credential="a2V5") as client:
    container = client.get_database_client("d").get_container_client("c")
    for name in ("gate/7", "gate\\7", "gate?7", "gate#7", "gate 7 "):
        item = {"id": name, "pk": "p"}
        created = refusal(lambda item=item: container.create_item(item))
        batched = refusal(lambda item=item: container.execute_item_batch([("create", (item,))], partition_key="p"))
        print(f"{name!r:<10} create_item {created}; in a batch: {batched} as {server.ids[-1:]}")
        seen.append(created.startswith("ValueError") and batched == "sent" and server.ids[-1] == name)
    refusal(lambda: container.delete_item("gate/7", partition_key="p"))
print(f"delete_item('gate/7') asks for {server.paths[-1]}")
server.shutdown()
if not all(seen):
    sys.exit("The batch no longer sends what create_item refuses.")
if not server.paths[-1].rstrip("/").endswith("/docs/gate/7"):
    sys.exit("An id with a slash is no longer put into the path unchanged.")
PY
