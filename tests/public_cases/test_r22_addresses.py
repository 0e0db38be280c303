"""R22: connection refused though the emulator is up.

Condition: a command line of one's own drops Azurite's bind to 0.0.0.0, or localhost resolves to ::1.
Right: compose.yaml says where to bind, the defaults say 127.0.0.1, where each part listens and nowhere else,
and nothing uses a part before it answers. (tests/walks holds compose.yaml and the settings together.)
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

import psutil
import yaml

from everscore.config.connections import parts_of
from everscore_local.endpoints import Ports
from everscore_local.stack import SERVICES, Stack, StackOptions
from tests.support.services import ROOT


def test_every_part_listens_on_127_0_0_1_and_answers_once_it_is_ready(tmp_path: Path) -> None:
    """Each service of the stack accepts a connection as soon as it is ready, and listens on no other address."""
    options = StackOptions(state=tmp_path, app=ROOT, ports=Ports.free(), dies_with_parent=True)
    with Stack.new(options) as stack:
        stack.start(SERVICES)
        ports = stack.ports
        for port in (ports.eventhubs, ports.cosmos, ports.cosmos_control, ports.blob, ports.queue):
            socket.create_connection(("127.0.0.1", port), 5).close()
        running = [stack.state.running[part].process() for part in SERVICES]
        everything = [
            each for process in running if process for each in (process, *process.children(recursive=True))
        ]
        bound = {
            connection.laddr.ip
            for process in everything
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
    assert bound == {"127.0.0.1"}


def test_settings_and_compose_leave_no_address_to_chance() -> None:
    """The example's settings name 127.0.0.1 only, and compose.yaml binds Azurite to 0.0.0.0 inside its container."""
    values = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    for name in ("EVENTHUB", "COSMOS", "STORAGE", "AzureWebJobsStorage"):
        parts = parts_of(values[name])
        addresses = [text for key, text in parts.items() if key.endswith("endpoint")]
        assert addresses
        assert all("//127.0.0.1:" in address for address in addresses)
    azurite = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["azurite"]
    assert "--blobHost 0.0.0.0 --queueHost 0.0.0.0" in azurite["command"]
    assert azurite["healthcheck"]["test"]
