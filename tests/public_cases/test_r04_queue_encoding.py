"""R04: a retry message lands in the poison queue without the function ever running.

Condition: the Python SDK sends plain text, its default, while the queue trigger expects base64.
Right: base64 is set on both sides; what is no base64 all the same is taken out of the poison queue, through
the SDK and not through a trigger, and ends in the dead letters byte for byte.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from azure.storage.queue import QueueClient

from everscore_local.functions.queue_message import decode
from tests.support.app import copy_app, received, wait_until, worker
from tests.support.flights import bodies
from tests.support.local_stack import local_stack
from tests.support.read_back import dead_letters, documents, queued
from tests.support.services import ROOT, Services


async def test_both_sides_agree(tmp_path: Path, services: Services) -> None:
    """What the app sends is what the trigger decodes under host.json's own messageEncoding."""
    encoding = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]["messageEncoding"]
    down = {"match": {"operation": "batch"}, "action": {"status": 503}}
    async with worker(copy_app(tmp_path / "app"), services.settings()) as running:
        with services.gateway.faults(down):
            await running.score(received(*bodies(1)))
        with QueueClient.from_connection_string(services.storage, services.names.queue) as client:
            await asyncio.to_thread(wait_until, client.peek_messages, 20, "the message is visible")
            (message,) = client.receive_messages()
        body = decode(str(message.content), encoding)
        assert (await running.retry(body)).error is None
    assert encoding == "base64"
    assert json.loads(body)["schema"] == 2
    assert len(documents(services)) == 1


def test_plain_text_goes_through_the_poison_queue_to_the_dead_letters(tmp_path: Path) -> None:
    """Plain texts, one that decodes to garbage among them, end as dead letters with their exact bytes."""
    texts = ["not base64 at all", "msg2", "<xml>é</xml>"]
    with local_stack(tmp_path) as stack:
        names = stack.services.names
        with QueueClient.from_connection_string(stack.services.storage, names.queue) as client:
            for text in texts:
                client.send_message(text)
        wait_until(lambda: queued(stack.services) == 0, 120, "the host has taken them")
        stack.run_timer("housekeeping")
        wait_until(lambda: len(dead_letters(stack.services)) == 3, 120, "three dead letters")
        letters = {letter["body"]: letter["item"]["reason"] for letter in dead_letters(stack.services)}
        assert queued(stack.services, f"{names.queue}-poison") == 0
    assert letters == {
        b"not base64 at all": "poison message unreadable",
        b"\x9a\xc8\x36": "retry message unreadable",  # what base64 makes of msg2
        "<xml>é</xml>".encode(): "poison message unreadable",
    }
