"""Requests as the service understands them, and its answers, without HTTP's ways."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import charges
from .store import Container
from .transaction import Operation


@dataclass(slots=True)
class Call:
    """A request, understood.

    Attributes:
        operation: Its name among those that fault rules know.
        container: The container, where items are concerned.
        key: Canonical partition key, or None where the request names none.
        operations: The operations of a batch, or the one operation on an item.
        body: The decoded body of other requests.
    """

    operation: str
    verb: str
    segments: list[str]
    headers: Mapping[str, str]
    container: Container | None = None
    key: str | None = None
    operations: list[Operation] = field(default_factory=list)
    body: Any = None

    def ids(self) -> tuple[str, ...]:
        """Return the ids that the request is about."""
        found: list[str] = []
        for operation in self.operations:
            item_id = operation.id
            if item_id is None and isinstance(operation.body, dict):
                item_id = operation.body.get("id")
            found.append(item_id if isinstance(item_id, str) else "")
        return tuple(found)


@dataclass(slots=True)
class Answer:
    """What is to be sent."""

    status: int
    body: bytes = b""
    charge: float = charges.METADATA
    headers: dict[str, str] = field(default_factory=dict)


def is_true(headers: Mapping[str, str], name: str) -> bool:
    """Tell whether a header says true."""
    return headers.get(name, "").lower() == "true"
