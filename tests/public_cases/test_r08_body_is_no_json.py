"""R08: with cardinality many, one body that is no JSON fails the binding of the whole batch.

Condition: a body 'hello' or a CSV line in a batch, no data type declared; the checkpoint still moves.
Right: the trigger declares binary data; each event is decoded by itself; what is undecodable is a dead letter
with its exact bytes and the reason, and its neighbours are scored.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from everscore_local.functions.event_hub_data import BindingFailedError, build_many
from tests.support.app import SOURCE, copy_app, received, worker
from tests.support.flights import bodies
from tests.support.read_back import dead_letters, documents
from tests.support.services import Services


async def test_text_that_is_no_json_stops_no_neighbour(tmp_path: Path, services: Services) -> None:
    """The batch that fails to bind without a data type is scored, but for what is no JSON in it."""
    bad = [b"hello", b"UA,1545,EWR,2013-09-01", b"\x80\x81\xfe", b'{"id": "x"', b"NaN"]
    events = received(*bodies(1), *bad, *bodies(*range(2, 10)))
    with pytest.raises(BindingFailedError):
        build_many(events, "events", "", SOURCE)
    async with worker(copy_app(tmp_path / "app"), services.settings()) as running:
        assert (await running.score(events)).error is None
    assert {each["event"]["flight"] for each in documents(services)} == set(range(1, 10))
    letters = dead_letters(services)
    assert sorted(letter["body"] for letter in letters) == sorted(bad)
    assert {letter["item"]["stage"] for letter in letters} == {"decode"}
    assert all(letter["item"]["reason"] and letter["item"]["exception"] for letter in letters)
