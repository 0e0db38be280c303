"""R09: 'list' object has no attribute get_body, or the reverse.

Condition: the cardinality of the trigger and the annotation of its parameter disagree.
Right: they are declared once and agree: a batch of one event arrives as a list.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.app import copy_app, received, worker
from tests.support.flights import bodies
from tests.support.read_back import documents
from tests.support.services import Services


async def test_one_event_and_many_arrive_alike(tmp_path: Path, services: Services) -> None:
    """The worker library takes the signature, and batches of one and of several events are stored."""
    async with worker(copy_app(tmp_path / "app"), services.settings()) as running:
        assert '"cardinality": "MANY"' in str(running.functions["score_events"]["bindings"])
        assert (await running.score(received(*bodies(1)))).error is None
        assert (await running.score(received(*bodies(2, 3), first=1))).error is None
    assert {each["event"]["flight"] for each in documents(services)} == {1, 2, 3}
