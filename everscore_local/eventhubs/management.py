"""What `$cbs` and `$management` answer.

Source: the requests and the answers that Microsoft's SDKs send and read.
"""

import logging
from collections.abc import Callable

from . import codec, messages, sas
from .hub import Hub, Namespace, Partition
from .performatives import LinkRefusedError

_LOG = logging.getLogger(__name__)

_STATUS_BY_CONDITION = {"amqp:not-found": 404, "com.microsoft:argument-out-of-range": 400}


def put_token(
    namespace: Namespace, request: messages.Request, on_grant: Callable[[sas.Grant], None]
) -> bytes:
    """Answer a `put-token`: 202 and a grant, or 401."""
    properties = request.properties
    if properties.get("operation") != "put-token":
        return _status(request, 400, f"unknown operation {properties.get('operation')!r}")
    try:
        grant = _check(namespace, request)
    except sas.TokenError as error:
        _LOG.warning("A token was refused: %s", error)
        return _status(request, 401, str(error))
    on_grant(grant)
    return _status(request, 202, "Accepted")


def _check(namespace: Namespace, request: messages.Request) -> sas.Grant:
    token = request.body.decode(errors="replace") if isinstance(request.body, bytes) else request.body
    if not isinstance(token, str) or request.properties.get("type") != "servicebus.windows.net:sastoken":
        raise sas.TokenError("InvalidToken: only shared access signatures are taken here")
    now = namespace.clock()
    grant = sas.check(token, namespace.keys, now)
    if not grant.covers(sas.resource_path(str(request.properties.get("name") or "")), now):
        raise sas.TokenError("InvalidAudience: the token is for another resource")
    return grant


def read(namespace: Namespace, request: messages.Request, is_granted: Callable[[str], bool]) -> bytes:
    """Answer a READ of a hub's or a partition's properties."""
    properties = request.properties
    name = str(properties.get("name") or "")
    if properties.get("operation") != "READ":
        return _status(request, 400, f"unknown operation {properties.get('operation')!r}")
    if not is_granted(name) and not _has_token(namespace, properties.get("security_token"), name):
        return _status(request, 401, f"Unauthorized access. 'Listen' claim(s) are required for '{name}'.")
    try:
        hub = namespace.hub(name)
        if properties.get("type") == "com.microsoft:eventhub":
            return _answer(request, 200, "OK", body=_hub_properties(hub))
        if properties.get("type") == "com.microsoft:partition":
            partition = hub.partition(str(properties.get("partition")))
            return _answer(request, 200, "OK", body=_partition_properties(hub, partition))
    except LinkRefusedError as error:
        return _status(request, _STATUS_BY_CONDITION[error.condition], str(error), error.condition)
    return _status(request, 400, f"unknown type {properties.get('type')!r}")


def _has_token(namespace: Namespace, token: object, path: str) -> bool:
    text = token.decode(errors="replace") if isinstance(token, bytes) else token
    if not isinstance(text, str):
        return False
    now = namespace.clock()
    try:
        return sas.check(text, namespace.keys, now).covers(path, now)
    except sas.TokenError:
        return False


def _hub_properties(hub: Hub) -> bytes:
    identifiers = [partition.identifier for partition in hub.partitions]
    return codec.mapping(
        (codec.string(name), value)
        for name, value in (
            ("name", codec.string(hub.name)),
            ("type", codec.string("com.microsoft:eventhub")),
            ("created_at", codec.timestamp(hub.created_at)),
            ("partition_count", codec.int32(len(identifiers))),
            ("partition_ids", codec.strings(identifiers)),
        )
    )


def _partition_properties(hub: Hub, partition: Partition) -> bytes:
    log = partition.log
    return codec.mapping(
        (codec.string(name), value)
        for name, value in (
            ("name", codec.string(hub.name)),
            ("type", codec.string("com.microsoft:partition")),
            ("partition", codec.string(partition.identifier)),
            ("begin_sequence_number", codec.int64(log.begin_sequence)),
            ("last_enqueued_sequence_number", codec.int64(log.next_sequence - 1)),
            ("last_enqueued_offset", codec.string(str(log.last_offset))),
            ("last_enqueued_time_utc", codec.timestamp(log.last_time)),
            ("is_partition_empty", codec.boolean(log.is_empty)),
        )
    )


def _status(request: messages.Request, code: int, description: str, condition: str = "") -> bytes:
    return _answer(request, code, description, condition=condition)


def _answer(
    request: messages.Request, code: int, description: str, *, body: bytes = codec.NULL, condition: str = ""
) -> bytes:
    properties = {
        "status-code": codec.int32(code),
        "status-description": codec.string(description),
        "statusDescription": codec.string(description),
    }
    if condition:
        properties["error-condition"] = codec.symbol(condition)
    return messages.response(request.message_id, properties, body)
