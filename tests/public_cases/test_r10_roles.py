"""R10: 403 on create-if-not-exists with a managed identity, and the app dies at import.

Condition: a role for data alone, while the code creates databases and containers.
Right: the app never creates any; a 403 or 404 says which role or name is missing, and the events wait in the
retry queue until it is fixed.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.app import copy_app, received, worker
from tests.support.flights import bodies
from tests.support.read_back import dead_letters, documents, items, take_messages
from tests.support.services import Services

FORBIDDEN = {"status": 403, "substatus": 5301, "message": "principal does not have required RBAC permissions"}


@pytest.mark.parametrize(
    ("fault", "changed", "says"),
    [
        (FORBIDDEN, {}, "Cosmos DB Built-in Data Contributor"),
        (None, {"COSMOS_CONTAINER": "missing"}, "COSMOS_CONTAINER"),
        (None, {"COSMOS_DATABASE": "missing"}, "COSMOS_DATABASE"),
    ],
    ids=["role", "container", "database"],
)
async def test_what_is_missing_is_named_and_the_events_wait(
    tmp_path: Path, services: Services, fault: dict[str, Any] | None, changed: dict[str, str], says: str
) -> None:
    """A missing role, database or container queues the events, is named in health, and nothing is created."""
    app = copy_app(tmp_path / "app")
    before = services.gateway.state()["databases"]
    rule = {"match": {"operation": ["batch", "metadata"]}, "action": fault or {"status": 200}}
    async with worker(app, services.settings(**changed)) as running:
        with services.gateway.faults(*([rule] if fault else [])):
            assert (await running.score(received(*bodies(1, 2)))).error is None
            status, report = await running.details()
        messages = await asyncio.to_thread(take_messages, services, 2)
    assert status == 503
    assert says in report["checks"]["cosmos"]["detail"]
    assert {item["failureClass"] for item in items(messages)} == {"configuration"}
    assert dead_letters(services) == []
    assert services.gateway.state()["databases"] == before
    async with worker(app, services.settings()) as running:
        for message in messages:
            await running.retry(message)
    assert len(documents(services)) == 2
