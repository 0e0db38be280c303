#!/usr/bin/env bash
# azure-cosmos: the async client sends a create again after a read time-out, and meets its own document.
#
# The store has written the document, only its answer is late. The async client then sends the same create
# again, without a word, and raises CosmosResourceExistsError (409): "somebody else's" document is the one
# that this very call has just made. retry_write, which is documented as what allows writes to be repeated
# and is off unless asked for, has no say in it; retry_read=0 is what ends it. The sync client of the same
# package, with the same defaults, sends the create once and raises ServiceResponseTimeoutError.
# So a 409 to a create says nothing about who wrote, unless the stored document is read and compared.
#
# Seen with azure-cosmos 4.17.1, azure-core 1.41.0, aiohttp 3.14.5 on Python 3.13, against a server on
# loopback that keeps what it is sent, gives no answer to the first create, and 409 to the same id again:
#
#   azure-cosmos 4.17.1, azure-core 1.41.0, aiohttp 3.14.5
#   async, defaults:      CosmosResourceExistsError, the create was sent more than once
#   async, retry_write=0: CosmosResourceExistsError, the create was sent more than once
#   async, retry_read=0:  ServiceResponseTimeoutError, the create was sent once
#   sync, defaults:       ServiceResponseTimeoutError, the create was sent once
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
import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from azure.core.exceptions import AzureError
from azure.cosmos import CosmosClient
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient

FLIGHT = {"id": "flight-1", "pk": "p"}
READ_TIMEOUT_SECONDS = 2


class Account(BaseHTTPRequestHandler):
    """As much of Cosmos DB as one client needs: the account, a container, and creates."""

    protocol_version = "HTTP/1.1"

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
        server = self.server
        server.creates.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if len(server.creates) == 1:
            server.over.wait()  # written, but the answer comes after the client has given up
            self.close_connection = True
        else:
            self.answer(409, {"code": "Conflict", "message": "A document with this id exists."})


def outcome(name, server, call):
    """What the call raised, and how often its create arrived."""
    try:
        call()
        raised = "nothing"
    except AzureError as error:
        raised = type(error).__name__
    often = "once" if len(server.creates) == 1 else "more than once"
    print(f"{name + ':':<21} {raised}, the create was sent {often}")
    return raised, often


def trial(name, client, **settings):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Account)
    server.daemon_threads = True
    server.creates, server.over = [], threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        return outcome(name, server, lambda: client(f"http://127.0.0.1:{server.server_port}/", settings))
    finally:
        server.over.set()
        server.shutdown()


def by_async(url, settings):
    async def create():
        async with AsyncCosmosClient(url, credential="a2V5", **settings) as client:
            container = client.get_database_client("d").get_container_client("c")
            await container.create_item(FLIGHT, read_timeout=READ_TIMEOUT_SECONDS)

    asyncio.run(create())


def by_sync(url, settings):
    with CosmosClient(url, credential="a2V5", **settings) as client:
        container = client.get_database_client("d").get_container_client("c")
        container.create_item(FLIGHT, read_timeout=READ_TIMEOUT_SECONDS)


logging.getLogger("azure").setLevel(logging.CRITICAL)
print(", ".join(f"{name} {version(name)}" for name in ("azure-cosmos", "azure-core", "aiohttp")))
conflict = ("CosmosResourceExistsError", "more than once")
time_out = ("ServiceResponseTimeoutError", "once")
seen = [
    trial("async, defaults", by_async),
    trial("async, retry_write=0", by_async, retry_write=0),
    trial("async, retry_read=0", by_async, retry_read=0),
    trial("sync, defaults", by_sync),
]
if seen != [conflict, conflict, time_out, time_out]:
    sys.exit("The async client did not meet its own create, or another setting than retry_read decides it.")
PY
