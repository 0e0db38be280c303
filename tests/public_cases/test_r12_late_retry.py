"""R12: a late retry overwrites a newer result; a conditional write was once silently ignored.

Condition: version 1 fails and is queued, version 2 of the same id succeeds, the retry of version 1 runs last.
Right: a write carries time and source, older never replaces newer, the ETag is honoured, and what was overtaken
is counted as superseded.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from everscore.event.item import Item
from everscore.failures import Conflict
from everscore.flow.score_events import RetryState
from everscore.ports import Write, WriteRefusedError
from tests.fakes import source_of
from tests.support.flights import body, flight
from tests.support.read_back import documents, queued, take_messages
from tests.support.services import Services

ENDLESS = RetryState(endless=True)
DOWN = {"match": {"operation": "batch"}, "action": {"status": 503}}


def version(number: int) -> Item:
    """A version of one flight; a later one has a later time."""
    changed = flight(1, time=f"2013-09-01T05:{number:02}:00-04:00", dep_delay=number)
    return Item(body=body(changed), source=source_of(number))


async def test_the_retry_of_an_older_version_is_superseded(app: Any, services: Services) -> None:
    """Version 1, retried after version 2 was stored, is counted as superseded, and the document stays as it is."""
    with services.gateway.faults(DOWN):
        assert (await app.pipeline.score_events([version(1)], ENDLESS)).queued == 1
    assert (await app.pipeline.score_events([version(2)], ENDLESS)).stored == 1
    (before,) = documents(services)
    (late,) = await asyncio.to_thread(take_messages, services)
    summary = await app.retrying.retry_events(late, dequeue_count=1, message_id="m")
    assert (summary.superseded, summary.stored, summary.queued) == (1, 0, 0)
    assert documents(services) == [before]
    assert before["event"]["dep_delay"] == 2
    assert queued(services) == 0


async def test_an_etag_that_is_stale_refuses_the_write(app: Any, services: Services) -> None:
    """The store honours the ETag: a replace with that of an earlier state is a conflict and changes nothing."""
    await app.pipeline.score_events([version(1)], ENDLESS)
    (first,) = documents(services)
    await app.pipeline.score_events([version(2)], ENDLESS)
    (second,) = documents(services)
    stale = {name: value for name, value in first.items() if not name.startswith("_")}
    with pytest.raises(WriteRefusedError) as refused:
        await app.store.write(first["pk"], [Write(stale, first["_etag"])])
    assert isinstance(refused.value.failure, Conflict)
    assert documents(services) == [second]
    assert second["event"]["dep_delay"] == 2
