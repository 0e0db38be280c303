"""`everscore deadletters purge --settled` decodes letters as the app does."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from everscore.adapters.blobs import Letter
from everscore.config.settings import load_settings
from everscore.event.item import Item
from everscore.retry.dead_letter import DeadLetter, encode_dead_letter
from everscore_cli.project import Target, local_values
from everscore_cli.settled_letters import comparer
from tests.fakes import source_of
from tests.support.app import copy_app
from tests.support.services import ROOT

SOURCE = source_of(1)
FLIGHT = {"id": "x", "carrier": "UA", "date": "2013-12-31", "time": "2013-12-31T23:58:00-05:00"}


class Container:
    """A store that holds the event of the letter, under its partition key."""

    async def query_items(
        self, _query: str, *, parameters: list[dict[str, Any]], partition_key: str
    ) -> AsyncIterator[dict[str, Any]]:
        assert (parameters[0]["value"], partition_key) == ("x", "UA|2013-12-31")
        source = msgspec.to_builtins(SOURCE)
        yield {"time": "2014-01-01T04:58:00.000000Z", "source": source, "fingerprint": "f"}


class Blobs:
    """One letter whose body the own decoder alone can read, one that is none, and one that has gone."""

    async def get_dead_letter(self, name: str) -> bytes | None:
        item = Item(
            body=b"x;" + json.dumps(FLIGHT).encode(), source=SOURCE, stage="decode", reason="not JSON"
        )
        letter = encode_dead_letter(DeadLetter(item=item, failed_at="2026-11-25T10:30:00.000Z"))
        return {"own": letter, "none": b"hello"}.get(name)


@pytest.mark.parametrize(("decoder", "chosen"), [("own_lines:decode", ["own"]), ("", [])])
async def test_letters_are_read_with_the_own_decoder(tmp_path: Path, monkeypatch, decoder, chosen) -> None:
    """A letter of a body that is no JSON is settled where DECODER reads it and its event is stored; else it stays."""
    app = copy_app(tmp_path / "app")
    (app / "own_lines.py").write_text(
        "import json\ndef decode(bodies):\n    return [json.loads(body.partition(b';')[2]) for body in bodies]\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_lines", raising=False)
    variables = {**local_values(ROOT / "local.settings.example.json"), "DECODER": decoder}
    target = Target(app, tmp_path, None, variables, load_settings({**variables, "DECODER": ""}))
    letter = Letter("own", "decode", "not JSON", "", "", 1)
    letters = [replace(letter, name=name) for name in ("gone", "own", "none")]
    compared: list[int] = []
    found = await comparer(target, Container()).choose(Blobs(), letters, compared.append)  # type: ignore[arg-type]
    assert [each.name for each in found] == chosen
    assert compared == [3]
