"""Fixtures: the Event Hubs server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stand_ins.eventhubs.support import SHARED_HUBS, Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tests share: each uses its own hub."""
    hubs = ("events:4:everscore", *(f"{name}:1:everscore" for name in SHARED_HUBS))
    running = Server(tmp_path_factory.mktemp("eventhubs") / "data", hubs=hubs)
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log
