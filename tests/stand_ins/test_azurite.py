"""Azurite as the local stack starts it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from everscore_local.azurite import connection_string

ROOT = Path(__file__).resolve().parents[2]


def test_it_starts_without_the_libraries_of_what_is_off(tmp_path: Path):
    """Telemetry, half of Azurite's start, and SQL databases are not loaded, and nothing that is served needs them."""
    command = [sys.executable, "-m", "everscore_local.azurite", "--blob-port", "0", "--queue-port", "0"]
    log = tmp_path / "log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [*command, "--data", str(tmp_path / "data")],
            cwd=ROOT,
            env={**os.environ, "NODE_DEBUG": "module"},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        with process:
            assert process.stdout
            ready = json.loads(process.stdout.readline())
            account = connection_string(ready["blobPort"], ready["queuePort"])
            with BlobServiceClient.from_connection_string(account) as service:
                service.create_container("things").upload_blob("a", b"bytes")
                assert service.get_blob_client("things", "a").download_blob().readall() == b"bytes"
            process.terminate()
    assert process.returncode == 0
    loaded = set(re.findall(r'load "\S*?/node_modules/((?:@[^/]+/)?[^/]+)/', log.read_text()))
    assert {"azurite", "express"} <= loaded
    assert {
        name for name in loaded if re.search("applicationinsights|opentelemetry|tedious|mysql2", name)
    } == set()
