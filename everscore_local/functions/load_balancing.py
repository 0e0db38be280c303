"""Which partitions this host reads: the real processor's greedy balancing.

Source: PartitionLoadBalancer.cs of azure-sdk-for-net. Each cycle renews what is owned, lists all claims,
and claims while it is below its share: first what nobody has, then one of the host with the most.
"""

import logging
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from .checkpoints import CheckpointStore, Ownership, is_fresh, unclaimed

_log = logging.getLogger("Host.EventHubs")


class LoadBalancer:
    """The claims of one host on the partitions of one hub and consumer group."""

    def __init__(self, store: CheckpointStore, owner: str, expiration: float) -> None:
        self._store = store
        self._owner = owner
        self._expiration = expiration
        self._owned: dict[str, Ownership] = {}

    @property
    def owned(self) -> frozenset[str]:
        """The partitions that this host may read."""
        return frozenset(self._owned)

    async def cycle(self, partitions: Sequence[str]) -> None:
        """Renew and, greedily, claim until the share is reached or somebody else is faster."""
        await self._renew()
        while await self._claim_one(partitions):
            pass

    async def release(self, partition: str) -> None:
        """Give a partition back, so that another host need not wait for the claim to expire."""
        claim = self._owned.pop(partition, None)
        if claim is not None:
            await self._store.claim(partition, "", claim.etag)

    async def _renew(self) -> None:
        for partition, claim in list(self._owned.items()):
            renewed = await self._store.claim(partition, self._owner, claim.etag)
            if renewed is None:
                _log.debug("partition %s is owned by another host now", partition)
                self._owned.pop(partition, None)
            elif partition in self._owned:
                self._owned[partition] = renewed

    async def _claim_one(self, partitions: Sequence[str]) -> bool:
        claims = await self._store.list_ownership()
        now = datetime.now(UTC)
        current = {claim.partition: claim for claim in claims}
        # A claim that another host has replaced is not ours any more, whatever the last renewal said.
        for partition in list(self._owned):
            seen = current.get(partition)
            if seen is None or seen.owner != self._owner:
                self._owned.pop(partition, None)
        active = [
            claim
            for claim in claims
            if claim.partition in partitions and is_fresh(claim, now, self._expiration)
        ]
        counts = Counter(claim.owner for claim in active)
        counts.setdefault(self._owner, 0)
        free = unclaimed(partitions, active)
        wanted = choose(self._owner, len(partitions), counts, free, active)
        if wanted is None:
            return False
        claim = current.get(wanted)
        won = await self._store.claim(wanted, self._owner, claim.etag if claim else None)
        if won is None:
            return False
        self._owned[wanted] = won
        return True


def choose(
    owner: str, total: int, counts: Counter[str], free: Sequence[str], active: Sequence[Ownership]
) -> str | None:
    """Return the partition that a host claims next, None where it has its share.

    Args:
        owner: the host that asks.
        total: number of partitions.
        counts: partitions of each live host, its own count included.
        free: partitions that nobody has.
        active: the claims that count.
    """
    mine = counts[owner]
    share = total // len(counts)
    # With a remainder somebody must take one more, but only while nobody is worse off.
    if mine > share or (mine == share and min(counts.values()) < share):
        return None
    if free:
        return random.choice(free)  # noqa: S311 - nothing secret
    rich = {name for name, count in counts.items() if count > share + 1}
    if not rich and mine < share:
        rich = {name for name, count in counts.items() if count == share + 1}
    candidates = [claim.partition for claim in active if claim.owner in rich]
    return random.choice(candidates) if candidates else None  # noqa: S311 - nothing secret
