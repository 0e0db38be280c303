"""The Event Hubs listener: batches, checkpoints, retry policies, deaths, time-outs."""

import os
import signal
import time
from urllib.parse import urlsplit

import psutil

from .conftest import proxy_of


def alive(pid: int) -> bool:
    """Tell whether a process runs."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def bodies(notes: list[dict]) -> list[bytes]:
    """Return the bodies of all events that were noted."""
    return [bytes.fromhex(body) for note in notes for body in note["bodies"]]


def test_bodies_arrive_byte_for_byte_with_their_metadata(new_hub, new_host):
    """Every byte, empty bodies, order, sequence numbers and properties reach the function; times have no zone."""
    hub = new_hub()
    sent = [bytes(range(256)), b"", b"\xff\xfe not utf-8", b'{"a": 1.50}']
    hub.send(*sent, properties={"n": 7, "text": "two"})
    host = new_host(hub=hub)
    host.wait(lambda: len(bodies(host.seen())) == 4, "four events")
    notes = host.seen()
    assert bodies(notes) == sent
    assert [number for note in notes for number in note["sequence"]] == [0, 1, 2, 3]
    assert [p for note in notes for p in note["properties"]] == [{"n": 7, "text": "two"}] * 4
    assert {zone for note in notes for zone in note["zone"]} == {"None"}
    host.wait(lambda: hub.checkpoints() == {"0": 3}, "the checkpoint")


def test_a_failure_without_policy_is_checkpointed(new_hub, new_host):
    """Without a retry policy the failed batch is passed over, as the real host does, and never comes again."""
    hub = new_hub()
    hub.send(b"do:raise:0:always")
    host = new_host(hub=hub)
    host.wait(lambda: hub.checkpoints() == {"0": 0}, "the checkpoint after the failure")
    hub.send(b"next")
    host.wait(lambda: hub.checkpoints() == {"0": 1}, "the checkpoint after the next")
    assert bodies(host.seen()) == [b"do:raise:0:always", b"next"]
    assert [note["retry"] for note in host.seen()] == [[0, 0], [0, 0]]
    assert "ValueError: told to raise (always)" in host.log()


def test_an_endless_policy_holds_the_partition(new_hub, new_host):
    """The same batch comes with one invocation id and rising counts, and no checkpoint passes it until it succeeds."""
    hub = new_hub()
    hub.send(b"do:raise:2:twice")
    host = new_host(hub=hub, EVENTS_RETRY="exponential_backoff,-1,00:00:01")
    host.wait_seen(1)
    hub.send(b"behind")
    host.wait_seen(2)
    assert hub.checkpoints() == {}
    host.wait(lambda: hub.checkpoints() == {"0": 1}, "the checkpoint of both")
    tries = [note for note in host.seen() if b"do:raise:2:twice" in bodies([note])]
    assert [note["retry"] for note in tries] == [[0, -1], [1, -1], [2, -1]]
    assert len({note["invocation"] for note in tries}) == 1
    assert {len(note["bodies"]) for note in tries} == {1}
    assert tries[1]["at"] - tries[0]["at"] >= 0.99


def test_a_bounded_policy_runs_out_and_is_checkpointed(new_hub, new_host):
    """One try and two more, then the batch is given up and the checkpoint moves past it."""
    hub = new_hub()
    hub.send(b"do:raise:0:always")
    host = new_host(hub=hub, EVENTS_RETRY="fixed_delay,2,00:00:01")
    host.wait(lambda: hub.checkpoints() == {"0": 0}, "the checkpoint after the last try")
    assert [note["retry"] for note in host.seen()] == [[0, 2], [1, 2], [2, 2]]
    assert len({note["invocation"] for note in host.seen()}) == 1


def test_a_killed_worker_under_policy_gets_its_batch_again(new_hub, new_host):
    """SIGKILL of the worker in mid-batch: the host lives, a new worker runs the same batch, nothing is passed over."""
    hub = new_hub()
    hub.send(b"do:die:1:once", b"neighbour")
    host = new_host(hub=hub, EVENTS_RETRY="exponential_backoff,-1,00:00:00")
    host.wait(lambda: hub.checkpoints() == {"0": 1}, "the checkpoint")
    first, second = host.seen()
    assert first["bodies"] == second["bodies"]
    assert first["pid"] != second["pid"]
    assert [first["retry"], second["retry"]] == [[0, -1], [1, -1]]
    assert host.process.poll() is None


def test_a_killed_worker_without_policy_loses_its_batch(new_hub, new_host):
    """The death of the worker is a failed invocation like any other: without a policy it is checkpointed."""
    hub = new_hub()
    hub.send(b"do:die:1:once")
    host = new_host(hub=hub)
    host.wait(lambda: hub.checkpoints() == {"0": 0}, "the checkpoint")
    hub.send(b"next")
    host.wait_seen(2)
    assert bodies(host.seen()) == [b"do:die:1:once", b"next"]


def test_a_worker_that_leaves_processes_behind_is_seen_to_die(new_hub, new_host):
    """The death is noticed although programs that the function started hold the worker's pipes open."""
    hub = new_hub()
    hub.send(b"do:orphan:1:once")
    host = new_host(hub=hub, EVENTS_RETRY="exponential_backoff,-1,00:00:00")
    try:
        host.wait(lambda: hub.checkpoints() == {"0": 0}, "the checkpoint of the second try")
        assert len({note["pid"] for note in host.seen()}) == 2
        assert all(alive(pid) for pid in host.seen("orphans")[0]["pids"])
    finally:
        for note in host.seen("orphans"):
            for pid in note["pids"]:
                os.kill(pid, signal.SIGKILL)


