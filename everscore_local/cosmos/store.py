"""Databases, containers and items in memory. The gateway is the only writer."""

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from . import rules
from .errors import ServiceError


class Sequence:
    """Numbers that grow over restarts, without being stored: milliseconds since 1970, then a counter."""

    def __init__(self) -> None:
        self._last = time.time_ns() // 1_000_000 << 18

    def next(self) -> int:
        """Return the next number, below 2**60."""
        self._last += 1
        return self._last


class SystemProperties(msgspec.Struct):
    """The properties that the service adds to an item."""

    rid: str = msgspec.field(name="_rid")
    etag: str = msgspec.field(name="_etag")
    ts: int = msgspec.field(name="_ts")
    ttl: int | None = None


@dataclass(slots=True)
class Stored:
    """One item as it stands.

    Attributes:
        document: Its JSON with the system properties, UTF-8.
        etag: ``_etag``, quotes included.
        rid: ``_rid``; an item keeps it when it is replaced.
        ts: ``_ts``, seconds since 1970.
        ttl: The item's own ``ttl``, or None.
        accepted_ms: When its (key, id) was first accepted, ms since 1970.
    """

    document: bytes
    etag: str
    rid: str
    ts: int
    ttl: int | None
    accepted_ms: int


Partition = dict[str, Stored]


@dataclass
class Container:
    """A container: its definition as clients read it, and its items by partition key and id."""

    definition: dict[str, Any]
    database: str
    partitions: dict[str, Partition] = field(default_factory=dict)
    # First accepted writes of items that were deleted since; the items themselves hold their own.
    gone: dict[tuple[str, str], int] = field(default_factory=dict)
    count: int = 0
    lsn: int = 0
    # Whether an item with a ttl of its own was ever here.
    has_own_ttl: bool = False

    def __post_init__(self) -> None:
        self.rid: str = self.definition["_rid"]
        self.id: str = self.definition["id"]
        key_paths = self.definition["partitionKey"]["paths"]
        self.paths: tuple[tuple[str, ...], ...] = tuple(
            tuple(name.strip('"') for name in path.strip("/").split("/")) for path in key_paths
        )
        ttl = self.definition.get("defaultTtl")
        self.default_ttl: int | None = ttl if isinstance(ttl, int) else None

    def get(self, key: str, item_id: str) -> Stored | None:
        """Return the item, or None where there is none or it has expired."""
        partition = self.partitions.get(key)
        stored = partition.get(item_id) if partition is not None else None
        if stored is not None and self.expired(stored, time.time()):
            return None
        return stored

    def put(self, key: str, item_id: str, stored: Stored) -> None:
        """Set the item."""
        partition = self.partitions.setdefault(key, {})
        if item_id not in partition:
            self.count += 1
        if stored.ttl is not None:
            self.has_own_ttl = True
        partition[item_id] = stored

    def remove(self, key: str, item_id: str) -> Stored | None:
        """Take the item out, remembering when it was first accepted."""
        partition = self.partitions.get(key)
        stored = partition.pop(item_id, None) if partition is not None else None
        if stored is None:
            return None
        self.count -= 1
        if not partition:
            del self.partitions[key]
        self.gone[(key, item_id)] = stored.accepted_ms
        return stored

    def expired(self, stored: Stored, now: float) -> bool:
        """Tell whether an item's time to live is over; never so in a container without a default."""
        if self.default_ttl is None:
            return False
        ttl = self.default_ttl if stored.ttl is None else stored.ttl
        return ttl > 0 and stored.ts + ttl <= now

    @property
    def can_expire(self) -> bool:
        """Tell whether any item may have a time to live."""
        return self.default_ttl is not None and (self.default_ttl > 0 or self.has_own_ttl)

    def items(self) -> Iterator[tuple[str, str, Stored]]:
        """Yield (partition key, id, item)."""
        for key, partition in self.partitions.items():
            for item_id, stored in partition.items():
                yield key, item_id, stored


@dataclass
class Database:
    """A database and its containers by id."""

    definition: dict[str, Any]
    containers: dict[str, Container] = field(default_factory=dict)


def _base64_rid(raw: bytes) -> str:
    return base64.b64encode(raw).decode().replace("/", "-")


