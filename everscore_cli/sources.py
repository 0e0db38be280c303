"""Where the events to send come from: JSON lines of a file or of stdin.

Bodies that are no JSON are taken as they are: the lines of a file, or files as a whole.
"""

from __future__ import annotations

import asyncio
import codecs
import concurrent.futures
import gzip
import json
import os
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

from everscore_cli.errors import CliError

CHUNK_LINES = 2_000
_SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_STDIN = 0
_READ_BYTES = 1 << 20
_CHUNKS_AHEAD = 4
_FILES_AT_ONCE = 100


class Raw(StrEnum):
    """What is one body, where bodies are not looked into."""

    LINES = "lines"
    FILES = "files"


class Line(NamedTuple):
    """One event as its source has it.

    Attributes:
        number: of its line, from 1; of whole files, its place among them, from 1.
        body: the exact bytes, without the line's end.
        value: what they say; None where they are not looked into, or hold what Python cannot (`_value`).
    """

    number: int
    body: bytes
    value: Any


def read_chunks(source: str, *, strict: bool = True) -> Iterator[list[Line]]:
    """The events of a JSON-lines file, or of stdin for ``-``, some at a time. Empty lines are left out.

    So is a byte order mark at the beginning: it is the file's, and no event's.

    A file gives as many as there are, up to `CHUNK_LINES`; stdin whatever whole lines have come.

    Args:
        source: the file's name, or ``-``.
        strict: whether a line that is no JSON ends the reading; else it is given, without a value.

    Raises:
        CliError: no such file, another format, with ``strict`` a line that is no JSON (the events before it
            were given), or no event at all.
    """
    label = "stdin" if source == "-" else source
    empty = True
    for first, bodies in _bodies(source, label, _open_json):
        if first == 1 and bodies and not (encoding := json.detect_encoding(bodies[0])).startswith("utf-8"):
            raise CliError(f"{label} is {encoding[:6].upper()}: save it as UTF-8.")
        chunk: list[Line] = []
        for number, line in enumerate(bodies, first):
            body = line.strip()
            if not body:
                continue
            try:
                chunk.append(Line(number, body, _value(body)))
            except ValueError as error:
                if not strict:
                    chunk.append(Line(number, body, None))
                    continue
                if chunk:
                    yield chunk
                raise CliError(f"{label}, line {number} is not {_lower(str(error))}.") from error
        if chunk:
            empty = False
            yield chunk
    if empty:
        raise CliError(f"{label} is empty: expected one JSON value a line.")


def _value(body: bytes) -> Any:
    """What a body says; None of one that only Python cannot hold: nested too deep, a number of 4,300 digits.

    Such a body is sent like any other: what becomes of it is for the app to say.

    Raises:
        ValueError: it is not JSON; the text goes on from "it is not".
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Python's own parser takes half a surrogate pair, written as \\ud800, which JSON allows.
        pass
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ValueError(f"UTF-8: byte {error.start + 1} of it is {body[error.start]:#04x}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"JSON: {_lower(error.msg)} at character {error.pos + 1}") from error
    except _ConstantError as error:
        raise ValueError(f"JSON: it holds {error}") from error
    except (RecursionError, ValueError):
        return None


class _ConstantError(Exception):
    """NaN or an infinity, which JSON does not have."""


def _no_constant(text: str) -> Any:
    raise _ConstantError(text)


def read_raw_lines(source: str) -> Iterator[list[Line]]:
    """The lines of a file of whatever name (.gz is unpacked), or of stdin for ``-``, as they are.

    Empty lines are left out, and so is a byte order mark at the beginning.

    Raises:
        CliError: no such file, or no line at all.
    """
    label = "stdin" if source == "-" else source
    empty = True
    for first, bodies in _bodies(source, label, _open_any):
        lines = (line.removesuffix(b"\n").removesuffix(b"\r") for line in bodies)
        if chunk := [Line(number, body, None) for number, body in enumerate(lines, first) if body]:
            empty = False
            yield chunk
    if empty:
        raise CliError(f"{label} is empty: expected one event a line.")


def read_raw_files(files: Sequence[str]) -> Iterator[list[Line]]:
    """Each file's bytes, or those of stdin for ``-``, as the body of one event.

    Raises:
        CliError: a file cannot be read, or is empty.
    """
    for begin in range(0, len(files), _FILES_AT_ONCE):
        some = files[begin : begin + _FILES_AT_ONCE]
        yield [Line(number, _whole(name), None) for number, name in enumerate(some, begin + 1)]


def _whole(name: str) -> bytes:
    try:
        body = b"".join(_stdin_pieces()) if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CliError(f"{name} cannot be read: {_lower(error.strerror or str(error))}.") from error
    if not body:
        raise CliError(f"{'stdin' if name == '-' else name} is empty: expected the body of an event.")
    return body


async def chunks(reading: Iterator[list[Line]]) -> AsyncIterator[list[Line]]:
    """What one of these readers gives, read in a thread, a few chunks ahead.

    Raises:
        CliError: as the reader says.
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
    threading.Thread(target=_produce, args=(reading, hand_over), daemon=True).start()
    while True:
        item = await queue.get()
        if item is None:
            return
        if isinstance(item, Exception):
            raise item
        yield item


