"""The queue listener, held to what was measured with the real one."""

import base64
import os
import signal
from itertools import pairwise
from urllib.parse import urlsplit

from azure.core.exceptions import ResourceNotFoundError

from .conftest import proxy_of


def text(body: bytes) -> str:
    """Return a body as it stands in a queue."""
    return base64.b64encode(body).decode()


def waiting(client) -> list[str]:
    """Return the texts that are visible in a queue; a missing queue has none."""
    try:
        return [m.content for m in client.peek_messages(max_messages=32)]
    except ResourceNotFoundError:
        return []


def test_success_failure_and_poison(new_host, new_queue):
    """Success deletes; a failure comes again after visibilityTimeout; at maxDequeueCount the text goes to the poison queue."""
    host = new_host(enable=("messages",), QUEUE="work-outcomes")
    queue, poison = new_queue("work-outcomes"), new_queue("work-outcomes-poison")
    queue.create_queue()  # after the host's start: a missing queue is no error
    binary = bytes(range(256))
    for body in (binary, b"do:raise:1:once", b"do:raise:0:always"):
        queue.send_message(text(body))
    queue.send_message("this is not base64!")
    host.wait(lambda: len(waiting(poison)) == 2, "two poison messages")
    host.wait(
        lambda: not waiting(queue) and queue.get_queue_properties().approximate_message_count == 0,
        "an empty queue",
    )
    notes = host.seen("messages")
    counts = {}
    for note in notes:
        counts.setdefault(bytes.fromhex(note["body"]), []).append(note["count"])
    assert counts == {binary: [1], b"do:raise:1:once": [1, 2], b"do:raise:0:always": [1, 2, 3]}
    assert waiting(poison) == ["this is not base64!", text(b"do:raise:0:always")]
    tries = [note["at"] for note in notes if bytes.fromhex(note["body"]) == b"do:raise:0:always"]
    assert min(b - a for a, b in pairwise(tries)) >= 0.9
    assert "queue work-outcomes: " not in host.log()


def test_hole_50_a_failure_while_the_host_stops_is_released(new_host, new_queue):
    """Hole 50: a message whose function fails during the stop is visible after visibilityTimeout, not after its lease."""
    queue = new_queue("work-stopping")
    queue.create_queue()
    queue.send_message(text(b"do:late:1:a"))
    host = new_host(enable=("messages",), QUEUE="work-stopping")
    host.wait_seen(1, "messages")
    os.kill(host.process.pid, signal.SIGTERM)
    host.wait(lambda: host.ask("/admin/host/status")["state"] == "Stopping", "the stop")
    host.open_gate()
    assert host.stop() == 0
    host.wait(lambda: waiting(queue) == [text(b"do:late:1:a")], "the message")


def test_hole_50_a_message_cut_off_by_the_stop_is_released(new_host, new_queue):
    """Hole 50: so is one whose function is ended with the worker, after the grace period."""
    queue = new_queue("work-cut-off")
    queue.create_queue()
    queue.send_message(text(b"do:hang:1:a"))
    host = new_host("--grace-seconds", "0.3", enable=("messages",), QUEUE="work-cut-off")
    host.wait_seen(1, "messages")
    assert host.stop() == 0
    host.wait(lambda: waiting(queue) == [text(b"do:hang:1:a")], "the message")


def test_a_killed_host_leaves_the_message_to_the_next(new_host, new_queue):
    """SIGKILL of the host while a message is worked on: its lease runs out and it comes again with count 2."""
    queue = new_queue("work-killed")
    queue.create_queue()
    queue.send_message(text(b"do:hang:1:once"))
    first = new_host("--queue-lease-seconds", "2", enable=("messages",), QUEUE="work-killed")
    first.wait_seen(1, "messages")
    first.kill()
    second = new_host("--queue-lease-seconds", "2", enable=("messages",), QUEUE="work-killed")
    notes = second.wait_seen(2, "messages")
    assert [note["count"] for note in notes] == [1, 2]
    second.wait(
        lambda: not waiting(queue) and queue.get_queue_properties().approximate_message_count == 0,
        "an empty queue",
    )


def test_the_lease_is_renewed_while_the_function_runs(new_host, new_queue):
    """A message that takes longer than its lease is run once: the lease is renewed at half its time."""
    queue = new_queue("work-renewed")
    queue.create_queue()
    queue.send_message(text(b"do:slow:1:a"))
    host = new_host(
        "--queue-lease-seconds", "1", enable=("messages",), QUEUE="work-renewed", SLOW_SECONDS="2.5"
    )
    host.wait_seen(1, "slow")
    host.wait(lambda: queue.get_queue_properties().approximate_message_count == 0, "an empty queue")
    assert len(host.seen("messages")) == 1


def test_the_default_lease_is_ten_minutes(new_host, new_queue):
    """By default a received message is hidden for ten minutes, as on the real host."""
    queue = new_queue("work-default")
    queue.create_queue()
    queue.send_message(text(b"do:hang:1:once"))
    host = new_host(enable=("messages",), QUEUE="work-default")
    (note,) = host.wait_seen(1, "messages")
    assert 590 < note["hidden"] <= 601
    host.kill()


def test_a_renewal_under_way_when_the_function_ends_is_waited_for(new_host, new_queue, azurite):
    """A slow answer to a renewal holds the receipt that the deletion needs: the message is gone, and never comes again."""
    queue = new_queue("work-renewing")
    queue.create_queue()
    queue.send_message(text(b"do:slow:2:a"))
    with proxy_of(azurite.queue_endpoint) as (port, set_fault):
        set_fault({"mode": "delay", "delaySeconds": 0.8})
        storage = azurite.connection_string.replace(f":{urlsplit(azurite.queue_endpoint).port}/", f":{port}/")
        # The renewal goes out after one second, the function ends after 1.2, the answer comes after 1.8.
        host = new_host(
            *("--queue-lease-seconds", "2"),
            enable=("messages",),
            QUEUE=queue.queue_name,
            # The connection STORAGE means this one too, as names ignore case.
            AzureWebJobsStorage=storage,
            SLOW_SECONDS="1.2",
        )
        host.wait_seen(1, "slow")
        host.wait(lambda: queue.get_queue_properties().approximate_message_count == 0, "an empty queue")
        assert len(host.seen("messages")) == 1
        assert host.stop() == 0


def test_a_json_body_nested_by_the_thousand_is_a_message_like_any_other(new_host, new_queue):
    """Text that JSON readers give up on does not keep the host from handing a message over."""
    queue = new_queue("work-nested")
    queue.create_queue()
    queue.send_message(text(b"[" * 40_000))
    host = new_host(TEXTS="1", QUEUE="work-nested")
    (note,) = host.wait_seen(1, "texts")
    assert note["size"] == 40_000
    host.wait(lambda: queue.get_queue_properties().approximate_message_count == 0, "an empty queue")
