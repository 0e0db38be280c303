"""Queue messages as the real host hands them to the worker, and their encoding.

Sources: QueueTriggerBinding.cs, QueueServiceClientProvider.cs. Times without a value read as the largest
.NET time; the body in BINARY form never meets the metadata (a JSON body in text form is merged over it).
"""

import base64
import binascii
import json
from datetime import datetime
from typing import Any

from azure.storage.queue import QueueMessage

from .executor import Trigger

# Convert.FromBase64String passes over these.
_WHITE_SPACE = dict.fromkeys(map(ord, " \t\r\n"))
_MAX_TIME = "9999-12-31T23:59:59.9999999+00:00"


class NotBase64Error(Exception):
    """The text of a message is not base64 although messageEncoding says so."""


def decode(text: str, encoding: str) -> bytes:
    """Return the body of a message from the text in which it is stored.

    Raises:
        NotBase64Error: the function cannot be given this message.
    """
    if encoding == "none":
        return text.encode()
    try:
        return base64.b64decode(text.translate(_WHITE_SPACE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotBase64Error(str(error)) from error


def encode(body: bytes, encoding: str) -> str:
    """Return the text in which a body is stored.

    Raises:
        UnicodeDecodeError: encoding none and a body that is no text.
    """
    return base64.b64encode(body).decode("ascii") if encoding == "base64" else body.decode()


def build(message: QueueMessage, body: bytes, name: str, data_type: str) -> Trigger:
    """Return the trigger data of one message."""
    try:
        text: str | None = body.decode()
    except UnicodeDecodeError:
        text = None
    metadata: dict[str, tuple[str, Any]] = {
        "Id": ("string", message.id),
        "PopReceipt": ("string", message.pop_receipt),
        "DequeueCount": ("json", str(message.dequeue_count)),
        "ExpirationTime": ("json", _time(message.expires_on)),
        "InsertionTime": ("json", _time(message.inserted_on)),
        "NextVisibleTime": ("json", _time(message.next_visible_on)),
    }
    if text is not None:
        metadata["QueueTrigger"] = ("string", text)
    if data_type == "BINARY":
        return Trigger([(name, "bytes", body)], _fields(metadata))
    if text is None:
        return Trigger(
            [], [], "Exception binding parameter: the message is not UTF-8 and the trigger is not BINARY"
        )
    return Trigger([(name, "string", text)], _fields(_merged(metadata, text)))


def _merged(metadata: dict[str, tuple[str, Any]], text: str) -> dict[str, tuple[str, Any]]:
    """Lay the properties of a JSON body over the metadata, ignoring case, as the real host does."""
    try:
        body = json.loads(text)
        if not isinstance(body, dict):
            return metadata
        names = {name.casefold(): name for name in metadata}
        merged = dict(metadata)
        properties: dict[str, Any] = body
        for key, value in properties.items():
            if isinstance(value, list) or value is None:
                continue
            kind = ("string", value) if isinstance(value, str) else ("json", json.dumps(value))
            merged[names.get(key.casefold(), key)] = kind
    except (ValueError, RecursionError):  # no JSON, or nested by the thousand
        return metadata
    return merged


def _fields(metadata: dict[str, tuple[str, Any]]) -> list[tuple[str, str | None, Any]]:
    return [(name, kind, value) for name, (kind, value) in metadata.items()]


def _time(value: datetime | None) -> str:
    return f'"{value.isoformat()}"' if value is not None else f'"{_MAX_TIME}"'
