"""What `everscore send` reads ends with the events, or with a sentence, and never without a word."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from everscore_cli import sources
from everscore_cli.errors import CliError
from everscore_cli.sources import Line, chunks, read_chunks, read_raw_files


async def test_whatever_stops_the_reader_reaches_who_waits() -> None:
    """An exception that nobody foresaw in the reading thread is raised after the chunks before it."""

    def reading() -> Iterator[list[Line]]:
        yield [Line(1, b"1", 1)]
        raise ZeroDivisionError

    found = chunks(reading())
    assert await anext(found) == [Line(1, b"1", 1)]
    with pytest.raises(ZeroDivisionError):
        await anext(found)


@pytest.mark.parametrize("read", [lambda: read_chunks("-"), lambda: read_raw_files(["-"])])
def test_a_folder_as_standard_input_is_one_sentence(tmp_path, monkeypatch, read) -> None:
    """Where standard input cannot be read, as with `send - < folder`, the sentence says why."""
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        monkeypatch.setattr(sources, "_STDIN", folder)
        with pytest.raises(CliError, match="stdin cannot be read: is a directory"):
            list(read())
    finally:
        os.close(folder)
