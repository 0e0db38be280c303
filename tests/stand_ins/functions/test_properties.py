"""Application properties as the host hands them on, and as the pipeline reads them from the hub by itself."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from everscore.adapters.credentials import Credentials
from everscore.adapters.hub import HubReader
from everscore.config.connections import Connection
from everscore.ports import HubEvent

ID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
SENT: dict[str, tuple[Any, Any]] = {
    "text": ("añ→😀", "añ→😀"),
    "binary text": (b"key-7", "a2V5LTc="),
    "binary": (b"\x00\x7f\xff", "AH//"),
    "empty": (b"", ""),
    "symbol": ({"TYPE": "SYMBOL", "VALUE": b"s"}, "s"),
    "true": (True, True),
    "null": (None, None),
    "int": (-7, -7),
    "unsigned": ({"TYPE": "ULONG", "VALUE": 2**64 - 1}, 2**64 - 1),
    "long": ({"TYPE": "LONG", "VALUE": -(2**63)}, -(2**63)),
    "double": (0.1, 0.1),
    "whole": (5.0, 5.0),
    "single": ({"TYPE": "FLOAT", "VALUE": 0.1}, 0.1),
    "large single": ({"TYPE": "FLOAT", "VALUE": 16_777_216.0}, 16_777_216.0),
    "nan": (float("nan"), "NaN"),
    "infinity": (float("-inf"), "-Infinity"),
    "time": (datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC), "2026-01-02T03:04:05.678Z"),
    "whole second": (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
    "before": ({"TYPE": "TIMESTAMP", "VALUE": -1}, "1969-12-31T23:59:59.999Z"),
    "uuid": (ID, str(ID)),
    "list": ([1, "a", b"b", [None]], [1, "a", "Yg==", [None]]),
}


def read(hub: Any) -> list[HubEvent]:
    """Everything that a hub of one partition holds, as a replay reads it."""

    async def work() -> list[HubEvent]:
        async with Credentials() as credentials:
            reader = HubReader(
                Connection("EVENTHUB", connection_string=hub.connection), hub.name, credentials=credentials
            )
            try:
                return [event async for page in reader.read("0", 0) for event in page]
            finally:
                await reader.close()

    return asyncio.run(work())


def test_hole_18_a_replay_reads_the_properties_that_the_host_hands_on(new_hub, new_host) -> None:
    """Each kind of property is read from the hub as the trigger gets it, binary as base64, so that an id that
    stands in one is the same after a replay.
    """
    hub = new_hub()
    hub.send(b"{}", properties={name: sent for name, (sent, _) in SENT.items()})
    host = new_host(hub=hub)
    host.wait(lambda: len(host.seen()) == 1, "the event")
    handed_on = host.seen()[0]["properties"][0]
    expected = {name: read for name, (_, read) in SENT.items()}
    assert handed_on == expected
    (event,) = read(hub)
    assert event.properties == expected


@pytest.mark.skipif(
    not os.environ.get("AZURE_REFERENCE"),
    reason="AZURE_REFERENCE does not name the program with Microsoft's .NET clients, built apart",
)
def test_hole_18_properties_are_those_of_the_dotnet_client(new_hub) -> None:
    """Properties of every type that .NET sends are read as the client inside the real host writes them."""
    hub = new_hub()
    program = os.environ["AZURE_REFERENCE"]
    environment = {**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}

    def run(verb: str, *options: str) -> list[dict[str, Any]]:
        command = [program, verb, f"{hub.connection}", hub.name, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    run("send-odd", "--only", "property/")
    wanted = {
        line["sequence"]: json.loads(line["properties"]) for line in run("events") if line.get("properties")
    }
    found = {event.source.sequence_number: event.properties for event in read(hub)}
    assert len(wanted) > 20
    assert {number: found.get(number) for number in wanted} == wanted


def test_decimals_are_numbers() -> None:
    """A decimal is the number that JSON reads of it; the SDK reads no other than those of 128 bits."""
    from everscore.adapters.amqp_values import as_json

    assert as_json(Decimal("12.340")) == 12.34
