"""Throughput and CPU of the local Functions host with a function that does nothing.

``python benchmarks/functions_host.py [EVENTS]`` starts Azurite and the Event Hubs server, fills four
partitions, then starts the host and measures from its first invocation to its last. With FAST_TIMES=1 in the
environment the app replaces the library's slow parser of times, as a real app should.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

from everscore_local.azurite import connection_string

APP = """
import datetime, os, typing
import azure.functions as func
from azure.functions import meta

if os.environ.get("FAST_TIMES"):
    slow = meta._BaseConverter._parse_datetime.__func__

    def parse(cls, text):
        try:
            return datetime.datetime.fromisoformat(text)
        except (TypeError, ValueError):
            return slow(cls, text)

    meta._BaseConverter._parse_datetime = classmethod(parse)
app = func.FunctionApp()
seen = 0
first = None

@app.event_hub_message_trigger(arg_name="events", event_hub_name="events", connection="EVENTHUB",
    cardinality=func.Cardinality.MANY, data_type=func.DataType.BINARY)
async def take(events: typing.List[func.EventHubEvent]) -> None:
    global seen
    seen += len(events)
    print(f"seen {seen} {len(events)}", flush=True)
"""
BODY = json.dumps({"id": "UA-1545-EWR-20130901T0515", "carrier": "UA", "text": "x" * 150}).encode()


def start(*arguments: str, **environment: str) -> tuple[subprocess.Popen[str], dict]:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if "functions" in arguments[0] else subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    )
    return process, json.loads(process.stdout.readline())


async def fill(connection: str, count: int) -> None:
    client = EventHubProducerClient.from_connection_string(connection, eventhub_name="events")
    async with client:
        sent = 0
        while sent < count:
            batch = await client.create_batch(partition_id=str(sent // 500 % 4))
            for _ in range(min(500, count - sent)):
                batch.add(EventData(BODY))
            await client.send_batch(batch)
            sent += len(batch)


def measure(host: subprocess.Popen[str], count: int) -> str:
    """Follow the host's log until all events were seen; the first batch starts the clock."""
    process = psutil.Process(host.pid)
    (child,) = process.children()
    begun, before, cpu, batches, seen = 0.0, 0, (0.0, 0.0), 0, 0
    while seen < count:
        line = host.stderr.readline()
        if ": seen " not in line:
            continue
        batches += 1
        seen = int(line.split()[-2])
        if not begun:
            begun, before = time.perf_counter(), seen
            cpu = sum(process.cpu_times()[:2]), sum(child.cpu_times()[:2])
    seconds = time.perf_counter() - begun
    used = sum(process.cpu_times()[:2]) - cpu[0], sum(child.cpu_times()[:2]) - cpu[1]
    events = seen - before
    return (
        f"{events} events in {batches} batches: {events / seconds:,.0f} events/s; CPU an event: "
        f"host {used[0] / events * 1e6:.0f} µs, worker {used[1] / events * 1e6:.0f} µs"
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    key = base64.b64encode(b"k" * 32).decode()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:

        def part(*arguments: str, **environment: str) -> tuple[subprocess.Popen[str], dict]:
            process, ready = start(*arguments, **environment)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process, ready

        data = f"{folder}/azurite"
        _, ports = part("everscore_local.azurite", "--blob-port", "0", "--queue-port", "0", "--data", data)
        where = ("--port", "0", "--data", f"{folder}/hub")
        _, hub = part("everscore_local.eventhubs", *where, "--hub", "events:4", "--key", key)
        connection = (
            f"Endpoint=sb://127.0.0.1:{hub['port']};SharedAccessKeyName=RootManageSharedAccessKey;"
            f"SharedAccessKey={key};UseDevelopmentEmulator=true;"
        )
        asyncio.run(fill(connection, count))
        app = Path(folder) / "app"
        app.mkdir()
        (app / "function_app.py").write_text(APP)
        settings = {"version": "2.0", "extensions": {"eventHubs": {"maxEventBatchSize": 256}}}
        (app / "host.json").write_text(json.dumps(settings))
        storage = connection_string(ports["blobPort"], ports["queuePort"])
        host, _ = part(
            "everscore_local.functions", "--app", str(app), "--port", "0",
            EVENTHUB=connection, AzureWebJobsStorage=storage,
        )  # fmt: skip
        print(measure(host, count))


if __name__ == "__main__":
    main()
