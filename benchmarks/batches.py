"""What batches are worth: CPU of the app's process per event, one event at a time against whole batches.

The pipeline's own decoder, model and Cosmos DB adapter score and store real flights in the stand-in; the
baseline does what the public samples do: for each event one ONNX call and one upsert. Processor time is this
process's alone. Run it from the project's folder: ``python benchmarks/batches.py [--events N]``.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from azure.cosmos.aio import CosmosClient
from rich.console import Console
from rich.progress import track
from rich.table import Table

from everscore.adapters.cosmos import CosmosStore
from everscore.adapters.credentials import Credentials
from everscore.clock import times
from everscore.clock.deadline import Deadline
from everscore.config.connections import Connection, parts_of
from everscore.decode.decoder import Decoder
from everscore.decode.memory import Memory
from everscore.event.item import Item, Source
from everscore.event.scores import Scores
from everscore.event.stream import load_stream
from everscore.flow.processing import Processed, Processing
from everscore.score.loading import ModelSource
from everscore.score.used_models import ModelInUse
from everscore.store import documents
from everscore.store.writer import Writer

KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
ENQUEUED_AT = "2026-01-01T00:00:00.000Z"
SIZES = (1, 16, 64, 256, 1024)


def items(count: int, skip: int) -> list[Item]:
    """Flights as the trigger gives them."""
    with gzip.open("models/flights/events.jsonl.gz") as file:
        return [
            Item(
                body=line.strip(),
                source=Source("ns", "events", "0", number, str(number), "2026-01-01T00:00:00.000Z"),
            )
            for number, line in enumerate(islice(file, skip, skip + count), skip)
        ]


async def one_by_one(connection: str, decoder: Decoder, models: ModelSource, count: int) -> float:
    """The baseline: one ONNX call and one upsert an event, eight in flight. Seconds of CPU per event."""
    parts = parts_of(connection)
    model = await models.get()
    async with CosmosClient(parts["accountendpoint"], parts["accountkey"]) as client:
        container = client.get_database_client("everscore").get_container_client("events")
        waiting = iter(items(count, 100_000))

        async def worker() -> None:
            for item in waiting:
                (event,) = decoder.decode([item])
                (scores,) = model.score([event.payload])
                assert isinstance(scores, Scores)
                stored_at = times.milliseconds_text(times.now())
                await container.upsert_item(documents.build(event, {model.name: scores}, stored_at))

        begin = time.process_time()
        await asyncio.gather(*(worker() for _ in range(8)))
        return (time.process_time() - begin) / count


async def in_batches(processing: Processing, size: int, count: int, skip: int) -> float:
    """The pipeline, batch by batch. Seconds of CPU per event."""
    flights = items(count, skip)

    async def settle(processed: Processed) -> None:
        assert all(event.done for event in processed.events)

    begin = time.process_time()
    for start in range(0, count, size):
        await processing.run(flights[start : start + size], Deadline.after(60), settle)
    return (time.process_time() - begin) / count


async def measure(connection: str, count: int) -> list[tuple[str, float]]:
    """CPU per event of the baseline and of each batch size."""
    decoder = Decoder(load_stream(Path("stream.json")))
    models = ModelSource(Path("models/flights"), threads=1)
    async with Credentials() as credentials:
        store = CosmosStore(
            Connection("COSMOS", connection), "everscore", "events", timeout=10, credentials=credentials
        )
        processing = Processing(
            decoder=decoder,
            memory=Memory(1 << 30),
            models=[ModelInUse("flights", models)],
            writer=Writer(store, parallel=16, patience=30),
        )
        try:
            await in_batches(processing, 64, 64, 0)  # the cold start is measured elsewhere
            rows = [
                (
                    "one ONNX call and one upsert an event",
                    await one_by_one(connection, decoder, models, count // 8),
                )
            ]
            skip = 1_000
            for size in track(SIZES, "measuring", console=Console(stderr=True)):
                number = count // 8 if size == 1 else count
                rows.append(
                    (f"the pipeline, batches of {size}", await in_batches(processing, size, number, skip))
                )
                skip += number
            return rows
        finally:
            await store.close()


def main() -> None:
    """Start the stand-in, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=8_192)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "everscore_local.cosmos", "--port", "0", "--control-port", "0"]
        command += ["--data", folder, "--database", "everscore", "--container", "events"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                port = json.loads(process.stdout.readline())["port"]
                connection = f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey={KEY};"
                rows = asyncio.run(measure(connection, options.events))
            finally:
                process.terminate()
    table = Table("what", "CPU per event", "events for one event's CPU of the baseline")
    for name, seconds in rows:
        table.add_row(name, f"{seconds * 1e6:,.0f} µs", f"{rows[0][1] / seconds:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
