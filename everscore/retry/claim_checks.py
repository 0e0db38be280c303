"""Items whose body lies elsewhere, made whole again."""

from __future__ import annotations

from everscore.event.item import Item
from everscore.failures import Permanent, Stage
from everscore.ports import Blobs, Hub
from everscore.retry.envelope import UnreadableEnvelopeError, decode_item, restore


class ClaimChecks:
    """Reads bodies back: from the claim-check blob, and, where that is gone, from the hub by the source.

    Args:
        blobs: where claim checks lie.
        hub: where events lie until retention takes them.
    """

    def __init__(self, blobs: Blobs, hub: Hub) -> None:
        self._blobs = blobs
        self._hub = hub

    async def redeem(self, item: Item) -> Item:
        """The item with its body; one that has it already comes back as it is.

        Raises:
            Permanent: the body is gone everywhere (reason ``body expired``), or the blob is none of ours.
            Failure: blobs or hub do not answer.
        """
        if item.blob is None:
            return item
        data = await self._blobs.get_claim_check(item.blob)
        if data is None:
            return await self._from_hub(item)
        try:
            return restore(item, decode_item(data))
        except UnreadableEnvelopeError as error:
            item.body = data
            detail = f"the blob {item.blob} holds no event: {error}"
            raise Permanent(Stage.RETRY, "claim check unreadable", detail) from error

    async def _from_hub(self, item: Item) -> Item:
        found = await self._hub.fetch(item.source)
        if found is None:
            raise Permanent(
                Stage.RETRY,
                "body expired",
                f"the claim check {item.blob} is gone, and so is the event in the hub",
            )
        # The hub holds whole bodies: a record comes back with its neighbours, which identity makes harmless.
        item.body, item.properties = found.body, found.properties or None
        item.unwrapped, item.record_index, item.blob = False, None, None
        return item
