"""Answering an attach: which link there is at an address, and who may have it."""

from __future__ import annotations

from functools import partial

from . import codec, management, performatives
from .links import MAX_MESSAGE_SIZE, Ends, Link, Publisher, Subscriber
from .messages import Request
from .nodes import Kind, Node, parse_address, start_of
from .performatives import LinkRefusedError, ProtocolError
from .requests import RequestLink, ResponseLink
from .session import Session

_EPOCH = "com.microsoft:epoch"
_UNSETTLED, _SETTLED, _MIXED = 0, 1, 2
_RUNTIME_METRICS = "com.microsoft:enable-receiver-runtime-metric"


def _terminus(value: object, length: int) -> list[object]:
    """Give a source's or target's fields, padded; senders may leave out any of them, or all."""
    fields = list(value.value) if isinstance(value, codec.Described) and isinstance(value.value, list) else []
    return fields + [None] * (length - len(fields))


def attach(session: Session, fields: list[object]) -> None:
    """Answer an attach: with a link, or with a link closed at once with the reason.

    Raises:
        ProtocolError: the attach itself is malformed.
    """
    name, handle, peer_receives = fields[0], fields[1], bool(fields[2])
    if not isinstance(name, str) or not isinstance(handle, int) or handle > performatives.HANDLE_MAX:
        raise ProtocolError("amqp:invalid-field", "attach needs a name and a handle")
    if handle in session.links:
        raise ProtocolError("amqp:session:handle-in-use", f"handle {handle} is in use")
    # What this side sends is settled; a peer that sends does as it likes.
    asked = _MIXED if fields[3] is None else fields[3]
    if not isinstance(asked, int) or not _UNSETTLED <= asked <= _MIXED:
        raise ProtocolError("amqp:invalid-field", "attach has no such settle mode")
    settle_mode = _SETTLED if peer_receives else asked
    source, target = _terminus(fields[5], 11), _terminus(fields[6], 7)

    def reply(*, is_refused: bool = False) -> None:
        session.send(
            performatives.attach(
                session.channel,
                handle,
                name,
                sender=peer_receives,
                source=str(source[0] or ""),
                target=str(target[0] or ""),
                settle_mode=settle_mode,
                max_message_size=MAX_MESSAGE_SIZE,
                is_refused=is_refused,
            )
        )

    try:
        if peer_receives:
            node = parse_address(source[0])
            link = _sending_link(session, Ends(session, handle, name, node), source, target, fields)
        else:
            node = parse_address(target[0])
            link = _receiving_link(session, Ends(session, handle, name, node), fields)
    except LinkRefusedError as error:
        reply(is_refused=True)
        problem = performatives.error(error.condition, str(error))
        session.send(performatives.detach(session.channel, handle, problem))
        return
    session.links[handle] = link
    reply()
    link.on_attached()


def _authorise(session: Session, node: Node) -> None:
    if not session.connection.is_granted(node.path):
        raise LinkRefusedError(
            "amqp:unauthorized-access",
            f"Unauthorized access. No valid token was put for '{node.path}' on this connection.",
        )


def _sending_link(
    session: Session, ends: Ends, source: list[object], target: list[object], fields: list[object]
) -> Link:
    node = ends.node
    if node.kind in {Kind.CBS, Kind.MANAGEMENT}:
        return ResponseLink(ends, str(target[0] or ""))
    if node.kind is not Kind.SUBSCRIPTION:
        raise LinkRefusedError("amqp:not-found", f"nothing can be received from '{node.path}'")
    _authorise(session, node)
    hub = session.namespace.hub(node.hub)
    if node.group not in hub.groups:
        raise LinkRefusedError(
            "amqp:not-found",
            f"The messaging entity '{hub.name}/ConsumerGroups/{node.group}' could not be found.",
        )
    partition = hub.partition(node.partition)
    properties = fields[13] if isinstance(fields[13], dict) else {}
    epoch = properties.get(_EPOCH)
    desired = fields[12] if isinstance(fields[12], list) else [fields[12]]
    subscriber = Subscriber(
        ends,
        partition,
        start_of(source[7], partition),
        owner_level=epoch if isinstance(epoch, int) else None,
        wants_metrics=_RUNTIME_METRICS in desired,
    )
    partition.admit(node.group, subscriber)
    return subscriber


def _receiving_link(session: Session, ends: Ends, fields: list[object]) -> Link:
    node = ends.node
    count = fields[9] if isinstance(fields[9], int) else 0
    match node.kind:
        case Kind.CBS:
            return RequestLink(ends, count, partial(_put_token, session))
        case Kind.MANAGEMENT:
            return RequestLink(ends, count, partial(_read, session))
        case Kind.HUB:
            _authorise(session, node)
            hub = session.namespace.hub(node.hub)
            partition = hub.partition(node.partition) if node.partition else None
            return Publisher(ends, count, hub, partition)
    raise LinkRefusedError("amqp:not-found", f"nothing can be sent to '{node.path}'")


def _put_token(session: Session, request: Request) -> bytes:
    return management.put_token(session.namespace, request, session.connection.grant)


def _read(session: Session, request: Request) -> bytes:
    return management.read(session.namespace, request, session.connection.is_granted)
