"""What `everscore send` reads ends with the events, or with a sentence, and never without a word."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from azure.eventhub.exceptions import ConnectionLostError

from everscore_cli import sources
from everscore_cli.commands import send
from everscore_cli.errors import CliError
from everscore_cli.producer import Outgoing
from everscore_cli.project import Target
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


class Hub:
    """A hub that takes two events and then no more."""

    def __init__(self, error: BaseException) -> None:
        self._error, self.took = error, 0

    async def send(self, events: Sequence[Outgoing]) -> None:
        if self.took == 2:
            raise self._error
        self.took += len(events)


@pytest.mark.parametrize("error", [ConnectionLostError("gone"), asyncio.CancelledError()])
async def test_a_send_that_is_cut_off_says_how_to_go_on(monkeypatch, capsys, error) -> None:
    """Where the hub goes away or the user presses Ctrl-C, the count of what was sent and --skip are told."""
    hub = Hub(error)

    @asynccontextmanager
    async def sender(_: object) -> AsyncIterator[Hub]:
        yield hub

    monkeypatch.setattr(send, "sender", sender)
    monkeypatch.setattr(send, "_place", lambda _: "hub")
    lines = [[Line(number, b"1", 1)] for number in range(1, 9)]
    rules = send._Rules(lambda _: None, None)
    target = Target(Path(), Path(), None, {}, None)  # type: ignore[arg-type]
    with pytest.raises((CliError, asyncio.CancelledError)) as raised:
        await send._send(target, iter(lines), rules, count=None, skip=3, rate=None)
    told = "Sent before that: 2 events. Continue with --skip 5."
    assert told in (str(raised.value) if isinstance(raised.value, CliError) else capsys.readouterr().err)
    assert isinstance(raised.value, CliError) is isinstance(error, ConnectionLostError)
