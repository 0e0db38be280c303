#!/usr/bin/env bash
# azure-cosmos: a transactional batch that is sent again has lost its ETag condition.
#
# execute_item_batch takes the options of each operation out of the caller's own dictionary. When the call
# raises, and the caller retries it with the same list, the operations go out without if_match_etag: what
# should have been refused with 412 overwrites what somebody else wrote in between, and the answer is 200.
# So the list must be built anew for every attempt. Retries inside the client keep the condition.
#
# Seen with azure-cosmos 4.17.1, azure-core 1.41.0, aiohttp 3.14.5 on Python 3.13, against a server on
# loopback that knows one document, whose ETag has moved from "1" to "2", and answers the first batch 449
# (Retry With):
#
#   azure-cosmos 4.17.1, azure-core 1.41.0, aiohttp 3.14.5
#   options before the first attempt: {'if_match_etag': '"1"'}
#   first attempt:  449, after it the options are {}
#   second attempt: 200, sent with ifMatch None
#   stored now: written by us over what somebody else wrote
#   a list built anew: 412, sent with ifMatch "1"
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
"$scratch/venv/bin/pip" install --quiet azure-cosmos==4.17.1 azure-core==1.41.0 aiohttp==3.14.5 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

SOMEBODY_ELSES = {"id": "flight-1", "pk": "p", "by": "somebody else"}
OURS = {"id": "flight-1", "pk": "p", "by": "us"}


class Account(BaseHTTPRequestHandler):
    """As much of Cosmos DB as one client needs: the account, a container, a document with an ETag."""

    protocol_version = "HTTP/1.1"
    stored, etag = SOMEBODY_ELSES, '"2"'
    conditions: list = []

    def log_message(self, *_):
        pass

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
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
        [replace] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        condition = replace.get("ifMatch")
        self.conditions.append(condition)
        if len(self.conditions) == 1:
            self.answer(449, {"code": "RetryWith", "message": "The request has to be sent again."})
        elif condition not in (None, self.etag):
            self.answer(207, [{"statusCode": 412, "requestCharge": 1}])
        else:
            type(self).stored = replace["resourceBody"]
            self.answer(200, [{"statusCode": 200, "requestCharge": 1, "eTag": '"3"'}])


async def attempt(container, operations):
    try:
        await container.execute_item_batch(operations, partition_key="p")
    except (CosmosHttpResponseError, CosmosBatchOperationError) as error:
        return error.status_code
    return 200


async def main(url):
    async with CosmosClient(url, credential="a2V5") as client:
        container = client.get_database_client("d").get_container_client("c")
        operations = [("replace", ("flight-1", OURS), {"if_match_etag": '"1"'})]
        print("options before the first attempt:", operations[0][2])
        first = await attempt(container, operations)
        print(f"first attempt:  {first}, after it the options are {operations[0][2]}")
        second = await attempt(container, operations)
        print(f"second attempt: {second}, sent with ifMatch {Account.conditions[-1]}")
        overwritten = Account.stored["by"]
        print(f"stored now: written by {overwritten} over what {SOMEBODY_ELSES['by']} wrote")
        anew = await attempt(container, [("replace", ("flight-1", OURS), {"if_match_etag": '"1"'})])
        print(f"a list built anew: {anew}, sent with ifMatch {Account.conditions[-1]}")
    return (first, second, overwritten, anew, Account.conditions) == (449, 200, "us", 412, ['"1"', None, '"1"'])


print(", ".join(f"{name} {version(name)}" for name in ("azure-cosmos", "azure-core", "aiohttp")))
server = ThreadingHTTPServer(("127.0.0.1", 0), Account)
threading.Thread(target=server.serve_forever, daemon=True).start()
if not asyncio.run(main(f"http://127.0.0.1:{server.server_port}/")):
    sys.exit("The second attempt with the same list did not lose its condition.")
PY
