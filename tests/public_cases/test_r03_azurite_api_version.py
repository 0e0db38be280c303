"""R03: the storage emulator refuses every call with HTTP 400, since the SDK is newer than it.

Condition: an azure-storage package newer than Azurite, and no --skipApiVersionCheck.
Right: one line says what to do; the stack and compose.yaml start Azurite with the option; such an answer is
never counted against an event. (tests/adapters shows the line against an Azurite without the option.)
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import psutil
import yaml
from aiohttp import web

from everscore_local.azurite import connection_string
from tests.support.app import copy_app, received, worker
from tests.support.flights import bodies
from tests.support.read_back import documents
from tests.support.services import ROOT, Services, part

REFUSED = """<?xml version="1.0" encoding="UTF-8"?><Error><Code>InvalidHeaderValue</Code><Message>The API version
2026-10-06 is not supported by Azurite. Please upgrade Azurite to latest version and retry.</Message></Error>"""


async def test_the_refusal_is_one_line_and_no_fault_of_the_event(tmp_path: Path, services: Services) -> None:
    """With such an Azurite a bad event is held, not lost or counted as poison; good ones are stored; health says why."""

    async def refuse(_request: web.Request) -> web.Response:
        headers = {"x-ms-error-code": "InvalidHeaderValue"}
        return web.Response(status=400, text=REFUSED, content_type="application/xml", headers=headers)

    server = web.Application()
    server.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(server)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        there = connection_string(port, port)
        settings = services.settings(STORAGE=there, AzureWebJobsStorage=there)
        async with worker(copy_app(tmp_path / "app"), settings) as running:
            result = await running.score(received(*bodies(1), b"bad"))
            _, report = await running.details()
    finally:
        await runner.cleanup()
    assert result.error is not None
    assert "NoPlaceAnswersError: no destination takes 1 events" in result.error
    assert len(documents(services)) == 1
    for check in ("queue", "blobs"):
        detail = report["checks"][check]["detail"]
        assert "start Azurite with --skipApiVersionCheck" in detail
        assert "\n" not in detail


def test_azurite_is_started_with_the_option() -> None:
    """The local stack's Azurite and that of compose.yaml skip the check."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert "--skipApiVersionCheck" in compose["services"]["azurite"]["command"]
    with tempfile.TemporaryDirectory() as folder:
        ports = ("--blob-port", "0", "--queue-port", "0")
        with part("azurite", Path(folder), *ports) as running:
            commands = [child.cmdline() for child in psutil.Process(running.pid).children(recursive=True)]
    assert ["--skipApiVersionCheck" in command for command in commands] == [True]
