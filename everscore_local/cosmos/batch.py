"""Batches: the transactional one, and the list of single operations that other SDKs call bulk."""

from collections.abc import Callable

import msgspec

from . import charges, rules
from .errors import ServiceError
from .store import Container, Store
from .transaction import Operation, Outcome, Transaction

FAILED_DEPENDENCY = b'{"statusCode":424,"requestCharge":0}'


def encode_outcome(outcome: Outcome, *, minimal: bool, is_read: bool) -> bytes:
    """Return an operation's entry in the answer."""
    parts = [b'{"statusCode":%d,"requestCharge":%.2f' % (outcome.status, outcome.charge)]
    if outcome.etag is not None:
        parts.append(b',"eTag":' + msgspec.json.encode(outcome.etag))
    if outcome.document is not None and (is_read or not minimal):
        parts.append(b',"resourceBody":' + outcome.document)
    parts.append(b"}")
    return b"".join(parts)


def encode_refusal(error: ServiceError) -> bytes:
    """Return the entry of an operation that failed."""
    entry: dict[str, object] = {"statusCode": error.status, "requestCharge": charges.REFUSED}
    if error.substatus:
        entry["subStatusCode"] = error.substatus
    if error.retry_after_ms is not None:
        entry["retryAfterMilliseconds"] = error.retry_after_ms
    return msgspec.json.encode(entry)


def encode_failure(count: int, guilty: int, error: ServiceError) -> bytes:
    """Return the body of a transactional batch that failed: one guilty operation, 424 for the others."""
    entries = [FAILED_DEPENDENCY] * count
    entries[guilty] = encode_refusal(error)
    return b"[" + b",".join(entries) + b"]"


def run_atomic(
    transaction: Transaction, operations: list[Operation], *, minimal: bool
) -> tuple[int, bytes, float]:
    """Decide all operations of a transactional batch; nothing is committed here.

    Returns:
        The HTTP status (200, or 207 where one failed), the body and the charge.
    """
    entries: list[bytes] = []
    charge = 0.0
    size = 0
    for index, operation in enumerate(operations):
        try:
            outcome = transaction.run(operation)
        except ServiceError as error:
            return 207, encode_failure(len(operations), index, error), charge + charges.REFUSED
        charge += outcome.charge
        entry = encode_outcome(outcome, minimal=minimal, is_read=operation.type == "Read")
        size += len(entry)
        if operation.type == "Read" and size > rules.MAX_RESPONSE_BYTES:
            too_large = ServiceError(413, "The response would be larger than 4 MB.", substatus=3402)
            return 207, encode_failure(len(operations), index, too_large), charge
        entries.append(entry)
    return 200, b"[" + b",".join(entries) + b"]", charge


def run_each(
    store: Store,
    container: Container,
    key: str | None,
    operations: list[Operation],
    commit: Callable[[Transaction, Container, str], None],
    *,
    minimal: bool,
) -> tuple[int, bytes, float]:
    """Carry out each operation by itself; each names its own partition key.

    Args:
        store: Where the container is.
        container: What the operations are about.
        key: Canonical partition key of those that name none.
        operations: What is asked for.
        commit: Makes the change of one operation, on a partition key, last and be seen.
        minimal: Whether the answer leaves out the documents that were written.

    Returns:
        The HTTP status (200, or 207 where one failed), the body and the charge.
    """
    entries: list[bytes] = []
    charge = 0.0
    status = 200
    for operation in operations:
        try:
            own = key
            if operation.partition_key is not None:
                own = rules.read_key_header(operation.partition_key, len(container.paths))
            if own is None:
                raise ServiceError(400, "PartitionKey value must be supplied for this operation.")  # noqa: TRY301
            transaction = Transaction(store, container, own)
            outcome = transaction.run(operation)
            commit(transaction, container, own)
        except ServiceError as error:
            status = 207
            charge += charges.REFUSED
            entries.append(encode_refusal(error))
        else:
            charge += outcome.charge
            entries.append(encode_outcome(outcome, minimal=minimal, is_read=operation.type == "Read"))
    return status, b"[" + b",".join(entries) + b"]", charge
