"""R02: an error at import makes every function vanish, with nothing to see.

Condition: a missing setting, no network, an absent model file.
Right: the import succeeds; clients and model are made on first use; on failure each event waits in the retry
queue with the reason, and the health check names the missing thing.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from tests.support.app import copy_app, received, worker
from tests.support.flights import bodies
from tests.support.read_back import dead_letters, documents, items, take_messages
from tests.support.services import ROOT, Services

FUNCTIONS = {"score_events", "retry_events", "housekeeping", "health", "health_details"}


async def test_without_any_setting_all_functions_are_there_and_say_what_is_missing(tmp_path: Path) -> None:
    """With no setting at all the worker lists five functions, and the health check names the first mistakes."""
    async with worker(copy_app(tmp_path / "app", model=False), {}) as running:
        assert set(running.functions) == FUNCTIONS
        status, report = await running.details()
        failed = await running.score(received(*bodies(1)))
    assert status == 503
    assert "COSMOS_DATABASE is not set" in report["checks"]["settings"]["detail"]
    # Raised under the endless policy: the host keeps the batch until somebody sets it.
    assert failed.error is not None
    assert failed.error.startswith("NotStartedError")
    assert "COSMOS_DATABASE is not set" in failed.error


async def test_without_a_model_events_wait_for_it(tmp_path: Path, services: Services) -> None:
    """An absent model file queues each event with the reason, and once it is there they are scored."""
    app = copy_app(tmp_path / "app", model=False)
    settings = services.settings()
    async with worker(app, settings) as running:
        assert set(running.functions) == FUNCTIONS
        assert (await running.score(received(*bodies(1, 2)))).error is None
        status, report = await running.details()
        messages = await asyncio.to_thread(take_messages, services, 2)
    assert status == 503
    assert "manifest.json" in report["checks"]["model"]["detail"]
    assert {item["stage"] for item in items(messages)} == {"score"}
    assert {item["body"] for item in items(messages)} == set(bodies(1, 2))
    assert documents(services) == dead_letters(services) == []
    for name in ("manifest.json", "model.onnx", "golden.jsonl"):
        shutil.copy(ROOT / "models" / "flights" / name, app / "models" / "flights")
    async with worker(app, settings) as running:
        for message in messages:
            assert (await running.retry(message)).error is None
    assert len(documents(services)) == 2