def _produce(
    reading: Iterator[list[Line]], hand_over: Callable[[list[Line] | Exception | None], None]
) -> None:
    try:
        try:
            for chunk in reading:
                hand_over(chunk)
            hand_over(None)
        except Exception as error:  # noqa: BLE001 - raised by whoever waits for the chunks, else for ever
            hand_over(error)
    except concurrent.futures.CancelledError:
        return  # enough was read


def _bodies(source: str, label: str, open_: Callable[[str], IO[bytes]]) -> Iterator[tuple[int, list[bytes]]]:
    """Lines, some at a time, with the number of the first."""
    number = 1
    lines = _stdin_lines() if source == "-" else _file_lines(source, label, open_)
    for some in lines:
        if number == 1 and some:
            some[0] = some[0].removeprefix(codecs.BOM_UTF8)
        yield number, some
        number += len(some)


def _stdin_pieces() -> Iterator[bytes]:
    # The descriptor itself: a buffered reader waits until its buffer is full, and holds a lock at exit.
    try:
        while data := os.read(_STDIN, _READ_BYTES):
            yield data
    except OSError as error:  # closed, or a folder
        raise CliError(f"stdin cannot be read: {_lower(error.strerror or str(error))}.") from error


def _stdin_lines() -> Iterator[list[bytes]]:
    rest = b""
    for data in _stdin_pieces():
        *whole, rest = (rest + data).split(b"\n")
        for begin in range(0, len(whole), CHUNK_LINES):
            yield whole[begin : begin + CHUNK_LINES]
    if rest:
        yield [rest]


def _file_lines(source: str, label: str, open_: Callable[[str], IO[bytes]]) -> Iterator[list[bytes]]:
    try:
        with open_(source) as file:
            some: list[bytes] = []
            for line in file:
                some.append(line)
                if len(some) == CHUNK_LINES:
                    yield some
                    some = []
            yield some
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CliError(f"{label} is not a whole gzip file: {_lower(str(error))}.") from error
    except OSError as error:
        raise CliError(f"{label} cannot be read: {_lower(error.strerror or str(error))}.") from error


def _open_json(source: str) -> IO[bytes]:
    path = Path(source)
    if not path.name.endswith(_SUFFIXES):
        raise CliError(
            f"{source} has an unknown format ({path.suffix or 'no extension'}): expected JSON lines in a "
            f"file that ends in {', '.join(_SUFFIXES)}, or - for stdin, or a table in .csv, .tsv or .parquet "
            "(docs/events.md sends what is none of these)."
        )
    return _open_any(source)


def _open_any(source: str) -> IO[bytes]:
    path = Path(source)
    return cast("IO[bytes]", gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))


def _lower(text: str) -> str:
    first = text[:1] if text[:2].isupper() else text[:1].lower()  # "JSON" stays as it is
    return first + text[1:].rstrip(".")
