"""Our queue listener beside the real host's own (Microsoft.Azure.WebJobs.Extensions.Storage.Queues)."""

import base64
import json
import os
import subprocess
import uuid
from collections import defaultdict

import pytest

REFERENCE = os.environ.get("AZURE_REFERENCE", "")
MESSAGES = ["ok", "", "fail", *["slow:600"] * 20]
NOT_BASE64 = "this is not base64!"
OPTIONS = {"batchSize": 16, "newBatchThreshold": 8, "maxDequeueCount": 3, "visibilityTimeout": "00:00:01"}


def summary(invocations: list[tuple[float, str, int]], poison) -> dict:
    """Return what two listeners must have in common: counts, poison messages, the first wave, delays in seconds."""
    counts = defaultdict(list)
    times = defaultdict(list)
    for at, body, count in invocations:
        counts[body].append(count)
        times[body].append(at)
    first = min(at for at, _, _ in invocations)
    left = list(poison.peek_messages(max_messages=32))
    gaps = [later - earlier for earlier, later in zip(times["fail"], times["fail"][1:], strict=False)]
    return {
        "counts": {body: sorted(found) for body, found in counts.items()},
        "first wave": sum(at - first < 0.45 for at, _, _ in invocations),
        "poison": sorted((m.content, m.dequeue_count) for m in left),
        "lifetime of poison": {(m.expires_on - m.inserted_on).days for m in left},
        "delayed at least": all(gap > 0.95 for gap in gaps),
    }


@pytest.mark.skipif(not REFERENCE, reason="AZURE_REFERENCE names no azure-reference program")
def test_it_does_what_the_real_listener_does(new_host, new_queue, azurite):
    """The same messages lead to the same invocations, dequeue counts, first wave and poison messages."""
    names = {side: f"compare-{side}-{uuid.uuid4().hex[:8]}" for side in ("ours", "real")}
    for name in names.values():
        queue = new_queue(name)
        queue.create_queue()
        for text in MESSAGES:
            queue.send_message(base64.b64encode(text.encode()).decode())
        queue.send_message(NOT_BASE64)
    limits = {"seconds": 12, "max-dequeue-count": 3, "visibility-seconds": 1, "max-polling-ms": 200}
    arguments = [text for name, value in limits.items() for text in (f"--{name}", str(value))]
    reference = subprocess.Popen(
        [REFERENCE, "queue", azurite.connection_string, names["real"], *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    host = new_host(
        enable=("messages",),
        QUEUE=names["ours"],
        PYTHON_THREADPOOL_THREAD_COUNT="32",
        host_json={"extensions": {"queues": OPTIONS}},
    )
    poison = {side: new_queue(f"{name}-poison") for side, name in names.items()}
    output, _ = reference.communicate()
    lines = [json.loads(line) for line in output.splitlines()]
    real = [(x["at"] / 1000, x["body"], x["dequeueCount"]) for x in lines if x["event"] == "invoked"]
    host.wait_seen(len(real), "messages")
    host.wait(lambda: len(poison["ours"].peek_messages(max_messages=32)) >= 2, "the poison messages")
    ours = [(n["at"], bytes.fromhex(n["body"]).decode(), n["count"]) for n in host.seen("messages")]
    assert summary(ours, poison["ours"]) == summary(real, poison["real"])
    assert summary(real, poison["real"])["counts"]["fail"] == [1, 2, 3]
