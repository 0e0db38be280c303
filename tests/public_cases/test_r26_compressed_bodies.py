"""R26: a compressed body is corrupted: bytes that are no UTF-8 become EF BF BD.

Condition: a gzip body, and a trigger that takes bodies as text.
Right: binary data; gzip is recognised by its first bytes and unpacked within a bound; a corrupt body is kept
byte for byte.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from everscore_local.functions.event_hub_data import build_many
from tests.support.app import SOURCE, copy_app, received, worker
from tests.support.flights import body, flight
from tests.support.read_back import dead_letters, documents
from tests.support.services import Services


async def test_gzip_is_read_and_what_is_corrupt_is_kept(tmp_path: Path, services: Services) -> None:
    """Packed events are stored as their content; corrupt, truncated and exploding ones are kept as they came."""
    packed = gzip.compress(body(flight(1)), mtime=0)
    members = gzip.compress(body(flight(2))[:40], mtime=0) + gzip.compress(body(flight(2))[40:], mtime=0)
    corrupt = {
        b"\x1f\x8b\x08\xff": "gzip corrupt",
        packed[:-4]: "gzip truncated",
        packed[:12] + b"\xff" * 30: "gzip corrupt",
        gzip.compress(b" " * 3_000_000, mtime=0): "decompressed too large",
    }
    events = received(packed, *corrupt, members)
    text = build_many(events, "events", "STRING", SOURCE).inputs[0][2][0].encode()
    assert text != packed  # what R26 reports: as text the body would be destroyed before the app sees it
    settings = services.settings(DECOMPRESSED_LIMIT_MIB="1")
    async with worker(copy_app(tmp_path / "app"), settings) as running:
        assert (await running.score(events)).error is None
    assert {each["event"]["flight"] for each in documents(services)} == {1, 2}
    found = {letter["body"]: letter["item"]["reason"] for letter in dead_letters(services)}
    assert found == corrupt