def test_function_timeout_fails_the_invocation_and_replaces_the_worker(new_hub, new_host):
    """An invocation past functionTimeout fails even if it blocks the worker's loop; a new worker goes on."""
    hub = new_hub()
    hub.send(b"do:hang:1:once")
    host = new_host(
        hub=hub, host_json={"functionTimeout": "00:00:02"}, EVENTS_RETRY="exponential_backoff,-1,00:00:00"
    )
    host.wait(lambda: hub.checkpoints() == {"0": 0}, "the checkpoint of the second try")
    first, second = host.seen()
    assert first["pid"] != second["pid"]
    assert not alive(first["pid"])
    assert "Timeout value of 2 s was exceeded by function: events" in host.log()


def test_a_killed_host_takes_its_worker_along_and_another_resumes(new_hub, new_host):
    """SIGKILL of the host in mid-batch: its worker dies, and the next host starts from the last checkpoint."""
    hub = new_hub()
    hub.send(b"done")
    first = new_host(hub=hub)
    first.wait(lambda: hub.checkpoints() == {"0": 0}, "the first checkpoint")
    hub.send(b"do:hang:1:once")
    worker = first.wait_seen(2)[1]["pid"]
    first.kill()
    first.wait(lambda: not alive(worker), "the death of the worker")
    second = new_host(hub=hub)
    second.wait(lambda: hub.checkpoints() == {"0": 1}, "the checkpoint of the second host")
    assert bodies(second.seen()) == [b"done", b"do:hang:1:once", b"do:hang:1:once"]


def test_sigterm_waits_for_the_batch_and_releases_without_checkpoint(new_hub, new_host):
    """Hole 50: SIGTERM lets the running batch finish, and does not checkpoint it; the claim is released; the exit code is 0."""
    hub = new_hub()
    hub.send(b"do:slow:1:once")
    host = new_host(hub=hub)
    host.wait_seen(1)
    os.kill(host.process.pid, signal.SIGTERM)
    hub.send(b"after")
    assert host.process.wait(timeout=120) == 0
    assert len(host.seen("slow")) == 1
    assert hub.checkpoints() == {}
    assert not any(hub.owners().values())
    assert bodies(host.seen()) == [b"do:slow:1:once"]


def test_sigterm_ends_an_endless_retry_without_checkpoint(new_hub, new_host):
    """A batch under its policy is given back: no checkpoint, and the next host gets it with a count of 0."""
    hub = new_hub()
    hub.send(b"do:raise:0:always")
    policy = "exponential_backoff,-1,00:00:01"
    host = new_host(hub=hub, EVENTS_RETRY=policy)
    host.wait_seen(2)
    assert host.stop() == 0
    assert hub.checkpoints() == {}
    tries = len(host.seen())
    second = new_host(hub=hub, EVENTS_RETRY=policy)
    again = second.wait_seen(tries + 1)[tries]
    assert again["retry"] == [0, -1]


def test_an_invocation_past_the_grace_period_is_ended_without_checkpoint(new_hub, new_host):
    """What does not finish within --grace-seconds is killed with the worker, and its events stay for the next host."""
    hub = new_hub()
    hub.send(b"do:hang:1:once")
    host = new_host("--grace-seconds", "0.3", hub=hub)
    worker = host.wait_seen(1)[0]["pid"]
    assert host.stop() == 0
    assert not alive(worker)
    assert hub.checkpoints() == {}


