"""Peak memory of a worker on the worst batches that are legal, with its budget of memory and without one.

Four partitions of 256 bodies of 24 KB each at once; a tenth of them is gzip that grows a thousandfold, a
tenth a list of 12,000 records. The pipeline's own code reads, scores and accounts for them, above a store, a
queue and blobs that keep nothing. Each measurement is a process of its own, with all that the app loads.
Run it from the project's folder: ``python benchmarks/memory.py [--json]``.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import function_app.composition  # noqa: E402, F401 - what a worker has loaded
from everscore.config.settings import Settings  # noqa: E402
from everscore.decode.decoder import Decoder  # noqa: E402
from everscore.decode.memory import Memory  # noqa: E402
from everscore.event.item import Item, Source  # noqa: E402
from everscore.event.stream import Stream  # noqa: E402
from everscore.event.stream_manifest import StreamManifest  # noqa: E402
from everscore.flow.limits import Limits, Patience  # noqa: E402
from everscore.flow.processing import Processing  # noqa: E402
from everscore.flow.score_events import RetryState, ScoreEvents  # noqa: E402
from everscore.ports import Document, Write  # noqa: E402
from everscore.retry.placing import Placing  # noqa: E402
from everscore.score.loading import ModelSource  # noqa: E402
from everscore.score.used_models import ModelInUse  # noqa: E402
from everscore.store.writer import Writer  # noqa: E402
from everscore.watch.status import Status  # noqa: E402
from everscore.watch.verdicts import Judge  # noqa: E402

PARTITIONS, BATCH, SIZE = 4, 256, 24 * 1024
MIB = 1024 * 1024
BUDGET = int(Settings.model_fields["batch_memory_mib"].default)
NO_BUDGET = 1 << 20
# By name: how a body holds events, and of what size its records are.
KINDS = {
    "one event a body": ("object", SIZE),
    "lists of large records": ("array", SIZE // 2),
    "lists of small records": ("array", 0),
}


class Nothing:
    """A store, a queue and blobs in one, that take everything and keep nothing.

    Attributes:
        letters: dead letters taken.
    """

    def __init__(self) -> None:
        self.letters = 0

    async def write(self, _pk: str, writes: Sequence[Write]) -> float:
        """Encode the documents as a client does, and let them go."""
        bodies = [json.dumps(write.document) for write in writes]
        await asyncio.sleep(0.005)
        return 5.0 * len(bodies)

    async def read(self, _pk: str, _ids: Sequence[str]) -> dict[str, Document]:
        """No document is there."""
        return {}

    async def send(self, _message: bytes, _delay: float) -> None:
        """Take a retry message."""

    async def put_dead_letter(self, _name: str, _data: bytes, _metadata: dict[str, str]) -> None:
        """Take a dead letter."""
        self.letters += 1

    async def put_claim_check(self, _name: str, _data: bytes) -> None:
        """Take a claim check."""

    async def put_status(self, _name: str, _data: bytes) -> None:
        """Take a status blob."""


def bodies(unwrap: str, record: int) -> Iterator[bytes]:
    """The bodies of all partitions."""
    with gzip.open(ROOT / "models/flights/events.jsonl.gz") as file:
        flights = cycle([json.loads(line) for line in islice(file, 2_000)])
    grown = json.dumps({**next(flights), "remark": " " * (1_000 * SIZE)})
    packed = gzip.compress((grown if unwrap == "object" else f"[{grown}]").encode(), 9)
    for number in range(PARTITIONS * BATCH):
        if number % 10 == 0:
            yield packed
        elif number % 10 == 1:
            yield b"[" + b"1," * 11_999 + b"1]"
        elif unwrap == "object":
            yield flight(flights, f"{number}", record)
        else:
            records = SIZE // (record or 330)
            yield b"[" + b",".join(flight(flights, f"{number}-{n}", record) for n in range(records)) + b"]"


def flight(flights: Iterator[dict[str, Any]], name: str, size: int) -> bytes:
    """A flight with an id of its own, filled up to a size."""
    made = {**next(flights), "id": name}
    filling = size - len(json.dumps(made)) - 20
    return json.dumps(made | ({"remark": "x" * filling} if filling > 0 else {})).encode()


def place(partition: int, number: int) -> Source:
    """Where a body stands in its hub."""
    return Source("ns", "events", str(partition), number, str(number), "2026-01-01T00:00:00.000Z")


def megabytes() -> float:
    """The most that this process ever had."""
    # Linux hands ru_maxrss on from the process that started this one; VmHWM is of this program alone.
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024 / 1e6


async def measure(kind: str, budget: int, folder: Path) -> dict[str, Any]:
    """One measurement, in this process. Sizes in MB."""
    unwrap, _ = KINDS[kind]
    manifest = json.loads((ROOT / "stream.json").read_text()) | {"unwrap": unwrap}
    stream = Stream(StreamManifest.model_validate(manifest))
    nothing = Nothing()
    models = ModelSource(ROOT / "models/flights", threads=1)
    await models.get()
    processing = Processing(
        decoder=Decoder(stream),
        memory=Memory(budget * MIB),
        models=[ModelInUse("flights", models)],
        writer=Writer(nothing, parallel=16, patience=60),
    )
    scoring = ScoreEvents(
        processing=processing,
        placing=Placing(nothing, nothing),
        status=Status("score_events", nothing, interval=1e9, has_policy=True),
        judge=Judge(nothing, "benchmark", interval=1e9),
        limits=Limits(time_budget=540),
        patience=Patience(timedelta(days=7), timedelta(0), timedelta(minutes=10)),  # the brake is off
    )
    batches = [
        [
            Item(body=(folder / f"{number}").read_bytes(), source=place(partition, number))
            for number in range(partition, PARTITIONS * BATCH, PARTITIONS)
        ]
        for partition in range(PARTITIONS)
    ]
    blocked = 0.0

    async def watch() -> None:
        nonlocal blocked
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            blocked = max(blocked, time.perf_counter() - before - 0.01)

    watching = asyncio.create_task(watch())
    cpu = time.process_time()
    summaries = await asyncio.gather(
        *(scoring.score_events(batch, RetryState(endless=True)) for batch in batches)
    )
    watching.cancel()
    return {
        "bodies": sum(len(item.body) for batch in batches for item in batch) / 1e6,
        "peak": megabytes(),
        "blocked": blocked,
        "cpu": time.process_time() - cpu,
        "received": sum(each.received for each in summaries),
        "stored": sum(each.stored for each in summaries),
        "letters": nothing.letters,
        "queued": sum(each.queued for each in summaries),
    }


def child(kind: str, budget: int, folder: Path) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    command = [sys.executable, __file__, "--kind", kind, "--budget", str(budget), "--bodies", str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(kinds: Sequence[str], budgets: Sequence[int]) -> list[dict[str, Any]]:
    """Each kind of batch with each budget."""
    rows = []
    for kind in kinds:
        with tempfile.TemporaryDirectory() as name:
            for number, body in enumerate(bodies(*KINDS[kind])):
                (Path(name) / f"{number}").write_bytes(body)
            rows += [
                {"kind": kind, "budget": budget, **child(kind, budget, Path(name))} for budget in budgets
            ]
    return rows


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document in place of the table")
    parser.add_argument("--kind", choices=KINDS, help="one kind of batch alone")
    parser.add_argument("--budget", type=int, metavar="MIB", help="one budget alone; 0: the app's default")
    parser.add_argument("--bodies", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bodies:
        print(json.dumps(asyncio.run(measure(options.kind, options.budget, options.bodies))))
        return
    kinds = [options.kind] if options.kind else list(KINDS)
    budgets = [NO_BUDGET, BUDGET] if options.budget is None else [options.budget or BUDGET]
    rows = run(kinds, budgets)
    if options.json:
        print(json.dumps(rows))
        return
    table = Table("batch", "budget", "peak", "150 MB + 3 x bodies", "loop blocked at most", "CPU")
    for row in rows:
        budget = "none" if row["budget"] == NO_BUDGET else f"{row['budget']} MiB"
        allowed = 150 + 3 * row["bodies"]
        times = (f"{row['blocked'] * 1e3:,.0f} ms", f"{row['cpu']:.1f} s")
        table.add_row(row["kind"], budget, f"{row['peak']:,.0f} MB", f"{allowed:,.0f} MB", *times)
    Console().print(table)


if __name__ == "__main__":
    main()
