"""An invocation ends within TIME_BUDGET_SECONDS, whatever of the outside hangs: the whole pipeline over real sockets."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from everscore.clock.deadline import Deadline
from everscore.event.item import Item
from everscore.failures import Failure
from everscore.flow.ending import NoPlaceAnswersError
from everscore.flow.score_events import RetryState
from everscore.retry.packing import pack
from everscore_local import azurite
from everscore_local.endpoints import COSMOS_KEY, EVENTHUBS_KEY, EVENTHUBS_KEY_NAME
from function_app import composition
from function_app.composition import Runtime
from tests.fakes import source_of
from tests.support.answering import silent
from tests.support.flights import flight
from tests.support.services import own_names

BUDGET = 6.0
# For a machine that is busy. One request of an SDK that hangs, with its tries, takes longer than that.
TOLERANCE = 30.0


@pytest.fixture
async def hanging(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    """The app's pipeline, with store, queue, blobs and hub at a port that takes connections and says nothing."""
    with silent() as port:
        storage = azurite.connection_string(port, port)
        hub = f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName={EVENTHUBS_KEY_NAME};"
        settings = {
            "EVENTHUB": f"{hub}SharedAccessKey={EVENTHUBS_KEY};UseDevelopmentEmulator=true;",
            "COSMOS": f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey={COSMOS_KEY};",
            "STORAGE": storage,
            "AzureWebJobsStorage": storage,
            "TIME_BUDGET_SECONDS": str(BUDGET),
            "COSMOS_TIMEOUT_SECONDS": "60",
            "STORAGE_TIMEOUT_SECONDS": "60",
            **own_names().settings(),
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        runtime = composition.build()
        for each in runtime.models:
            await each.source.get()  # loading one is no request, and has no bound
        yield runtime
        await runtime.close()


@contextmanager
def in_time() -> Iterator[None]:
    """The block takes no longer than the budget."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < BUDGET + TOLERANCE, f"it took {took:.1f} s of {BUDGET:g} s"


def items() -> list[Item]:
    """Events of every kind: to be stored, to be dead-lettered now or since long, with a body in a blob."""
    bodies = [json.dumps(flight(number)).encode() for number in range(20)]
    found = [Item(body=body, source=source_of(number)) for number, body in enumerate(bodies)]
    found += [Item(body=b"{", source=source_of(number)) for number in range(20, 40)]
    for number in range(40, 60):
        letter = Item(body=b"[", source=source_of(number), attempts=1, dead_letter=True, stage="decode")
        found += [letter, Item(blob=f"items/{number}.json", source=source_of(100 + number), attempts=1)]
    return found


async def test_hole_15_a_batch_from_the_hub_is_given_back_in_time(hanging: Runtime) -> None:
    """A batch that no destination takes is held to the end of its budget, and no longer."""
    batch = [item for item in items() if item.body]
    with in_time(), pytest.raises(NoPlaceAnswersError):
        await hanging.pipeline.score_events(batch, RetryState(endless=False))


async def test_hole_15_a_retry_message_is_given_back_in_time(hanging: Runtime) -> None:
    """Bodies, store, letters and next tries all hang: together they take no longer than the budget."""
    messages, _ = pack(items())
    with in_time(), pytest.raises(NoPlaceAnswersError):
        await hanging.retrying.retry_events(messages[0].message, dequeue_count=1, message_id="m")


async def test_hole_15_a_suspect_is_given_back_in_time(hanging: Runtime) -> None:
    """So do the marks of an event that may kill the worker."""
    messages, _ = pack(items()[:1])
    with in_time(), pytest.raises(NoPlaceAnswersError):
        await hanging.retrying.retry_events(messages[0].message, dequeue_count=3, message_id="m")


async def test_hole_15_housekeeping_ends_in_time(hanging: Runtime) -> None:
    """A poison queue that hangs holds a run of the timer up for its time and no longer."""
    with in_time(), pytest.raises(Failure):
        await hanging.keeper.empty_poison_queue(Deadline.after(BUDGET))
