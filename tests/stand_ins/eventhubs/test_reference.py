"""The .NET client of the real Functions host, against this server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.stand_ins.eventhubs.support import Server

PROGRAM = os.environ.get("AZURE_REFERENCE")


@pytest.mark.skipif(
    not PROGRAM, reason="AZURE_REFERENCE does not name the program with Microsoft's .NET clients, built apart"
)
def test_the_dotnet_client_finds_all_that_it_expects(tmp_path: Path) -> None:
    """Every check of the reference program passes, two competing processors and the buffered producer included."""
    server = Server(tmp_path / "data")
    done = subprocess.run(
        [str(PROGRAM), "eventhubs", server.connection, "events", "--events", "5000"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
    )
    assert server.stop() == 0
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line for line in lines if line.get("ok") is False] == []
    assert lines[-1] == {"failed": 0}
