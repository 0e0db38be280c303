"""The bodies of the items of a message, read from where they lie, within a budget of memory and of time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from everscore.clock.deadline import Deadline
from everscore.decode.memory import Memory, Share
from everscore.event.event import Event
from everscore.event.item import Item
from everscore.failures import Failure, Stage, Transient, unexpected
from everscore.retry.claim_checks import ClaimChecks, Redeemed
from everscore.retry.packing import claimed_size


@dataclass(frozen=True, slots=True)
class Bodies:
    """What reading gave.

    Attributes:
        redeemed: items with their bodies.
        unread: events for those whose blob is gone or does not answer.
        asked: by ``id`` of an item with its body, the item that it was read for.
    """

    redeemed: Sequence[Redeemed] = ()
    unread: list[Event] = field(default_factory=list)
    asked: Mapping[int, Item] = field(default_factory=dict)

    @property
    def items(self) -> list[Item]:
        """Those with their bodies."""
        return [one.item for one in self.redeemed]


class BodyReader:
    """Reads bodies from claim checks.

    Args:
        claim_checks: where they come from.
        memory: bytes of claim checks that all messages of this process may have read at a time.
    """

    def __init__(self, claim_checks: ClaimChecks, memory: Memory) -> None:
        self._claim_checks = claim_checks
        self._memory = memory

    @asynccontextmanager
    async def read(self, items: Sequence[Item], budget: Deadline) -> AsyncIterator[Bodies]:
        """The items with their bodies, which count as memory in use until the block has ended.

        Half of the time at most goes by with waiting for memory, and half of what is left then with reading:
        many bodies that have to come from the hub are slow, and what is not read by then waits for the next
        try, while the others are stored.
        """
        claimed = sum(map(claimed_size, items))
        # Bodies that came with the message stand in no line behind those that are still to be read.
        share: Share | None = None if claimed else Share()
        if claimed:
            with contextlib.suppress(TimeoutError):  # without a share none of them is read
                async with asyncio.timeout(budget.share(0.5).remaining):
                    share = await self._memory.share(claimed)
        try:
            bound = budget.share(0.5) if share is not None else Deadline.after(0)
            found = await asyncio.gather(*(self.read_one(item, bound) for item in items))
            yield Bodies(
                [one for one in found if isinstance(one, Redeemed)],
                [one for one in found if isinstance(one, Event)],
                {
                    id(one.item): item
                    for item, one in zip(items, found, strict=True)
                    if isinstance(one, Redeemed)
                },
            )
        finally:
            if share is not None:
                share.close()

    async def read_one(self, item: Item, bound: Deadline) -> Redeemed | Event:
        """One item with its body, or an event with what came in between."""
        if not item.is_pointer:
            return Redeemed(item)
        try:
            async with asyncio.timeout(bound.remaining):
                return await self._claim_checks.redeem(item)
        except TimeoutError:
            detail = "the time for reading bodies was used up"
            return Event(item, failure=Transient(Stage.RETRY, "claim check not read", detail))
        except Failure as failure:
            return Event(item, failure=failure)
        except Exception as error:  # noqa: BLE001 - this one item's own: its neighbours go on
            return Event(item, failure=unexpected(Stage.RETRY, error))
