"""Hubs, their partitions, and who may read them."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from . import key_hash
from .log import Limits, PartitionLog
from .messages import PublishedEvent, bake
from .performatives import LinkRefusedError

_LOG = logging.getLogger(__name__)

DEFAULT_GROUP = "$Default"
MAX_PARTITIONS = 32
"""Partitions of a hub (the service's bound below its premium tier)."""
MAX_READERS = 5
"""Receivers without an owner level per partition and consumer group (the service's bound)."""


class HubError(Exception):
    """A hub that cannot be had as asked for; the text is for the user."""


class Reader(Protocol):
    """A receiver on a partition.

    Attributes:
        owner_level: Its epoch, or None.
    """

    owner_level: int | None

    def wake(self) -> None:
        """There may be something to read."""

    def refuse(self, reason: LinkRefusedError) -> None:
        """Someone else took the partition."""


@dataclass(frozen=True, slots=True)
class HubDefinition:
    """A hub as the user asks for it."""

    name: str
    partitions: int
    groups: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name:partitions[:group[,group]]`.

        Raises:
            HubError: the text is not of that form.
        """
        parts = text.split(":")
        form = f"'{text}' is no hub: expected NAME:PARTITIONS[:GROUP,GROUP], like events:4:everscore"
        if len(parts) not in {2, 3} or not parts[0] or not parts[1].isascii() or not parts[1].isdigit():
            raise HubError(form)
        name, count = parts[0], int(parts[1])
        if not all(letter.isalnum() or letter in "._-" for letter in name) or name.startswith("."):
            raise HubError(f"'{name}' is no hub name: letters, digits, '.', '_' and '-' make one")
        if not 1 <= count <= MAX_PARTITIONS:
            raise HubError(f"hub '{name}' cannot have {count} partitions: 1 to {MAX_PARTITIONS} are possible")
        groups = tuple(group for group in (parts[2].split(",") if len(parts) == 3 else ()) if group)
        return cls(name, count, groups)


class Partition:
    """One partition: its log and its readers."""

    def __init__(self, identifier: str, log: PartitionLog) -> None:
        self.identifier = identifier
        self.log = log
        self._readers: dict[str, list[Reader]] = {}

    def publish(self, events: list[PublishedEvent], now: int) -> None:
        """Append the events of one send, all or none, and tell the readers.

        Raises:
            StorageError: the disk did not take it.
        """
        self.log.append(events, now, bake)
        for readers in self._readers.values():
            for reader in readers:
                reader.wake()

    def admit(self, group: str, reader: Reader) -> None:
        """Let a reader in by the service's rules for owner levels.

        Raises:
            LinkRefusedError: a higher owner level is there, or too many readers are.
        """
        present = self._readers.setdefault(group, [])
        highest = max((other.owner_level for other in present if other.owner_level is not None), default=None)
        level = reader.owner_level
        if highest is not None and (level is None or level < highest):
            raise LinkRefusedError(
                "amqp:link:stolen",
                f"At least one receiver for the endpoint is created with epoch of '{highest}', and so "
                f"{'non-epoch receiver is not allowed' if level is None else f'epoch {level} is too low'}.",
            )
        if level is None:
            if len(present) >= MAX_READERS:
                raise LinkRefusedError(
                    "amqp:resource-limit-exceeded",
                    "Exceeded the maximum number of allowed receivers per partition in a consumer group "
                    f"which is {MAX_READERS}.",
                )
        else:
            stolen = LinkRefusedError(
                "amqp:link:stolen",
                f"New receiver with higher epoch of '{level}' is created hence current receiver "
                f"is getting disconnected.",
            )
            for other in list(present):
                other.refuse(stolen)
            present.clear()
        present.append(reader)

    def leave(self, group: str, reader: Reader) -> None:
        """Let a reader go; one that is gone already is no error."""
        present = self._readers.get(group, [])
        if reader in present:
            present.remove(reader)


class Hub:
    """An event hub.

    Attributes:
        name: As the user wrote it.
        created_at: Milliseconds since 1970; kept on disk.
        partitions: In the order of their ids, "0" first.
        groups: Names of the consumer groups, in lower case.
    """

    def __init__(
        self, definition: HubDefinition, directory: Path, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self.name = definition.name
        self.groups = frozenset(group.casefold() for group in (DEFAULT_GROUP, *definition.groups))
        folder = directory / definition.name.casefold()
        self.created_at = _created_at(folder / "hub.json", definition, int(clock() * 1000))
        self.partitions = [
            Partition(str(index), PartitionLog(folder / str(index), limits))
            for index in range(definition.partitions)
        ]
        self._clock = clock
        self._turn = -1

    def close(self) -> None:
        """Let go of the files."""
        for partition in self.partitions:
            partition.log.close()

    def partition(self, identifier: str) -> Partition:
        """Find a partition.

        Raises:
            LinkRefusedError: there is none of that id.
        """
        for partition in self.partitions:
            if partition.identifier == identifier:
                return partition
        raise LinkRefusedError(
            "com.microsoft:argument-out-of-range",
            f"The specified partition is invalid for an EventHub partition sender or receiver. "
            f"It should be between 0 and {len(self.partitions) - 1}, not '{identifier}'.",
        )

    def choose(self, key: str | None) -> Partition:
        """Choose a partition for events: by their key, or each in its turn."""
        count = len(self.partitions)
        if key is not None:
            return self.partitions[key_hash.partition_of(key, count)]
        self._turn = (self._turn + 1) % count
        return self.partitions[self._turn]

    def expire(self) -> None:
        """Delete what retention no longer keeps."""
        now = int(self._clock() * 1000)
        for partition in self.partitions:
            gone = partition.log.expire(now)
            if gone:
                _LOG.info("%s/%s: %d events are past retention", self.name, partition.identifier, gone)


def _created_at(path: Path, definition: HubDefinition, now: int) -> int:
    """Read when the hub was made, or make it now.

    Raises:
        HubError: it was made with another number of partitions, or its record is unreadable.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".new")
        unfinished.write_text(
            json.dumps({"schema": 1, "createdAt": now, "partitions": definition.partitions})
        )
        unfinished.replace(path)
        return now
    try:
        record = json.loads(path.read_text())
        created_at, partitions = int(record["createdAt"]), int(record["partitions"])
    except (ValueError, KeyError, TypeError) as error:
        raise HubError(f"{path} is unreadable; empty the data folder to make the hub anew") from error
    if partitions != definition.partitions:
        raise HubError(
            f"hub '{definition.name}' was made with {partitions} partitions, not {definition.partitions}: "
            f"ask for {partitions}, or empty {path.parent} to make it anew"
        )
    return created_at


@dataclass
class Namespace:
    """All hubs of the server, and the keys to them.

    Attributes:
        keys: Key values by name.
        hubs: By name in lower case.
        clock: Seconds since 1970.
    """

    keys: dict[str, str]
    hubs: dict[str, Hub] = field(default_factory=dict)
    clock: Callable[[], float] = time.time

    def hub(self, name: str) -> Hub:
        """Find a hub.

        Raises:
            LinkRefusedError: there is none of that name.
        """
        found = self.hubs.get(name.casefold())
        if found is None:
            raise LinkRefusedError(
                "amqp:not-found",
                f"The messaging entity '{name}' could not be found. Hubs here: {self._names()}.",
            )
        return found

    def _names(self) -> str:
        return ", ".join(sorted(hub.name for hub in self.hubs.values())) or "none"

    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self.clock() * 1000)
