"""What Microsoft's own listener does that a kinder host would not, one test a rule.

Measured with the trigger's listener itself; times are scaled by the host.json of the tiny app.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpAnnotatedMessage
from azure.storage.blob import BlobServiceClient

from .conftest import CONTAINER, proxy_of

# One event a batch. Whoever takes the ownership keeps it until it is given back.
SINGLE = {"extensions": {"eventHubs": {"maxEventBatchSize": 1}}}
KEPT = {
    "extensions": {"eventHubs": {"maxEventBatchSize": 1, "partitionOwnershipExpirationInterval": "00:05:00"}}
}
POLICY = "fixed_delay,-1,00:00:01"


def bodies(notes: list[dict[str, Any]]) -> list[bytes]:
    """Return the bodies of all events that were noted."""
    return [bytes.fromhex(body) for note in notes for body in note["bodies"]]


def map_property(body: bytes) -> EventData:
    """Return an event with a property that is an AMQP map, which the .NET client cannot read."""
    event = EventData(body)
    event.properties = {"where": {"line": 1}}
    return event


# -- loss of ownership


def test_hole_50_a_call_runs_on_beside_the_new_owner_and_is_checkpointed_backwards(new_hub, new_host):
    """Hole 50: who loses a partition is not told: the call ends in its time, and moves the new owner's checkpoint back."""
    hub = new_hub()
    hub.send(b"do:gate:1:a", b"1", b"2")
    host = new_host(hub=hub, host_json=KEPT)
    host.wait_seen(1)
    host.wait(hub.take, "the ownership")
    host.wait(lambda: "was taken by another host" in host.log(), "the loss")
    hub.move_checkpoint(2, "")  # the new owner has passed everything meanwhile
    assert host.ask("/admin/host/status")["listeners"][0]["lost"] == ["0"]
    host.open_gate()
    host.wait(lambda: hub.checkpoints() == {"0": 0}, "the late checkpoint")
    host.wait(lambda: host.ask("/admin/host/status")["listeners"][0]["lost"] == [], "the end")
    assert bodies(host.seen()) == [b"do:gate:1:a"]  # and takes nothing more
    assert host.ask("/admin/host/status")["listeners"][0]["partitions"] == []
    hub.take(owner="")
    host.wait(lambda: hub.checkpoints() == {"0": 2}, "the checkpoint of the last")
    assert bodies(host.seen()) == [b"do:gate:1:a", b"1", b"2"]


def test_hole_50_a_retry_loop_survives_loss_return_and_a_moved_checkpoint(new_hub, new_host):
    """Hole 50: neither of them ends an endless loop or adds another; a restart goes on behind the moved checkpoint."""
    hub = new_hub()
    hub.send(b"do:raise:0:always", b"second")
    host = new_host(hub=hub, host_json=KEPT, EVENTS_RETRY=POLICY)
    host.wait_seen(1)
    host.wait(hub.take, "the ownership")
    host.wait(lambda: "was taken by another host" in host.log(), "the loss")
    hub.move_checkpoint(0, "")
    lost = len(host.seen())
    host.wait_seen(lost + 2)
    hub.take(owner="")
    host.wait(lambda: host.ask("/admin/host/status")["listeners"][0]["partitions"] == ["0"], "the return")
    back = len(host.seen())
    tries = host.wait_seen(back + 2)
    assert set(bodies(tries)) == {b"do:raise:0:always"}
    assert len({note["invocation"] for note in tries}) == 1
    assert [note["retry"][0] for note in tries] == list(range(len(tries)))
    assert hub.checkpoints() == {"0": 0}
    assert host.stop() == 0
    tries = host.seen()
    second = new_host(hub=hub, host_json=SINGLE, EVENTS_RETRY=POLICY)
    second.wait(lambda: hub.checkpoints() == {"0": 1}, "the second event")
    assert bodies(second.seen()[len(tries) :]) == [b"second"]


def test_hole_50_the_batch_under_way_runs_twice_where_a_second_host_takes_its_partition(new_hub, new_host):
    """Hole 50: a second host has its half at once; what was under way there runs in both, and is not lost in either."""
    hub = new_hub(2)
    hub.send(b"do:gate:2:a", partition="0")
    hub.send(b"do:gate:2:a", partition="1")
    first = new_host(hub=hub, EVENTS_RETRY=POLICY)
    first.wait(lambda: len(set(hub.owners().values())) == 1 and len(hub.owners()) == 2, "both claims")
    first.wait_seen(1)
    second = new_host(hub=hub, EVENTS_RETRY=POLICY)
    second.wait(lambda: len(set(hub.owners().values())) == 2, "an even split")
    second.wait_seen(2)
    second.open_gate()
    second.wait(lambda: hub.checkpoints() == {"0": 0, "1": 0}, "both checkpoints")
    assert set(bodies(second.seen())) == {b"do:gate:2:a"}
    assert len({note["pid"] for note in second.seen()}) == 2


