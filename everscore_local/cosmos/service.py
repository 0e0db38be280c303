"""What the service answers to requests about items."""

import time
from collections.abc import Mapping

import msgspec

from . import charges, planning, rules
from .batch import run_atomic, run_each
from .calls import Answer, Call, is_true
from .engine import Engine
from .errors import ServiceError
from .journal import Journal
from .metadata import Metadata
from .store import Container, Store
from .transaction import Operation, Transaction, now_ms

_DEFAULT_PAGE = 1000
_operations = msgspec.json.Decoder(list[Operation])


class Service:
    """Reads and changes the store; every change is in the journal before it is answered."""

    def __init__(self, store: Store, journal: Journal, engine: Engine, endpoint: str | None = None) -> None:
        """Take the parts; ``endpoint`` is what the metadata names, None: where a client asks."""
        self.store = store
        self._journal = journal
        self._engine = engine
        self.metadata = Metadata(store, journal, engine, endpoint)
        self.accepted_writes = 0
        self.first_writes = 0

    def understand(self, verb: str, segments: list[str], headers: Mapping[str, str], raw: bytes) -> Call:
        """Return what a request asks for.

        Raises:
            ServiceError: 400, 404, 413 for what is refused before anything is looked at.
        """
        if len(segments) < 5 or segments[4] != "docs" or segments[0] != "dbs" or segments[2] != "colls":
            body = rules.decode_json(raw) if raw else None
            return Call("metadata" if segments else "account", verb, segments, headers, body=body)
        container = self._container(segments[1], segments[3])
        intended = headers.get("x-ms-cosmos-intended-collection-rid")
        if intended and intended != container.rid:
            raise ServiceError(400, "The container was deleted and created again.", substatus=1024)
        header = headers.get("x-ms-documentdb-partitionkey")
        key = None if header is None else rules.read_key_header(header, len(container.paths))
        call = Call("read", verb, segments, headers, container, key)
        if len(segments) == 5:
            self._understand_feed(call, raw)
        elif len(segments) == 6:
            self._understand_item(call, raw)
        else:
            raise ServiceError(404, "The stand-in has no such resource.")
        return call

    def _container(self, database: str, name: str) -> Container:
        try:
            return self.store.container(database, name)
        except ServiceError as error:
            # For requests within it the missing container is the owner, which the sub-status says.
            raise ServiceError(404, error.message, substatus=1003) from error

    def _understand_feed(self, call: Call, raw: bytes) -> None:
        headers = call.headers
        if call.verb == "GET":
            if "a-im" in headers:
                raise ServiceError(400, "The stand-in has no change feed.")
            call.operation, call.body = "query", {"query": "SELECT * FROM c"}
        elif call.verb != "POST":
            raise ServiceError(405, f"{call.verb} is not allowed here.")
        elif is_true(headers, "x-ms-cosmos-is-query-plan-request"):
            call.operation, call.body = "metadata", rules.decode_json(raw)
        elif (
            is_true(headers, "x-ms-documentdb-isquery")
            or headers.get("content-type") == "application/query+json"
        ):
            call.operation, call.body = "query", rules.decode_json(raw)
            if not isinstance(call.body, dict) or not isinstance(call.body.get("query"), str):
                raise ServiceError(400, "The body of a query needs 'query'.")
        elif is_true(headers, "x-ms-cosmos-is-batch-request"):
            call.operation, call.operations = "batch", _read_batch(raw)
        else:
            name = "Upsert" if is_true(headers, "x-ms-documentdb-is-upsert") else "Create"
            call.operation = name.lower()
            call.operations = [_single(name, None, headers, raw)]

    def _understand_item(self, call: Call, raw: bytes) -> None:
        names = {"GET": "Read", "PUT": "Replace", "DELETE": "Delete", "PATCH": "Patch"}
        name = names.get(call.verb)
        if name is None:
            raise ServiceError(405, f"{call.verb} is not allowed here.")
        call.operation = name.lower()
        call.operations = [_single(name, call.segments[5], call.headers, raw)]

    async def carry_out(self, call: Call) -> Answer:
        """Do what a request asks for.

        Raises:
            ServiceError: The refusal.
        """
        if call.container is None or call.operation == "metadata":
            return self.metadata.answer(call)
        if call.operation == "query":
            return await self._query(call, call.container)
        if call.operation == "batch":
            return self._batch(call, call.container)
        return self._item(call, call.container)

    def _item(self, call: Call, container: Container) -> Answer:
        operation = call.operations[0]
        key = call.key
        if key is None:
            if not isinstance(operation.body, dict) or call.operation not in ("create", "upsert"):
                raise ServiceError(400, "PartitionKey value must be supplied for this operation.")
            key = rules.key_of_item(operation.body, container.paths)
        transaction = Transaction(self.store, container, key)
        outcome = transaction.run(operation)
        self.commit(transaction, container, key)
        body = outcome.document or b""
        if call.operation not in ("read", "delete") and _minimal(call.headers):
            body = b""
        headers = {"etag": outcome.etag} if outcome.etag else {}
        return Answer(outcome.status, body, outcome.charge, headers)

    def commit(self, transaction: Transaction, container: Container, key: str) -> None:
        """Make the changes of a transaction last and be seen."""
        put, removed = transaction.commit(self._journal, now_ms())
        if removed:
            self._engine.remove(container, key, removed)
        if put:
            self._engine.put(container, key, put)
        self.accepted_writes += transaction.writes
        self.first_writes += transaction.first_writes

    def drop_expired(self, container: Container) -> None:
        """Remove the items whose time to live is over.

        This is not journaled: after a restart they are as expired as before.
        """
        if not container.can_expire:
            return
        now = time.time()
        expired = [
            (key, item_id) for key, item_id, stored in container.items() if container.expired(stored, now)
        ]
        for key, item_id in expired:
            old = container.remove(key, item_id)
            if old is not None:
                self._engine.remove(container, key, [old.rid])

    def _batch(self, call: Call, container: Container) -> Answer:
        minimal = _minimal(call.headers)
        if not is_true(call.headers, "x-ms-cosmos-batch-atomic"):
            status, body, charge = run_each(
                self.store, container, call.key, call.operations, self.commit, minimal=minimal
            )
            return Answer(status, body, charge)
        if call.key is None:
            raise ServiceError(400, "PartitionKey value must be supplied for this operation.")
        transaction = Transaction(self.store, container, call.key)
        status, body, charge = run_atomic(transaction, call.operations, minimal=minimal)
        if status == 200:
            self.commit(transaction, container, call.key)
        return Answer(status, body, charge)

    async def _query(self, call: Call, container: Container) -> Answer:
        headers = call.headers
        ranged = "x-ms-documentdb-partitionkeyrangeid" in headers
        if headers.get("x-ms-start-epk", "") not in ("", "00") or headers.get("x-ms-end-epk", "FF") != "FF":
            raise ServiceError(400, "The stand-in has one physical partition and no ranges within it.")
        crosses = is_true(headers, "x-ms-documentdb-query-enablecrosspartition")
        if call.key is None and not (ranged or crosses or call.verb == "GET"):
            raise ServiceError(
                400,
                "Cross partition query is required but disabled. Please set"
                " x-ms-documentdb-query-enablecrosspartition to true, specify"
                " x-ms-documentdb-partitionkey, or revise your query to avoid this exception.",
            )
        if call.key is None and not ranged:
            planning.check_direct(call.body["query"])
        try:
            max_items = int(headers.get("x-ms-max-item-count", "-1"))
        except ValueError as error:
            raise ServiceError(400, "x-ms-max-item-count is no number.") from error
        self.drop_expired(container)
        page = await self._engine.query(
            container,
            call.key,
            call.body,
            max_items if max_items > 0 else _DEFAULT_PAGE,
            headers.get("x-ms-continuation") or None,
        )
        body = b'{"_rid":"%b","Documents":%b,"_count":%d}' % (
            container.rid.encode(),
            page.documents,
            page.count,
        )
        answer = Answer(200, body, charges.query(len(body)), {"x-ms-item-count": str(page.count)})
        if page.continuation:
            answer.headers["x-ms-continuation"] = page.continuation
        return answer


def _minimal(headers: Mapping[str, str]) -> bool:
    return "return=minimal" in headers.get("prefer", "").lower()


def _single(name: str, item_id: str | None, headers: Mapping[str, str], raw: bytes) -> Operation:
    operation = Operation(name, item_id, None, headers.get("if-match"), headers.get("if-none-match"))
    if name in ("Read", "Delete"):
        return operation
    if len(raw) > rules.MAX_REQUEST_BYTES:
        raise ServiceError(413)
    body = rules.decode_json(raw)
    operation.body = rules.round_integers(body) if rules.has_long_number(raw) else body
    return operation


def _read_batch(raw: bytes) -> list[Operation]:
    if len(raw) > rules.MAX_REQUEST_BYTES:
        raise ServiceError(413)
    try:
        operations = _operations.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ServiceError(400, f"The request payload is invalid. ({error})") from error
    if not operations:
        raise ServiceError(400, "Batch request has no operations.")
    if len(operations) > rules.MAX_BATCH_OPERATIONS:
        raise ServiceError(
            400, f"Batch request has more operations than what is supported ({rules.MAX_BATCH_OPERATIONS})."
        )
    if rules.has_long_number(raw):
        for operation in operations:
            operation.body = rules.round_integers(operation.body)
    return operations
