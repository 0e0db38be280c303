"""An event out of an AMQP message, or the refusal with which the real client would meet it.

Source: AmqpAnnotatedMessageConverter.cs of azure-sdk-for-net. Where the Python SDK cannot decode a message at
all it raises before it comes here.
"""

from typing import Any

from .event_hub_data import ReceivedEvent

_SEQUENCE, _OFFSET = b"x-opt-sequence-number", b"x-opt-offset"
_ENQUEUED, _KEY = b"x-opt-enqueued-time", b"x-opt-partition-key"
_KNOWN = {_SEQUENCE, _OFFSET, _ENQUEUED, _KEY}


def event_of(message: Any) -> ReceivedEvent:
    """Return the event.

    Raises:
        TypeError: a property or annotation is an AMQP map, or a data section no bytes.
    """
    annotations = message.message_annotations or {}
    properties = message.application_properties or {}
    key = annotations.get(_KEY)
    foreign = len(annotations) > (3 if key is None else 4)
    for name, value in (*properties.items(), *(annotations.items() if foreign else ())):
        if isinstance(value, dict):
            # The .NET client raises SerializationException for it in the receive.
            raise TypeError(f"property {_named(name)} is an AMQP map")
    return ReceivedEvent(
        _body(message),
        annotations[_SEQUENCE],
        annotations[_OFFSET].decode(),
        annotations[_ENQUEUED],
        None if key is None else key.decode("utf-8", "replace"),
        properties,
        _system_properties(message, annotations if foreign else {}),
    )


def _body(message: Any) -> bytes | None:
    sections = message.data
    if sections is not None:
        return sections[0] or b"" if len(sections) == 1 else b"".join(part or b"" for part in sections)
    return b"" if message.value is None and not message.sequence else None


def _named(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _system_properties(message: Any, annotations: dict[Any, Any]) -> dict[str, Any]:
    extra = {key: value for key, value in annotations.items() if key not in _KNOWN}
    if message.properties is not None:
        for name, value in message.properties._asdict().items():
            if value is not None:
                extra[name.replace("_", "-")] = value
    return extra
