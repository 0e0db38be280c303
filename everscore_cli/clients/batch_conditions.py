"""Tries out whether a store keeps the condition that promise 2 rests on: If-Match in a transactional batch.

Azure's Cosmos DB does; some builds of its emulator do not (azure-cosmos-db-emulator-docker#302 and #319).
"""

from __future__ import annotations

import uuid
from typing import Any

from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosBatchOperationError

# No event's partition key begins so: behind "~" stand two hex digits, "n" or "h" (everscore.event.identity).
PARTITION = "~probe"
# Where the command is killed before it has tidied up, the container's expiry does it.
_TTL_SECONDS = 60
_CHANGED_MEANWHILE = 412

IGNORED = (
    "This store ignores If-Match inside a transactional batch: of two versions of one event that are stored "
    "at the same moment the older can overwrite the newer, so the promise that nothing newer is overwritten "
    "by something older does not hold here (on Azure's own Cosmos DB it does)."
)


async def broken_promise(container: ContainerProxy) -> str | None:
    """Say in one sentence which promise does not hold on this store, or None: it holds.

    One item of its own, in a partition that no event can have, is written twice and then replaced in a batch
    under the ETag of the first time, which must be refused. It is deleted whatever comes of that.

    Raises:
        AzureError: the item cannot be written or deleted.
    """
    item: dict[str, Any] = {"id": uuid.uuid4().hex, "pk": PARTITION, "ttl": _TTL_SECONDS}
    stale = (await container.create_item(item))["_etag"]
    try:
        await container.replace_item(item["id"], item)
        await container.execute_item_batch(
            [("replace", (item["id"], item), {"if_match_etag": stale})], partition_key=PARTITION
        )
    except CosmosBatchOperationError as error:
        return None if error.status_code == _CHANGED_MEANWHILE else _not_tried(error)
    except AzureError as error:
        return _not_tried(error)
    finally:
        await container.delete_item(item["id"], PARTITION)
    return IGNORED


def _not_tried(error: AzureError) -> str:
    first = (str(error.message or "").strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return (
        f"Whether this store honours If-Match inside a transactional batch could not be tried out ({first}); "
        "without it the promise that nothing newer is overwritten by something older does not hold."
    )
