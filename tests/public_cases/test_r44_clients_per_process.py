"""R44: unclosed sessions, metadata 429s, slow calls.

Condition: a client or a model session built for each invocation.
Right: one a process, made lazily and only once however many first calls come together, and closed at the end.
(tests/adapters shows that closing leaves no session behind.)
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import azure.cosmos.aio
import azure.storage.blob.aio
import azure.storage.queue.aio
import onnxruntime
import pytest

from everscore.event.item import Item
from everscore.event.stream import load_stream
from everscore.flow.score_events import RetryState
from tests.support.flights import bodies
from tests.support.read_back import documents
from tests.support.services import Services

CLASSES = (
    azure.cosmos.aio.CosmosClient,
    azure.storage.blob.aio.BlobServiceClient,
    azure.storage.queue.aio.QueueClient,
    onnxruntime.InferenceSession,
)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many objects of each class were made, by its name."""
    counts: Counter[str] = Counter()
    for each in CLASSES:
        original: Any = each.__init__

        def count(self: Any, *arguments: Any, original: Any = original, **options: Any) -> None:
            counts[type(self).__name__] += 1
            original(self, *arguments, **options)

        monkeypatch.setattr(each, "__init__", count)
    return counts


@pytest.fixture
def settings(services: Services, monkeypatch: pytest.MonkeyPatch) -> Services:
    """The services, with the app's settings in this process's environment."""
    for name, value in services.settings().items():
        monkeypatch.setenv(name, value)
    return services


def invoke(rounds: int) -> list[int]:
    """Run score_events 20 times at once, ``rounds`` times over, in an event loop of its own; stored, by round."""
    from function_app import runtime

    async def run() -> list[int]:
        stored = []
        for round_ in range(rounds):
            numbers = range(20 * round_, 20 * round_ + 20)
            summaries = await asyncio.gather(
                *(
                    runtime.get().pipeline.score_events([Item(body=each)], RetryState(endless=True))
                    for each in bodies(*numbers)
                )
            )
            stored.append(sum(summary.stored for summary in summaries))
        await runtime.close()
        return stored

    return asyncio.run(run())


def test_everything_is_made_once_a_process_and_loop(settings: Services, made: Counter[str]) -> None:
    """Forty invocations, twenty at a time, make one client of each kind and one session a model; another loop its own."""
    assert invoke(2) == [20, 20]
    from function_app import composition

    models = len(load_stream(composition.ROOT / "stream.json").models)
    once = {"CosmosClient": 1, "BlobServiceClient": 1, "QueueClient": 2, "InferenceSession": models}
    assert made == once
    assert len(documents(settings)) == 40
    assert invoke(1) == [0]
    assert made["CosmosClient"] == 2
