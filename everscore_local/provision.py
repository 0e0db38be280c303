"""Creates what a deployment creates: queues and blob containers, and on an emulator database and container.

The app itself never creates anything. Everything here may be run again: what exists is left as it is.
"""

from __future__ import annotations

from everscore_local.endpoints import Names

# The container as in Azure (infra/modules/cosmos.bicep), wherever one is made on this machine.
PARTITION_KEY_PATH = "/pk"
# Only what queries filter and sort by: an index on every field of every payload would double the price of a
# write. Sorting by anything else fails in Azure, so it fails here too.
INDEXED = ("/pk/?", "/time/?", "/scores/*")
INDEXING = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": path} for path in INDEXED],
    "excludedPaths": [{"path": "/*"}],
}
# Expiry is switched on, so that one document can have a "ttl", but by default none goes.
DEFAULT_TTL = -1


def provision_storage(connection_string: str, names: Names) -> list[str]:
    """Create the retry queue, its poison queue, and the containers of dead letters and claim checks.

    Returns:
        what was created; empty where all of it was there.
    """
    # The SDKs are slow to import, and most commands create nothing.
    from azure.core.exceptions import ResourceExistsError  # noqa: PLC0415
    from azure.storage.blob import BlobServiceClient  # noqa: PLC0415
    from azure.storage.queue import QueueServiceClient  # noqa: PLC0415

    created = []
    with QueueServiceClient.from_connection_string(connection_string) as queues:
        for queue in (names.queue, f"{names.queue}-poison"):
            try:
                queues.create_queue(queue)
                created.append(f"queue {queue}")
            except ResourceExistsError:
                continue
    with BlobServiceClient.from_connection_string(connection_string) as blobs:
        for container in (names.dead_letters, names.claim_checks):
            try:
                blobs.create_container(container)
                created.append(f"blob container {container}")
            except ResourceExistsError:
                continue
    return created


def provision_cosmos(connection_string: str, names: Names) -> list[str]:
    """Create database and container, as the deployment does: partition key /pk, few indexed paths, expiry on.

    Returns:
        what was created; empty where all of it was there.
    """
    from azure.cosmos import CosmosClient, PartitionKey  # noqa: PLC0415 - slow, see above
    from azure.cosmos.exceptions import CosmosResourceNotFoundError  # noqa: PLC0415

    created = []
    # No discovery: an emulator may name an address in its metadata at which something else answers.
    with CosmosClient.from_connection_string(connection_string, enable_endpoint_discovery=False) as client:
        database = client.get_database_client(names.database)
        try:
            database.read()
        except CosmosResourceNotFoundError:
            database = client.create_database(names.database)
            created.append(f"database {names.database}")
        try:
            database.get_container_client(names.container).read()
        except CosmosResourceNotFoundError:
            database.create_container(
                names.container,
                PartitionKey(PARTITION_KEY_PATH),
                indexing_policy=INDEXING,
                default_ttl=DEFAULT_TTL,
            )
            created.append(f"container {names.database}/{names.container}")
    return created