def test_hole_50_another_host_takes_over_at_its_next_cycle_after_a_graceful_stop(new_hub, new_host):
    """Hole 50: claims are released, so that nobody waits for them to expire."""
    hub = new_hub(2)
    first = new_host(hub=hub, host_json=KEPT)
    second = new_host(hub=hub, host_json=KEPT)
    second.wait(lambda: len(set(hub.owners().values())) == 2, "an even split")
    assert first.stop() == 0
    second.wait(lambda: len(set(hub.owners().values())) == 1 and all(hub.owners().values()), "all claims")
    hub.send(b"one", partition="0")
    hub.send(b"two", partition="1")
    second.wait(lambda: hub.checkpoints() == {"0": 0, "1": 0}, "both checkpoints")


# -- the end of a host


def test_hole_50_drain_mode_ends_no_retry_loop_and_checkpoints_nothing(new_hub, new_host):
    """Hole 50: drain mode waits for an endless loop, keeps the ownership till then, and writes no checkpoint at its end."""
    hub = new_hub()
    hub.send(b"do:raise:3:thrice", b"second")
    host = new_host(hub=hub, host_json=SINGLE, EVENTS_RETRY=POLICY)
    host.wait_seen(1)
    owner = hub.owners()["0"]
    assert host.ask("/admin/host/drain/status")["state"] == "Disabled"
    host.ask("/admin/host/drain", "POST")
    host.wait_seen(3)
    assert host.ask("/admin/host/drain/status")["state"] == "InProgress"
    assert hub.owners() == {"0": owner}
    host.wait(lambda: host.ask("/admin/host/drain/status")["state"] == "Completed", "the end of the drain")
    assert [note["retry"][0] for note in host.seen()] == [0, 1, 2, 3]
    assert set(bodies(host.seen())) == {b"do:raise:3:thrice"}
    assert hub.checkpoints() == {}
    assert not any(hub.owners().values())
    assert host.stop() == 0


def test_hole_50_a_stop_ends_the_loop_that_drain_mode_waits_for(new_hub, new_host):
    """Hole 50: SIGTERM after drain mode ends an endless loop, without a checkpoint."""
    hub = new_hub()
    hub.send(b"do:raise:0:always")
    host = new_host(hub=hub, EVENTS_RETRY=POLICY)
    host.wait_seen(1)
    host.ask("/admin/host/drain", "POST")
    host.wait_seen(2)
    assert host.stop() == 0
    assert hub.checkpoints() == {}
    assert not any(hub.owners().values())


# -- what a receive returns


@pytest.mark.parametrize(
    ("largest", "prefetch", "sizes"),
    [
        (256, 300, [1, 256, 243, 256, 244, 2]),
        (1_000, 300, [1, 299, 300, 300, 102]),
        (1_000, 0, [1, 1_000, 1]),
    ],
)
def test_hole_50_a_receive_is_never_larger_than_what_is_prefetched(
    new_hub, new_host, largest, prefetch, sizes
):
    """Hole 50: of 1,001 events that wait behind a first, the calls get what the real client would have ready."""
    hub = new_hub()
    hub.send(b"do:gate:1:a")
    options = {"maxEventBatchSize": largest, "prefetchCount": prefetch}
    host = new_host(hub=hub, host_json={"extensions": {"eventHubs": options}}, PAUSE_SECONDS="0.5")
    host.wait_seen(1)
    for _ in range(7):
        hub.send(*[b"x"] * 143)
    host.open_gate()
    host.wait(lambda: hub.checkpoints() == {"0": 1_001}, "the last checkpoint")
    assert [len(note["bodies"]) for note in host.seen()] == sizes


# -- events that do not come through


def test_hole_50_a_body_that_does_not_bind_is_retried_without_invocation(new_hub, new_host):
    """Hole 50: under an endless policy its batch is tried for ever, the function never invoked; other partitions go on."""
    hub = new_hub(2)
    hub.send_events([EventData(b"neighbour"), AmqpAnnotatedMessage(value_body="text")])
    host = new_host(hub=hub, EVENTS_RETRY=POLICY)
    said = "failed: Exception binding parameter: the body of event 1 is an AMQP value or sequence, not bytes"
    host.wait(lambda: host.log().count(said) >= 3, "three tries")
    assert "Trigger Details: PartitionId: 0, SequenceNumber: 0-1, Count: 2" in host.log()
    hub.send(b"elsewhere", partition="1")
    host.wait(lambda: hub.checkpoints() == {"1": 0}, "the checkpoint of the other partition")
    assert bodies(host.seen()) == [b"elsewhere"]
    hub.move_checkpoint(1, "")  # does nothing for the loop, but for the next host
    host.wait(lambda: host.log().count(said) >= 5, "two more tries")
    assert host.stop() == 0
    tries = host.log().count(said)
    hub.send(b"behind")
    second = new_host(hub=hub, EVENTS_RETRY=POLICY)
    second.wait(lambda: hub.checkpoints() == {"0": 2, "1": 0}, "the event behind")
    assert bodies(second.seen()) == [b"elsewhere", b"behind"]
    assert tries >= 5
    assert said not in second.log()


