"""Promise 1: whatever dies or is down, each event received ends in the store.

End to end: Microsoft's Event Hubs SDK, our server, our Functions host with Microsoft's worker library, the
real app, the Cosmos DB stand-in and Azurite. Every test sends flights of its own and accounts for them by id.
"""

from __future__ import annotations

from typing import Any

from everscore.event.identity import encode
from tests.support.app import wait_until
from tests.support.flights import real_flights
from tests.support.local_stack import LocalStack
from tests.support.read_back import dead_letters, documents, queued

COUNT = 600
SLOW = {"match": {"operation": "batch"}, "action": {"delaySeconds": 0.15}}
# Refused only after the kill: a write that is merely slow would be carried out though its sender is dead.
STUCK = {"match": {"operation": "batch"}, "action": {"status": 503, "delaySeconds": 5}}
DOWN = {"match": {"operation": ["batch", "query"]}, "action": {"status": 503}}


def flights_of(part: int, count: int = COUNT) -> list[dict[str, Any]]:
    """Real flights that no other test of this file sends."""
    return list(real_flights(4 * COUNT)[part * COUNT : part * COUNT + count])


def account_for(stack: LocalStack, sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents of these flights, after checking that each is there exactly once and none is a dead letter."""
    wanted = sorted(encode(flight["id"]) for flight in sent)
    found = [document for document in documents(stack.services) if document["id"] in set(wanted)]
    assert sorted(document["id"] for document in found) == wanted
    assert dead_letters(stack.services) == []
    state = stack.gateway.state()
    assert state["acceptedWrites"] == state["firstWrites"] == state["documents"]
    return found


def test_the_host_killed_in_mid_stream(stack: LocalStack) -> None:
    """SIGKILL of the host between and within batches, and a new start, loses and doubles nothing."""
    sent = flights_of(0)
    before = stack.document_count()
    with stack.gateway.faults(SLOW):
        stack.send(sent[: COUNT // 2])
        wait_until(lambda: stack.document_count() > before + 20, 120, "the stream has begun")
    with stack.gateway.faults(STUCK):
        wait_until(lambda: stack.gateway.control("GET", "/faults")["rules"][0]["acted"] > 0, 120, "a write")
        stack.kill_host()
        assert before < stack.document_count() < before + COUNT // 2
    stack.send(sent[COUNT // 2 :])
    stack.start_host()
    stack.wait_drained()
    account_for(stack, sent)


def test_the_worker_killed_in_mid_batch(stack: LocalStack) -> None:
    """SIGKILL of the worker alone, with batches in it of which nothing is written, loses and doubles nothing."""
    sent = flights_of(1)
    host = stack.host_status()
    before = stack.document_count()
    with stack.gateway.faults(STUCK):
        stack.send(sent)
        wait_until(lambda: stack.gateway.control("GET", "/faults")["rules"][0]["acted"] > 0, 120, "a write")
        assert stack.host_status()["worker"]["running"] > 0
        killed = stack.kill_worker()
        wait_until(lambda: stack.host_status()["worker"]["pid"] not in (killed, None), 120, "a new worker")
        assert stack.document_count() == before
    stack.wait_drained()
    account_for(stack, sent)
    after = stack.host_status()
    assert after["worker"]["restarts"] == host["worker"]["restarts"] + 1
    assert after["processUptime"] > host["processUptime"]


def test_the_store_down_for_a_while(stack: LocalStack) -> None:
    """While the store is down events wait in the retry queue, and the hub is passed; afterwards all are stored."""
    sent = flights_of(2, 200)
    before = stack.document_count()
    with stack.gateway.faults(DOWN):
        stack.send(sent)
        stack.wait_passed()
        assert stack.document_count() == before
        assert queued(stack.services) > 0
    stack.wait_drained()
    found = account_for(stack, sent)
    assert {document["pipeline"]["attempts"] > 1 for document in found} == {True}


def test_store_queue_and_blobs_down_at_once(stack: LocalStack) -> None:
    """While no destination takes an event the batch is held by the retry policy, its checkpoint unmoved, then stored."""
    sent = flights_of(3, 120)
    before = stack.document_count()
    checkpoints = stack.checkpoints()
    held = stack.log().count("NoPlaceAnswersError")
    with stack.gateway.faults(DOWN):
        for relay in stack.relays:
            relay.shut()
        try:
            stack.send(sent)
            wait_until(
                lambda: stack.log().count("NoPlaceAnswersError") >= held + 2, 120, "the batch came twice"
            )
            assert stack.checkpoints() == checkpoints
            assert stack.document_count() == before
        finally:
            for relay in stack.relays:
                relay.open()
        assert queued(stack.services) == 0
    stack.wait_drained()
    account_for(stack, sent)
    status, report = stack.details()
    assert status == 503
    assert "no destination answered" in report["checks"]["score_events"]["detail"]
