"""Measures the Cosmos stand-in: items a second and its CPU per item, for batches of 1, 20 and 100 items.

The unmodified azure-cosmos client writes 500-byte items; the processor time is that of the stand-in's two
processes (gateway and Node) alone. Run it from the project's folder, without arguments.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import urllib.request

import psutil
from azure.cosmos.aio import ContainerProxy, CosmosClient

KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
IN_FLIGHT = 8
SIZES = {1: 2_000, 20: 20_000, 100: 40_000}
QUERIES = {
    "latest ten": "SELECT * FROM c ORDER BY c.time DESC OFFSET 0 LIMIT 10",
    "count": "SELECT VALUE COUNT(1) FROM c",
    "id and pk of all": "SELECT c.id, c.pk FROM c",
}


def item(pk: str, number: int) -> dict[str, object]:
    """Return an item of about 500 bytes."""
    return {
        "id": f"item-{number}",
        "pk": pk,
        "time": f"2013-09-01T{number:012d}Z",
        "score": number / 7,
        "text": "x" * 400,
    }


async def write(container: ContainerProxy, size: int, total: int) -> None:
    """Write items in batches, some in flight at once."""
    batches = iter(range(0, total, size))

    async def worker() -> None:
        for start in batches:
            pk = f"{size}-{start}"
            operations = [("create", (item(pk, number),)) for number in range(start, start + size)]
            await container.execute_item_batch(operations, partition_key=pk)

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


def processor_seconds(processes: list[psutil.Process]) -> list[float]:
    """Return the processor time that each process has used."""
    return [times.user + times.system for times in (process.cpu_times() for process in processes)]


async def measure(port: int, processes: list[psutil.Process]) -> None:
    """Write with each batch size, then query what was written."""
    async with CosmosClient(f"http://127.0.0.1:{port}/", KEY) as client:
        container = client.get_database_client("everscore").get_container_client("events")
        await container.read()
        base: float | None = None
        print(f"{'batch':>6} {'items/s':>10} {'ratio':>7} {'gateway us/item':>16} {'node us/item':>13}")
        for size, total in SIZES.items():
            before, start = processor_seconds(processes), time.perf_counter()
            await write(container, size, total)
            rate = total / (time.perf_counter() - start)
            # The count comes after all writes in the pipe, so Node has done its work when it answers.
            [written async for written in container.query_items(QUERIES["count"])]
            used = [(b - a) / total * 1e6 for a, b in zip(before, processor_seconds(processes), strict=True)]
            base = base or rate
            print(f"{size:>6} {rate:>10,.0f} {rate / base:>7.1f} {used[0]:>16.0f} {used[1]:>13.0f}")
        for name, query in QUERIES.items():
            start = time.perf_counter()
            rows = [row async for row in container.query_items(query, max_item_count=1000)]
            print(f"{name}: {len(rows)} rows in {time.perf_counter() - start:.2f} s")


def main() -> None:
    """Start the stand-in, measure, start it again on the same data."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "everscore_local.cosmos", "--port", "0", "--control-port", "0"]
        command += ["--data", folder, "--database", "everscore", "--container", "events"]
        for round_ in ("first", "second"):
            start = time.perf_counter()
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                try:
                    ready = json.loads(process.stdout.readline())
                    print(f"{round_} start: {time.perf_counter() - start:.2f} s")
                    with urllib.request.urlopen(f"http://127.0.0.1:{ready['controlPort']}/state") as answer:
                        state = json.load(answer)
                    if round_ == "second":
                        print(f"documents after the second start: {state['documents']}")
                        continue
                    processes = [psutil.Process(process.pid), psutil.Process(state["engine"]["pid"])]
                    asyncio.run(measure(ready["port"], processes))
                finally:
                    process.terminate()


if __name__ == "__main__":
    main()
