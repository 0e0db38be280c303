"""R20: CERTIFICATE_VERIFY_FAILED against the Cosmos DB emulator.

Condition: a certificate that nobody vouches for.
Right: unchecked only on this machine, where the SDK itself leaves it so; under any other name the connection is
refused, the sentence says what to do, and the events wait in the queue.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from everscore.config.settings import load_settings
from everscore.event.item import Item
from everscore.failures import Configuration, Failure, SettingError
from everscore.flow.score_events import RetryState
from everscore.watch.summary import Summary
from everscore_local.endpoints import COSMOS_KEY
from tests.fakes import source_of
from tests.support.flights import bodies
from tests.support.services import Services


def _context(folder: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "emulator")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


@pytest.fixture
def requests_seen() -> list[str]:
    """Paths of the requests that got through to the server."""
    return []


@pytest.fixture
async def port(tmp_path: Path, requests_seen: list[str]) -> AsyncIterator[int]:
    """Port of a server with such a certificate, for as long as the test runs."""

    async def answer(request: web.Request) -> web.Response:
        requests_seen.append(request.path)
        return web.json_response({})

    server = web.Application()
    server.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_context(tmp_path)).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
def name_elsewhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """A host name that is not this machine's, and leads to it."""
    look_up = socket.getaddrinfo

    def find(host: Any, *rest: Any, **options: Any) -> Any:
        return look_up("127.0.0.1" if host == "cosmos.example" else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", find)
    return "cosmos.example"


async def _score(
    services: Services, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> tuple[Summary, Failure | None]:
    """Two events with a store at that address: what became of them, and what the health check says."""
    cosmos = f"AccountEndpoint={endpoint};AccountKey={COSMOS_KEY};"
    for name, value in services.settings(COSMOS=cosmos).items():
        monkeypatch.setenv(name, value)
    from function_app import runtime

    app: Any = runtime.get()
    try:
        items = [Item(body=each, source=source_of(number)) for number, each in enumerate(bodies(1, 2))]
        summary: Summary = await app.pipeline.score_events(items, RetryState(endless=True))
        try:
            await app.store.check()
        except Failure as failure:
            return summary, failure
    finally:
        await runtime.close()
    return summary, None


async def test_under_another_name_such_a_server_is_refused_with_a_hint(
    services: Services,
    port: int,
    requests_seen: list[str],
    name_elsewhere: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No request reaches it, the events wait in the queue, and one line says what to do."""
    summary, failure = await _score(services, monkeypatch, f"https://{name_elsewhere}:{port}/")
    assert summary.queued == 2
    assert requests_seen == []
    assert isinstance(failure, Configuration)
    assert failure.reason == "certificate not trusted"
    assert "an emulator on this machine" in failure.detail
    assert "\n" not in str(failure)


async def test_on_this_machine_an_emulators_certificate_is_no_hindrance(
    services: Services, port: int, requests_seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests to 127.0.0.1 get through, so that an emulator with https works without importing its certificate."""
    await _score(services, monkeypatch, f"https://127.0.0.1:{port}/")
    assert requests_seen


def test_plain_http_is_for_this_machine_alone(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account elsewhere is never reached without a certificate that was checked."""
    settings = services.settings(COSMOS=f"AccountEndpoint=http://cosmos.example/;AccountKey={COSMOS_KEY};")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match="expected https:// for any other machine"):
        load_settings().cosmos_connection()
