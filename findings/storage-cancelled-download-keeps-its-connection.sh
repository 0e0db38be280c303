#!/usr/bin/env bash
# azure-storage-blob: a cancelled download keeps its connection to the end of the process or of the client.
#
# An asyncio task that downloads a blob is cancelled, by asyncio.timeout or because its neighbour failed. The
# client does not close the answer that it was reading, the connection is not given back, and garbage
# collection changes nothing. A client has 100 connections unless told otherwise; once that many downloads were
# cut short every further call waits for a free one, without an error, as long as its caller lets it.
# What works: to note each answer by raw_response_hook and to close it when the task is cancelled.
#
# Seen with azure-storage-blob 12.31.1, azure-core 1.41.0, aiohttp 3.14.5 on Python 3.13, with a pool of three
# connections, against a server on loopback that sends a part of the blob and then lets the reader wait:
#
#   azure-storage-blob 12.31.1, azure-core 1.41.0, aiohttp 3.14.5
#   cancelled: of 4 downloads one after the other 3 reached the server
#   cancelled, answer closed: of 4 downloads one after the other 4 reached the server
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
"$scratch/venv/bin/pip" install --quiet --no-compile azure-storage-blob==12.31.1 azure-core==1.41.0 aiohttp==3.14.5 \
  >"$scratch/log" 2>&1 || cannot_try "$(tail -n 5 "$scratch/log")"

cd "$scratch"
NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 venv/bin/python -I - <<'PY' || { echo "It is no longer as described." >&2; exit 1; }
import asyncio
import gc
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import BlobClient

POOL = 3
BLOB_BYTES = 8 * 2**20
SECONDS = 1


class Storage(BaseHTTPRequestHandler):
    """Begins each download and does not end it before the trial is over."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(206)
        for name, value in (
            ("Content-Length", str(BLOB_BYTES)),
            ("Content-Range", f"bytes 0-{BLOB_BYTES - 1}/{BLOB_BYTES}"),
            ("ETag", '"1"'),
            ("x-ms-blob-type", "BlockBlob"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b" " * 1024)
        self.server.begun += 1
        self.server.over.wait()
        self.close_connection = True


async def cut_short(blob, close):
    """Begin a download and cancel it after a second, as a time limit does."""
    answers = []
    try:
        async with asyncio.timeout(SECONDS):
            await (await blob.download_blob(raw_response_hook=answers.append)).readall()
    except TimeoutError:
        pass
    finally:
        if close:
            for answer in answers:
                answer.http_response.internal_response.close()


async def trial(name, server, close):
    server.begun = 0
    connector = aiohttp.TCPConnector(limit=POOL)
    async with aiohttp.ClientSession(connector=connector) as session:
        transport = AioHttpTransport(session=session, session_owner=False)
        url = f"http://127.0.0.1:{server.server_port}/account/container/blob"
        async with BlobClient.from_blob_url(url, transport=transport) as blob:
            for _ in range(POOL + 1):
                await cut_short(blob, close)
            gc.collect()
            print(f"{name}: of {POOL + 1} downloads one after the other {server.begun} reached the server")
    return server.begun


print(", ".join(f"{name} {version(name)}" for name in ("azure-storage-blob", "azure-core", "aiohttp")))
server = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
server.daemon_threads, server.over = True, threading.Event()
threading.Thread(target=server.serve_forever, daemon=True).start()
seen = [
    asyncio.run(trial("cancelled", server, close=False)),
    asyncio.run(trial("cancelled, answer closed", server, close=True)),
]
server.over.set()
server.shutdown()
if seen != [POOL, POOL + 1]:
    sys.exit("A cancelled download no longer keeps its connection, or closing the answer does not give it back.")
PY