def test_hole_50_a_body_that_does_not_bind_loses_its_batch_without_policy(new_hub, new_host):
    """Hole 50: an exception while binding is a failure like any other: checkpointed, the good neighbour included."""
    hub = new_hub()
    hub.send_events([EventData(b"neighbour"), AmqpAnnotatedMessage(sequence_body=[[1, "two"]])])
    host = new_host(hub=hub)
    host.wait(lambda: hub.checkpoints() == {"0": 1}, "the checkpoint")
    hub.send(b"next")
    host.wait(lambda: hub.checkpoints() == {"0": 2}, "the checkpoint of the next")
    assert bodies(host.seen()) == [b"next"]


@pytest.mark.parametrize("policy", [{}, {"EVENTS_RETRY": POLICY}], ids=["without-policy", "policy"])
def test_hole_50_an_event_that_cannot_be_received_blocks_its_receive(new_hub, new_host, policy):
    """Hole 50: batches before pass, neighbours do not; the running host takes a checkpoint without offset up, no other."""
    hub = new_hub()
    hub.send_events(
        [EventData(b"0"), EventData(b"1"), EventData(b"neighbour"), map_property(b"odd"), EventData(b"4")]
    )
    host = new_host(hub=hub, host_json={"extensions": {"eventHubs": {"maxEventBatchSize": 2}}}, **policy)
    said = "partition 0 of {} stands: an event cannot be received (TypeError: property where is an AMQP map)"
    said = said.format(hub.name)
    host.wait(lambda: host.log().count(said) >= 3, "three cycles")
    assert hub.checkpoints() == {"0": 1}
    (mark,) = hub.store.list_checkpoints(hub.namespace, hub.name, hub.group)
    hub.move_checkpoint(3, mark["offset"])  # the offset wins
    cycles = host.log().count(said)
    host.wait(lambda: host.log().count(said) >= cycles + 2, "two more cycles")
    hub.move_checkpoint(3, "")
    host.wait(lambda: hub.checkpoints() == {"0": 4}, "the checkpoint of the last")
    assert bodies(host.seen()) == [b"0", b"1", b"4"]


# -- outages of the storage


def test_hole_50_a_short_outage_of_the_storage_doubles_nothing(new_hub, new_host, azurite):
    """Hole 50: a checkpoint that cannot be written is tried again, and the partition waits for it."""
    hub = new_hub()
    with proxy_of(azurite.blob_endpoint) as (port, set_fault):
        storage = azurite.connection_string.replace(f":{urlsplit(azurite.blob_endpoint).port}/", f":{port}/")
        host = new_host(hub=hub, host_json=KEPT, AzureWebJobsStorage=storage)
        host.wait(lambda: len(hub.owners()) == 1, "the claim")
        set_fault({"mode": "down", "seconds": 3})
        hub.send(b"0", b"1")
        host.wait(lambda: hub.checkpoints() == {"0": 1}, "both checkpoints")
        assert bodies(host.seen()) == [b"0", b"1"]
        assert host.stop() == 0


def test_hole_50_a_checkpoint_that_is_refused_brings_the_batch_again(new_hub, new_host, azurite):
    """Hole 50: where the storage fails for good the partition begins again at its checkpoint, once the storage is well."""
    hub = new_hub()
    hub.send(b"do:gate:1:a", b"1")
    with proxy_of(azurite.blob_endpoint) as (port, set_fault):
        storage = azurite.connection_string.replace(f":{urlsplit(azurite.blob_endpoint).port}/", f":{port}/")
        host = new_host(hub=hub, host_json=KEPT, AzureWebJobsStorage=storage)
        host.wait_seen(1)
        set_fault({"mode": "status", "status": 403, "code": "AuthorizationFailure"})
        host.open_gate()
        host.wait(lambda: "the storage failed" in host.log(), "the news")
        assert hub.checkpoints() == {}
        set_fault({"mode": "delay", "delaySeconds": 0})
        host.wait(lambda: hub.checkpoints() == {"0": 1}, "both checkpoints")
        assert bodies(host.seen()) == [b"do:gate:1:a", b"do:gate:1:a", b"1"]
        assert host.stop() == 0


def test_hole_50_a_missing_container_is_made_at_the_start_and_only_then(own_storage, new_hub, new_host):
    """Hole 50: partitions do not recover from a container that is deleted under a running host; a restart makes it."""
    hub = new_hub()
    hub.storage = own_storage
    storage = {"AzureWebJobsStorage": own_storage, "STORAGE": own_storage}
    hub.send(b"one")
    host = new_host(hub=hub, **storage)
    host.wait(lambda: hub.checkpoints() == {"0": 0}, "the checkpoint in a container that was not there")
    with BlobServiceClient.from_connection_string(own_storage) as service:
        service.delete_container(CONTAINER)
        hub.send(b"two")
        host.wait(lambda: "the storage failed" in host.log(), "the checkpoint that cannot be written")
        hub.send(b"three")
        time.sleep(2)  # four cycles
        assert bodies(host.seen()) == [b"one", b"two"]
        assert not service.get_container_client(CONTAINER).exists()
    assert host.stop() == 0
    second = new_host(hub=hub, **storage)
    second.wait(lambda: hub.checkpoints() == {"0": 2}, "the checkpoint after the restart")
    assert bodies(second.seen()) == [b"one", b"two", b"one", b"two", b"three"]
