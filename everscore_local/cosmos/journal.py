"""The journal: every accepted write, on disk before it is answered.

One JSON line a request, so that a transactional batch is there wholly or not at all. A line without its
newline is a write that was never answered; it is cut off at start. Lines survive the death of the process,
not of the machine: no write waits for fsync.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from .errors import UserError
from .store import Container, Store, Stored, SystemProperties

FORMAT = 1
_COMPACT_LINE = 100  # items a line when the journal is written anew


class Line(msgspec.Struct, omit_defaults=True):
    """One line.

    ``put`` holds (id, first accepted ms, document), ``gone`` (id, first accepted ms) of deleted items.
    """

    journal: int = 0
    database: dict[str, Any] | None = None
    drop_database: str | None = None
    container: dict[str, Any] | None = None
    owner: str | None = None
    drop_container: str | None = None
    c: str = ""
    pk: str = ""
    put: list[tuple[str, int, msgspec.Raw]] = []
    delete: list[str] = []
    gone: list[tuple[str, int]] = []


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)
_system = msgspec.json.Decoder(SystemProperties)


class Journal:
    """The file ``journal.jsonl`` in the data folder; locked while open."""

    def __init__(self, folder: Path) -> None:
        """Open the file, making it where it is missing.

        Raises:
            UserError: Where the folder cannot be used, or another process uses it.
        """
        self.path = folder / "journal.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UserError(f"The data folder {folder} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise UserError(
                f"The data folder {folder} is in use by another Cosmos stand-in; stop that or choose another."
            ) from error
        self._file = -1

    def load(self, store: Store) -> None:
        """Bring a store to the journal's state, then write the journal anew without what is past.

        Raises:
            UserError: Where the file is damaged before its end, or of a newer format.
        """
        self.path.with_suffix(".new").unlink(missing_ok=True)
        lines = 0
        if self.path.exists():
            data = self.path.read_bytes()
            end = data.rfind(b"\n") + 1
            position = 0
            for raw in data[:end].splitlines(keepends=True):
                try:
                    self._apply(store, _decoder.decode(raw))
                except (msgspec.MsgspecError, KeyError) as error:
                    raise UserError(
                        f"The journal {self.path} is damaged at byte {position}; empty the data folder."
                    ) from error
                position += len(raw)
                lines += 1
        self._compact(store)
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND)

    def append(self, line: Line) -> None:
        """Write one line, or none of it.

        Raises:
            OSError: Where the disk takes no more.
        """
        data = _encoder.encode(line) + b"\n"
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            # Half a line in the middle of the file would make the next start fail.
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise

    def close(self) -> None:
        """Close the file and let go of the folder."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        os.close(self._lock)

    def _apply(self, store: Store, line: Line) -> None:
        if line.journal > FORMAT:
            raise UserError(f"The journal {self.path} was written by a newer version; empty the data folder.")
        if line.database is not None:
            store.add_database(line.database)
        elif line.container is not None and line.owner is not None:
            store.add_container(line.owner, line.container)
        elif line.drop_database is not None:
            store.drop_database(line.drop_database)
        elif line.drop_container is not None:
            store.drop_container(line.drop_container)
        elif line.c:
            container = store.by_rid[line.c]
            container.lsn += 1
            for item_id in line.delete:
                container.remove(line.pk, item_id)
            for item_id, first in line.gone:
                container.gone[(line.pk, item_id)] = first
            for item_id, first, raw in line.put:
                # bytes() makes a copy, so that the whole file is not held by its parts.
                document = bytes(raw)
                system = _system.decode(document)
                container.put(
                    line.pk, item_id, Stored(document, system.etag, system.rid, system.ts, system.ttl, first)
                )
                container.gone.pop((line.pk, item_id), None)

    def _compact(self, store: Store) -> None:
        new = self.path.with_suffix(".new")
        with new.open("wb") as file:
            for line in _lines_of(store):
                file.write(_encoder.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


def _lines_of(store: Store) -> Iterator[Line]:
    yield Line(journal=FORMAT)
    for database in store.databases.values():
        yield Line(database=database.definition)
        for container in database.containers.values():
            yield Line(container=container.definition, owner=database.definition["_rid"])
            yield from _lines_of_container(container)


def _lines_of_container(container: Container) -> Iterator[Line]:
    for (key, item_id), first in container.gone.items():
        yield Line(c=container.rid, pk=key, gone=[(item_id, first)])
    for key, partition in container.partitions.items():
        for chunk in _chunks(partition.items()):
            yield Line(
                c=container.rid,
                pk=key,
                put=[
                    (item_id, stored.accepted_ms, msgspec.Raw(stored.document)) for item_id, stored in chunk
                ],
            )


def _chunks(items: Iterable[tuple[str, Stored]]) -> Iterator[list[tuple[str, Stored]]]:
    chunk: list[tuple[str, Stored]] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == _COMPACT_LINE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
