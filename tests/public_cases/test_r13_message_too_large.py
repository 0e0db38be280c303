"""R13: 413 when the failure is queued, so that the failed event is lost.

Condition: a body near 48 KB that no compression helps; base64 and the envelope push the message past 65,536
bytes.
Right: the final encoded size decides; what is too large lies in a blob with a pointer in the queue; nothing is
cut off.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from typing import Any

import pytest

from everscore.event.item import Item
from everscore.flow.score_events import RetryState
from everscore.retry.envelope import decode_envelope
from tests.fakes import source_of
from tests.support.flights import flight
from tests.support.read_back import dead_letters, documents, queued, take_messages
from tests.support.services import Services

DOWN = {"match": {"operation": "batch"}, "action": {"status": 503}}
# 49,152 bytes are 65,536 in base64; one more would be refused even without an envelope.
SIZES = (20_000, 36_864, 46_000, 47_500, 48_000, 49_152, 49_153, 65_536, 200_000)


@pytest.mark.parametrize("filling", ["<&>", "😀"])
async def test_events_around_the_limit_wait_whole(app: Any, services: Services, filling: str) -> None:
    """Whatever their size, failed events are in messages that the queue takes, and come back byte for byte."""
    bodies = [_padded(number, size, filling) for number, size in enumerate(SIZES)]
    items = [Item(body=each, source=source_of(number)) for number, each in enumerate(bodies)]
    with services.gateway.faults(DOWN):
        summary = await app.pipeline.score_events(items, RetryState(endless=True))
    assert summary.queued == len(SIZES)
    messages = await asyncio.to_thread(take_messages, services, len(SIZES))
    assert max(len(base64.b64encode(message)) for message in messages) < 64 * 1024
    waiting = [item for message in messages for item in decode_envelope(message).items]
    kept = {item.source.sequence_number: len(item.body) for item in waiting if not item.is_pointer}
    assert kept == dict(list(enumerate(SIZES))[: len(kept)]), "the smaller ones are in the queue itself"
    assert 2 <= len(kept) <= 6
    for message in messages:
        await app.retrying.retry_events(message, dequeue_count=1, message_id="m")
    found = {document["event"]["flight"]: document["event"] for document in documents(services)}
    assert found == {number: json.loads(each) for number, each in enumerate(bodies)}
    assert dead_letters(services) == []
    assert queued(services) == 0


def _padded(number: int, size: int, filling: str) -> bytes:
    """A flight's body of exactly that many bytes, of which no compression leaves less than three quarters."""
    bare = len(json.dumps(flight(number, pad=filling), ensure_ascii=False).encode())
    noise = base64.b64encode(random.Random(size).randbytes(size)).decode()[: size - bare]
    made = json.dumps(flight(number, pad=filling + noise), ensure_ascii=False).encode()
    assert len(made) == size
    return made
