#!/usr/bin/env bash
# azure-cosmos: retry_throttle_total=0 asks for no retry after 429, and gets nine.
#
# The option is documented as the maximum number of retries of throttled requests. 0 is taken for "not given",
# and so is retry_total=0, so that the default of 9 applies: a caller who keeps his own waits between attempts
# sends ten requests for each of them, to an account that is short of throughput as it is. The sync and the
# async client do the same. 1 is honoured.
# What works: retry_throttle_total=1 with retry_throttle_backoff_max=-1, under which no wait is short enough, so
# that the request is sent once.
#
# Seen with azure-cosmos 4.17.1, azure-core 1.41.0, aiohttp 3.14.5 on Python 3.13, against a server on loopback
# that answers 429 to every create, and asks to wait for one millisecond:
#
#   azure-cosmos 4.17.1, azure-core 1.41.0, aiohttp 3.14.5
#   one create, by the sync and by the async client, with
#   defaults: 429 after 10 requests, 429 after 10 requests
#   retry_throttle_total=0: 429 after 10 requests, 429 after 10 requests
#   retry_total=0: 429 after 10 requests, 429 after 10 requests
#   retry_throttle_total=1: 429 after 2 requests, 429 after 2 requests
#   retry_throttle_total=1, retry_throttle_backoff_max=-1: 429 after 1 requests, 429 after 1 requests
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
"$scratch/venv/bin/pip" install --quiet --no-compile azure-cosmos==4.17.1 azure-core==1.41.0 aiohttp==3.14.5 \
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

from azure.cosmos import CosmosClient
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

FLIGHT = {"id": "flight-1", "pk": "p"}


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
        self.server.creates.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(429, {"code": "TooManyRequests", "message": "Later."}, [("x-ms-retry-after-ms", "1")])


def by_sync(url, settings):
    with CosmosClient(url, credential="a2V5", **settings) as client:
        client.get_database_client("d").get_container_client("c").create_item(FLIGHT)


def by_async(url, settings):
    async def create():
        async with AsyncCosmosClient(url, credential="a2V5", **settings) as client:
            await client.get_database_client("d").get_container_client("c").create_item(FLIGHT)

    asyncio.run(create())


def requests(**settings):
    """How often one create is sent, by the sync and by the async client."""
    sent = []
    for create in (by_sync, by_async):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Account)
        server.daemon_threads, server.creates = True, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            create(f"http://127.0.0.1:{server.server_port}/", settings)
        except CosmosHttpResponseError as error:
            sent.append((error.status_code, len(server.creates)))
        finally:
            server.shutdown()
    named = ", ".join(f"{name}={value}" for name, value in settings.items()) or "defaults"
    print(f"{named}: {', '.join(f'{status} after {count} requests' for status, count in sent)}")
    return [count for _, count in sent]


logging.getLogger("azure").setLevel(logging.CRITICAL)
print(", ".join(f"{name} {version(name)}" for name in ("azure-cosmos", "azure-core", "aiohttp")))
print("one create, by the sync and by the async client, with")
seen = [
    requests(),
    requests(retry_throttle_total=0),
    requests(retry_total=0),
    requests(retry_throttle_total=1),
    requests(retry_throttle_total=1, retry_throttle_backoff_max=-1),
]
if seen != [[10, 10], [10, 10], [10, 10], [2, 2], [1, 1]]:
    sys.exit("0 is no longer taken for the default of 9, or the way around it no longer works.")
PY
