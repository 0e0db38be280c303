"""Operations on items of one partition key, decided in memory and then written at once."""

import time
from dataclasses import dataclass
from typing import Any

import msgspec

from . import charges, rules
from .errors import ServiceError
from .journal import Journal, Line
from .patch import apply_patch
from .store import Container, Store, Stored


class Operation(msgspec.Struct):
    """One operation, as it stands in the body of a batch."""

    type: str = msgspec.field(name="operationType", default="")
    id: Any = None
    body: Any = msgspec.field(name="resourceBody", default=None)
    if_match: str | None = msgspec.field(name="ifMatch", default=None)
    if_none_match: str | None = msgspec.field(name="ifNoneMatch", default=None)
    partition_key: str | None = msgspec.field(name="partitionKey", default=None)


@dataclass(slots=True)
class Outcome:
    """What an operation that was not refused has to answer."""

    status: int
    charge: float
    etag: str | None = None
    document: bytes | None = None


class Transaction:
    """Collects the changes of one request; nothing is visible before ``commit``."""

    def __init__(self, store: Store, container: Container, key: str) -> None:
        self._store = store
        self._container = container
        self._key = key
        self._changes: dict[str, Stored | None] = {}
        self.first_writes = 0

    @property
    def writes(self) -> int:
        """How many items change."""
        return len(self._changes)

    def run(self, operation: Operation) -> Outcome:
        """Decide one operation on top of those before it.

        Raises:
            ServiceError: The refusal.
        """
        match operation.type:
            case "Create":
                return self._create(operation)
            case "Upsert":
                return self._upsert(operation)
            case "Replace":
                return self._replace(operation)
            case "Delete":
                return self._delete(operation)
            case "Read":
                return self._read(operation)
            case "Patch":
                return self._patch(operation)
            case _:
                raise ServiceError(400, f"The operation type '{operation.type}' is not known.")

    def commit(self, journal: Journal, now_ms: int) -> tuple[list[bytes], list[str]]:
        """Journal the changes, then make them visible.

        Returns:
            The documents that were put and the ``_rid`` of those that were deleted.
        """
        if not self._changes:
            return [], []
        container, key = self._container, self._key
        put: list[tuple[str, int, msgspec.Raw]] = []
        delete: list[str] = []
        for item_id, stored in self._changes.items():
            if stored is None:
                delete.append(item_id)
                continue
            if not stored.accepted_ms:
                stored.accepted_ms = self._first_accepted(item_id, now_ms)
            put.append((item_id, stored.accepted_ms, msgspec.Raw(stored.document)))
        journal.append(Line(c=container.rid, pk=key, put=put, delete=delete))
        documents: list[bytes] = []
        removed: list[str] = []
        for item_id, stored in self._changes.items():
            old = container.partitions.get(key, {}).get(item_id)
            # Also where an item was deleted and created in one batch, or took the place of an expired one.
            if old is not None and (stored is None or stored.rid != old.rid):
                removed.append(old.rid)
            if stored is None:
                container.remove(key, item_id)
            else:
                container.put(key, item_id, stored)
                container.gone.pop((key, item_id), None)
                documents.append(stored.document)
        container.lsn += 1
        return documents, removed

    def _first_accepted(self, item_id: str, now_ms: int) -> int:
        partition = self._container.partitions.get(self._key)
        old = partition.get(item_id) if partition is not None else None
        if old is not None:
            return old.accepted_ms
        earlier = self._container.gone.get((self._key, item_id))
        if earlier is not None:
            return earlier
        self.first_writes += 1
        return now_ms

    def _current(self, item_id: str) -> Stored | None:
        if item_id in self._changes:
            return self._changes[item_id]
        return self._container.get(self._key, item_id)

    def _existing(self, item_id: Any) -> Stored:
        stored = self._current(item_id) if isinstance(item_id, str) else None
        if stored is None:
            raise ServiceError(404)
        return stored

    def _encode(self, body: Any) -> tuple[str, bytes]:
        encoded = rules.encode_item(body)
        if rules.key_of_item(body, self._container.paths) != self._key:
            raise ServiceError(
                400,
                "PartitionKey extracted from document doesn't match the one specified in the header.",
                substatus=1001,
            )
        return body["id"], encoded

    def _write(self, item_id: str, body: Any, encoded: bytes, old: Stored | None, status: int) -> Outcome:
        document, etag, rid, ts = self._store.document(self._container, encoded, old.rid if old else None)
        ttl = body.get("ttl")
        self._changes[item_id] = Stored(document, etag, rid, ts, ttl, 0)
        charge = charges.write(len(document), replaces=old is not None)
        return Outcome(status, charge, etag, document)

    def _create(self, operation: Operation) -> Outcome:
        item_id, encoded = self._encode(operation.body)
        if self._current(item_id) is not None:
            raise ServiceError(409)
        return self._write(item_id, operation.body, encoded, None, 201)

    def _upsert(self, operation: Operation) -> Outcome:
        item_id, encoded = self._encode(operation.body)
        old = self._current(item_id)
        if old is not None:
            _check_tags(operation, old)
        return self._write(item_id, operation.body, encoded, old, 200 if old else 201)

    def _replace(self, operation: Operation) -> Outcome:
        old = self._existing(operation.id)
        item_id, encoded = self._encode(operation.body)
        if item_id != operation.id:
            raise ServiceError(400, "The id of the document is not the one that the request names.")
        _check_tags(operation, old)
        return self._write(item_id, operation.body, encoded, old, 200)

    def _delete(self, operation: Operation) -> Outcome:
        old = self._existing(operation.id)
        _check_tags(operation, old)
        self._changes[operation.id] = None
        return Outcome(204, charges.write(len(old.document), replaces=False))

    def _read(self, operation: Operation) -> Outcome:
        stored = self._existing(operation.id)
        charge = charges.read(len(stored.document))
        if operation.if_none_match is not None and operation.if_none_match in (stored.etag, "*"):
            return Outcome(304, charge, stored.etag)
        return Outcome(200, charge, stored.etag, stored.document)

    def _patch(self, operation: Operation) -> Outcome:
        old = self._existing(operation.id)
        _check_tags(operation, old)
        body = apply_patch(msgspec.json.decode(old.document), operation.body)
        body = rules.round_integers(body)
        item_id, encoded = self._encode(body)
        if item_id != operation.id:
            raise ServiceError(400, "A patch cannot change the id.")
        return self._write(item_id, body, encoded, old, 200)


def _check_tags(operation: Operation, old: Stored) -> None:
    """Raise 412 where the conditions of the request are not met."""
    if operation.if_match is not None and operation.if_match not in (old.etag, "*"):
        raise ServiceError(412)
    if operation.if_none_match is not None and operation.if_none_match in (old.etag, "*"):
        raise ServiceError(412)


def now_ms() -> int:
    """Return the time in ms since 1970."""
    return time.time_ns() // 1_000_000
