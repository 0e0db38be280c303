"""Ownership and checkpoints: shared with other hosts and with the Python SDK's own store."""

import threading
from collections import Counter
from datetime import UTC, datetime

from azure.eventhub import EventHubConsumerClient
from hypothesis import given
from hypothesis import strategies as st

from everscore_local.functions.checkpoints import Ownership
from everscore_local.functions.load_balancing import choose


def test_two_hosts_share_the_partitions_and_one_takes_over(new_hub, new_host):
    """A second host gets half the partitions; when one is killed the other reads everything, and nothing is missing."""
    hub = new_hub(4)
    first = new_host(hub=hub)
    first.wait(lambda: len(hub.owners()) == 4, "four claims")
    second = new_host(hub=hub)

    def shares() -> list[int]:
        owners = list(hub.owners().values())
        return sorted(owners.count(owner) for owner in set(owners))

    second.wait(lambda: shares() == [2, 2], "an even split")
    for partition in range(4):
        hub.send(f"before {partition}".encode(), partition=str(partition))
    second.wait(lambda: len(hub.checkpoints()) == 4, "the checkpoints of all partitions")
    assert len({note["pid"] for note in second.seen()}) == 2
    first.kill()
    for partition in range(4):
        hub.send(f"after {partition}".encode(), partition=str(partition))
    second.wait(lambda: set(hub.checkpoints().values()) == {1}, "the checkpoints after the kill")
    seen = {bytes.fromhex(body) for note in second.seen() for body in note["bodies"]}
    assert seen == {f"{when} {n}".encode() for when in ("before", "after") for n in range(4)}


@given(
    total=st.integers(1, 32),
    hosts=st.integers(1, 6),
    held=st.lists(st.integers(-1, 5), min_size=32, max_size=32),
    seed=st.randoms(use_true_random=False),
)
def test_any_distribution_becomes_even(total, hosts, held, seed):
    """From any claims, and in any order of turns, hosts end up with shares that differ by at most one."""
    now = datetime.now(UTC)
    owners = {str(n): held[n] if held[n] < hosts else -1 for n in range(total)}
    # Each host has its turn in each round, as each of them has a timer of its own.
    for me in (str(host) for _ in range(4 * total + 8) for host in seed.sample(range(hosts), hosts)):
        active = [Ownership(p, str(o), "etag", now) for p, o in owners.items() if o >= 0]
        counts = Counter(claim.owner for claim in active)
        counts.update({str(n): 0 for n in range(hosts)})
        free = [p for p, o in owners.items() if o < 0]
        wanted = choose(me, total, counts, free, active)
        if wanted is not None:
            assert owners[wanted] != int(me)
            owners[wanted] = int(me)
    shares = [list(owners.values()).count(n) for n in range(hosts)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


def test_the_python_sdk_goes_on_where_the_host_stopped(new_hub, new_host):
    """A consumer of the SDK with its own checkpoint code starts after the host's checkpoint, and the other way round."""
    hub = new_hub()
    hub.send(b"one", b"two")
    host = new_host(hub=hub)
    host.wait(lambda: hub.checkpoints() == {"0": 1}, "the host's checkpoint")
    host.stop()
    hub.send(b"three")
    (mine,) = hub.store.list_checkpoints(hub.namespace, hub.name, hub.group)
    got: list[bytes] = []
    client = EventHubConsumerClient.from_connection_string(
        hub.connection, hub.group, eventhub_name=hub.name, socket_timeout=0.05
    )

    def take(context, event):
        got.append(b"".join(event.body))
        hub.store.update_checkpoint(
            {**mine, "offset": event.offset, "sequence_number": event.sequence_number}
        )

    thread = threading.Thread(
        target=client.receive,
        kwargs={"on_event": take, "partition_id": "0", "starting_position": mine["offset"]},
    )
    thread.start()
    host.wait(lambda: got, "the third event")
    client.close()
    thread.join()
    assert got == [b"three"]
    hub.send(b"four")
    again = new_host(hub=hub)
    again.wait(lambda: hub.checkpoints() == {"0": 3}, "the second host's checkpoint")
    assert [bytes.fromhex(body) for note in again.seen() for body in note["bodies"]] == [
        b"one",
        b"two",
        b"four",
    ]