def test_sigterm_ends_a_host_whose_storage_hangs(new_hub, new_host, azurite):
    """Blobs that take connections and never answer hold a host up no longer than its grace period and a little more."""
    hub = new_hub()
    hub.send(b"one")
    with proxy_of(azurite.blob_endpoint) as (port, set_fault):
        storage = azurite.connection_string.replace(f":{urlsplit(azurite.blob_endpoint).port}/", f":{port}/")
        host = new_host("--grace-seconds", "0.5", hub=hub, AzureWebJobsStorage=storage)
        host.wait(lambda: hub.checkpoints() == {"0": 0}, "the checkpoint")
        set_fault({"mode": "hang"})
        assert host.stop() == 0
        assert "waits for a service that does not answer" in host.log()


def min_batch(largest_wait: str) -> dict:
    """Return a host.json that asks for batches of four or five events."""
    return {
        "extensions": {
            "eventHubs": {"maxEventBatchSize": 5, "minEventBatchSize": 4, "maxWaitTime": largest_wait}
        }
    }


def test_small_batches_are_waited_for_but_the_first(new_hub, new_host):
    """As many events as minEventBatchSize says are collected, though the first batch of a partition never read may be smaller."""
    hub = new_hub()
    hub.send(b"0")
    host = new_host(hub=hub, host_json=min_batch("00:05:00"))
    host.wait_seen(1)
    for number in range(1, 5):
        hub.send(str(number).encode())
    host.wait_seen(2)
    assert [len(note["bodies"]) for note in host.seen()] == [1, 4]


def test_a_small_batch_comes_after_max_wait_time(new_hub, new_host):
    """Fewer than minEventBatchSize events are handed over once maxWaitTime has passed, and not before."""
    hub = new_hub()
    hub.send(b"0")
    host = new_host(hub=hub, host_json=min_batch("00:00:02"))
    host.wait_seen(1)
    sent = time.time()
    hub.send(b"1")
    notes = host.wait_seen(2)
    assert [len(note["bodies"]) for note in notes] == [1, 1]
    assert notes[1]["at"] - sent >= 1.9


def test_a_prefetch_below_the_batch_fills_it_all_the_same(new_hub, new_host):
    """A prefetchCount of 0, or one below minEventBatchSize, is allowed and delays nothing."""
    hub = new_hub()
    options = min_batch("00:05:00")
    options["extensions"]["eventHubs"]["prefetchCount"] = 0
    hub.send(b"0")
    host = new_host(hub=hub, host_json=options)
    host.wait(lambda: hub.checkpoints() == {"0": 0}, "the checkpoint of the first")
    hub.send(b"1", b"2", b"3", b"4")
    host.wait(lambda: hub.checkpoints() == {"0": 4}, "the checkpoint of four more")
    assert host.stop() == 0
    options["extensions"]["eventHubs"]["prefetchCount"] = 2
    second = new_host(hub=hub, host_json=options)
    hub.send(b"5", b"6", b"7", b"8")
    second.wait(lambda: hub.checkpoints() == {"0": 8}, "the checkpoint of the last four")


def test_single_events_run_one_after_the_other(new_hub, new_host):
    """With cardinality one the next event waits for the one before it, and each has a checkpoint of its own."""
    hub = new_hub()
    hub.send(b"first", b"do:hang:1:once", b"third")
    host = new_host(hub=hub, SINGLE="1", **{"AzureWebJobs.events.Disabled": "true"})
    host.wait(lambda: hub.checkpoints() == {"0": 0}, "the checkpoint of the first")
    assert bodies(host.wait_seen(2, "single")) == [b"first", b"do:hang:1:once"]
    host.kill()


def test_the_hub_in_the_connection_string_wins(new_hub, new_host):
    """As on the real host EntityPath is read whatever eventHubName says, and the log says so."""
    named, given = new_hub(), new_hub()
    named.send(b"named")
    given.send(b"given")
    host = new_host(hub=named, EVENTHUB=f"{given.connection}EntityPath={given.name};")
    host.wait(lambda: given.checkpoints() == {"0": 0}, "the checkpoint")
    assert bodies(host.seen()) == [b"given"]
    assert f"reads the hub {given.name} that its connection string names" in host.log()


def test_it_connects_again_after_the_hub_was_killed(own_hub, new_host):
    """SIGKILL of the Event Hubs server: the host says so once, connects again and goes on without gap or repeat."""
    server, hub = own_hub
    hub.send(b"one")
    host = new_host(hub=hub)
    host.wait(lambda: hub.checkpoints() == {"0": 0}, "the first checkpoint")
    hub.disconnect()  # the SDK forgets to close the socket of a producer whose server dies
    server.end(signal.SIGKILL)
    host.wait(lambda: "; trying again" in host.log(), "the news")
    server.start()
    hub.send(b"two")
    host.wait(lambda: hub.checkpoints() == {"0": 1}, "the second checkpoint")
    assert bodies(host.seen()) == [b"one", b"two"]
    assert host.log().count("partition 0 of") == 2, host.log()