class Store:
    """Everything that the account holds."""

    def __init__(self) -> None:
        self.databases: dict[str, Database] = {}
        self.by_rid: dict[str, Container] = {}
        self.sequence = Sequence()

    def database(self, name: str) -> Database:
        """Return a database by id or ``_rid``.

        Raises:
            ServiceError: 404.
        """
        found = self.databases.get(name)
        if found is None:
            found = next((d for d in self.databases.values() if d.definition["_rid"] == name), None)
        if found is None:
            raise ServiceError(404, f"Owner resource does not exist: database '{name}'.")
        return found

    def container(self, database: str, name: str) -> Container:
        """Return a container by id or ``_rid``.

        Raises:
            ServiceError: 404; sub-status 1003 where the database is missing too.
        """
        containers = self.database(database).containers
        found = containers.get(name) or next((c for c in containers.values() if c.rid == name), None)
        if found is None:
            raise ServiceError(404, f"Resource Not Found: container '{name}' in database '{database}'.")
        return found

    def define_database(self, body: Any) -> dict[str, Any]:
        """Return a new database's definition, not yet added.

        Raises:
            ServiceError: 400 or 409.
        """
        name = rules.check_id(body.get("id") if isinstance(body, dict) else None)
        if name in self.databases:
            raise ServiceError(409, "Resource with specified id, name, or unique index already exists.")
        number = self.sequence.next()
        rid = _base64_rid((number & 0xFFFFFFFF).to_bytes(4, "big"))
        return {
            "id": name,
            "_rid": rid,
            "_self": f"dbs/{rid}/",
            "_etag": etag_of(number),
            "_colls": "colls/",
            "_users": "users/",
            "_ts": int(time.time()),
        }

    def define_container(self, database: Database, body: Any) -> dict[str, Any]:
        """Return a new container's definition, not yet added.

        Raises:
            ServiceError: 400 or 409.
        """
        name = rules.check_id(body.get("id") if isinstance(body, dict) else None)
        if name in database.containers:
            raise ServiceError(409, "Resource with specified id, name, or unique index already exists.")
        key = body.get("partitionKey") or {"paths": ["/_partitionKey"], "kind": "Hash", "systemKey": True}
        paths = key.get("paths") if isinstance(key, dict) else None
        if (
            not isinstance(paths, list)
            or not 1 <= len(paths) <= 3
            or not all(isinstance(path, str) and path.startswith("/") and len(path) > 1 for path in paths)
        ):
            raise ServiceError(
                400, "The partition key definition is invalid: 'paths' must name 1 to 3 paths like '/pk'."
            )
        for part in ("uniqueKeyPolicy", "indexingPolicy"):
            if not isinstance(body.get(part) or {}, dict):
                raise ServiceError(400, f"'{part}' must be an object.")
        if (body.get("uniqueKeyPolicy") or {}).get("uniqueKeys"):
            raise ServiceError(400, "The stand-in has no unique key policies.")
        number = self.sequence.next()
        owner = base64.b64decode(database.definition["_rid"].replace("-", "/"))
        # The highest bit of the second half tells a container from a user.
        rid = _base64_rid(owner + ((number & 0x7FFFFFFF) | 0x80000000).to_bytes(4, "big"))
        policy = {
            "indexingMode": "consistent",
            "automatic": True,
            "includedPaths": [{"path": "/*"}],
            "excludedPaths": [{"path": '/"_etag"/?'}],
        }
        return {
            **{name: value for name, value in body.items() if name not in rules.SYSTEM_PROPERTIES},
            "partitionKey": {"kind": "Hash", "version": 2, **key},
            "indexingPolicy": {**policy, **(body.get("indexingPolicy") or {})},
            "conflictResolutionPolicy": {
                "mode": "LastWriterWins",
                "conflictResolutionPath": "/_ts",
                "conflictResolutionProcedure": "",
            },
            "geospatialConfig": {"type": "Geography"},
            "_rid": rid,
            "_self": f"dbs/{database.definition['_rid']}/colls/{rid}/",
            "_etag": etag_of(number),
            "_docs": "docs/",
            "_sprocs": "sprocs/",
            "_triggers": "triggers/",
            "_udfs": "udfs/",
            "_conflicts": "conflicts/",
            "_ts": int(time.time()),
        }

    def add_database(self, definition: dict[str, Any]) -> None:
        """Add a database."""
        self.databases[definition["id"]] = Database(definition)

    def add_container(self, database_rid: str, definition: dict[str, Any]) -> Container:
        """Add a container, or give an existing one (by ``_rid``) another definition."""
        database = self.database(database_rid)
        container = Container(definition, database.definition["id"])
        old = self.by_rid.get(container.rid)
        if old is not None:
            container.partitions, container.gone, container.count, container.lsn = (
                old.partitions,
                old.gone,
                old.count,
                old.lsn,
            )
            container.has_own_ttl = old.has_own_ttl
        database.containers[container.id] = container
        self.by_rid[container.rid] = container
        return container

    def drop_database(self, rid: str) -> None:
        """Remove a database with its containers."""
        database = self.database(rid)
        for container in database.containers.values():
            del self.by_rid[container.rid]
        del self.databases[database.definition["id"]]

    def drop_container(self, rid: str) -> None:
        """Remove a container."""
        container = self.by_rid.pop(rid)
        del self.databases[container.database].containers[container.id]

    def document(self, container: Container, encoded: bytes, rid: str | None) -> tuple[bytes, str, str, int]:
        """Return an item's JSON with new system properties, its ``_etag``, ``_rid`` and ``_ts``."""
        number = self.sequence.next()
        if rid is None:
            owner = base64.b64decode(container.rid.replace("-", "/"))
            rid = _base64_rid(owner + number.to_bytes(8, "little"))
        etag = etag_of(number)
        ts = int(time.time())
        tail = (
            f',"_rid":"{rid}","_self":"{container.definition["_self"]}docs/{rid}/",'
            f'"_etag":"\\"{etag[1:-1]}\\"","_attachments":"attachments/","_ts":{ts}}}'
        )
        return encoded[:-1] + tail.encode(), etag, rid, ts


def etag_of(number: int) -> str:
    """Return an entity tag as the service writes them, quotes included."""
    digits = f"{number:016x}"
    return f'"{digits[:8]}-{digits[8:12]}-{digits[12:]}-0000-000000000000"'
