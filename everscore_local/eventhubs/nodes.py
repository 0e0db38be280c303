"""Addresses of links, and the filter that says where a receiver starts."""

import logging
import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from . import codec
from .hub import Partition
from .log import InvalidPositionError
from .performatives import LinkRefusedError
from .sas import resource_path

_LOG = logging.getLogger(__name__)

_FILTER = re.compile(
    r"^\s*amqp\.annotation\.(x-opt-offset|x-opt-sequence-number|x-opt-enqueued-time(?:-utc)?)"
    r"\s*(>=?)\s*'?(@latest|-?\d+)'?\s*$"
)
_SELECTOR = "apache.org:selector-filter:string"


class Kind(Enum):
    """What a link is for."""

    CBS = "cbs"
    MANAGEMENT = "management"
    HUB = "hub"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class Node:
    """Where a link goes.

    Attributes:
        kind: What is there.
        path: The whole path in lower case, as tokens are checked against it.
        hub: Name of the hub; empty for `$cbs` and the bare `$management`.
        partition: Id of the partition, or empty.
        group: Name of the consumer group in lower case, or empty.
    """

    kind: Kind
    path: str
    hub: str = ""
    partition: str = ""
    group: str = ""

    @property
    def needs_token(self) -> bool:
        """Whether a link to it needs a token of its own."""
        return self.kind in {Kind.HUB, Kind.SUBSCRIPTION}


def parse_address(address: object) -> Node:
    """Read an address, with or without scheme and host; letters match in either case.

    Raises:
        LinkRefusedError: nothing can be at such an address.
    """
    path = resource_path(unquote(str(address or "")))
    match path.split("/"):
        case ["$cbs"]:
            return Node(Kind.CBS, path)
        case ["$management"]:
            return Node(Kind.MANAGEMENT, path)
        case [hub, "$management"]:
            return Node(Kind.MANAGEMENT, path, hub)
        case [hub] if hub:
            return Node(Kind.HUB, path, hub)
        case [hub, "partitions", partition]:
            return Node(Kind.HUB, path, hub, partition)
        case [hub, "consumergroups", group, "partitions", partition]:
            return Node(Kind.SUBSCRIPTION, path, hub, partition, group)
    raise LinkRefusedError("amqp:not-found", f"The messaging entity '{path}' could not be found.")


def start_of(filters: object, partition: Partition) -> int:
    """Find the sequence number that a receiver starts at; without a filter, the oldest event.

    Raises:
        LinkRefusedError: the filter is not understood, names a place never reached, or the disk fails.
    """
    log = partition.log
    selector = None
    if isinstance(filters, dict):
        found = filters.get(_SELECTOR)
        selector = found.value if isinstance(found, codec.Described) else found
    if selector is None:
        return log.begin_sequence
    text = selector.decode(errors="replace") if isinstance(selector, bytes) else str(selector)
    match = _FILTER.match(text)
    if match is None or (match[3] == "@latest" and match[1] != "x-opt-offset"):
        raise LinkRefusedError(
            "com.microsoft:argument-error",
            f"The filter '{text}' is not a valid amqp filter for EventHub entities",
        )
    if match[3] == "@latest":
        return log.next_sequence
    value, inclusive = int(match[3]), match[2] == ">="
    try:
        if match[1] == "x-opt-sequence-number":
            return log.from_sequence(value, inclusive=inclusive)
        if match[1] == "x-opt-offset":
            return log.from_offset(value, inclusive=inclusive)
        return log.from_time(value - 1 if inclusive else value)
    except InvalidPositionError as error:
        raise LinkRefusedError("com.microsoft:argument-error", str(error)) from error
    except OSError as error:
        raise unreadable(partition, error) from error


def unreadable(partition: Partition, error: OSError) -> LinkRefusedError:
    """Give what a receiver is told, and tries again, when its partition's files cannot be read."""
    _LOG.error("Partition %s cannot be read: %s", partition.identifier, error)
    return LinkRefusedError(
        "com.microsoft:server-busy",
        f"Partition {partition.identifier} cannot be read: {error.strerror}.",
    )
