"""Where the events to send come from: JSON lines of a file or of stdin; the flights are such a file."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gzip
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

from everscore_cli.errors import CliError

CHUNK_LINES = 2_000
_SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_STDIN = 0
_READ_BYTES = 1 << 20
_CHUNKS_AHEAD = 4


class Line(NamedTuple):
    """One event as its source has it.

    Attributes:
        number: its line, from 1.
        body: the exact bytes, without the line's end.
        value: what they say.
    """

    number: int
    body: bytes
    value: Any


def read_chunks(source: str) -> Iterator[list[Line]]:
    """The events of a JSON-lines file, or of stdin for ``-``, some at a time. Empty lines are left out.

    A file gives as many as there are, up to `CHUNK_LINES`; stdin whatever whole lines have come.

    Raises:
        CliError: no such file, another format, a line that is no JSON (the events before it were given), or
            no event at all.
    """
    label = "stdin" if source == "-" else source
    empty = True
    for first, bodies in _bodies(source, label):
        chunk: list[Line] = []
        for number, line in enumerate(bodies, first):
            body = line.strip()
            if not body:
                continue
            try:
                chunk.append(Line(number, body, msgspec.json.decode(body)))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                if chunk:
                    yield chunk
                raise CliError(f"{label}, line {number} is not JSON: {_lower(str(error))}.") from error
        if chunk:
            empty = False
            yield chunk
    if empty:
        raise CliError(f"{label} is empty: expected one JSON value a line.")


async def chunks(source: str) -> AsyncIterator[list[Line]]:
    """`read_chunks` in a thread, a few chunks ahead.

    Raises:
        CliError: see `read_chunks`.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[list[Line] | Exception | None] = asyncio.Queue(_CHUNKS_AHEAD)

    def hand_over(item: list[Line] | Exception | None) -> None:
        put = queue.put(item)
        try:
            asyncio.run_coroutine_threadsafe(put, loop).result()
        except RuntimeError as error:  # the loop is closed
            put.close()
            raise concurrent.futures.CancelledError from error

    # A daemon: nothing waits for it when it waits for a terminal.
    threading.Thread(target=_produce, args=(source, hand_over), daemon=True).start()
    while True:
        item = await queue.get()
        if item is None:
            return
        if isinstance(item, Exception):
            raise item
        yield item


def _produce(source: str, hand_over: Callable[[list[Line] | Exception | None], None]) -> None:
    try:
        for chunk in read_chunks(source):
            hand_over(chunk)
        hand_over(None)
    except CliError as error:
        with contextlib.suppress(concurrent.futures.CancelledError):
            hand_over(error)
    except concurrent.futures.CancelledError:
        return  # enough was read


def _bodies(source: str, label: str) -> Iterator[tuple[int, list[bytes]]]:
    """Lines, some at a time, with the number of the first."""
    number = 1
    lines = _stdin_lines() if source == "-" else _file_lines(source, label)
    for some in lines:
        yield number, some
        number += len(some)


def _stdin_lines() -> Iterator[list[bytes]]:
    rest = b""
    # The descriptor itself: a buffered reader waits until its buffer is full, and holds a lock at exit.
    while data := os.read(_STDIN, _READ_BYTES):
        *whole, rest = (rest + data).split(b"\n")
        for begin in range(0, len(whole), CHUNK_LINES):
            yield whole[begin : begin + CHUNK_LINES]
    if rest:
        yield [rest]


def _file_lines(source: str, label: str) -> Iterator[list[bytes]]:
    path = Path(source)
    if not path.name.endswith(_SUFFIXES):
        raise CliError(
            f"{source} has an unknown format ({path.suffix or 'no extension'}): expected JSON lines in a "
            f"file that ends in {', '.join(_SUFFIXES)}, or - for stdin (docs/events.md makes them of CSV)."
        )
    try:
        with _open(path) as file:
            some: list[bytes] = []
            for line in file:
                some.append(line)
                if len(some) == CHUNK_LINES:
                    yield some
                    some = []
            yield some
    except (gzip.BadGzipFile, EOFError) as error:
        raise CliError(f"{label} is not a whole gzip file: {_lower(str(error))}.") from error
    except OSError as error:
        raise CliError(f"{label} cannot be read: {_lower(error.strerror or str(error))}.") from error


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))


def _lower(text: str) -> str:
    first = text[:1] if text[:2].isupper() else text[:1].lower()  # "JSON" stays as it is
    return first + text[1:].rstrip(".")
