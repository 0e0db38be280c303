"""--env azd: the command works on what azd deployed."""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from everscore_cli import environments, project
from everscore_cli.commands.partition import restart_command
from tests.support.cli import cli_in
from tests.support.services import ROOT

# As azd writes what infra/main.bicep gives out.
ENV = """\
AZURE_ENV_NAME="my-dev"
EVENTHUB__fullyQualifiedNamespace="evhns-x.servicebus.windows.net"
COSMOS__accountEndpoint="https://cosmos-x.documents.azure.com:443/"
STORAGE__blobServiceUri="https://stx.blob.core.windows.net/"
STORAGE__queueServiceUri="https://stx.queue.core.windows.net/"
EVENTHUB_NAME="events"
EVENTHUB_CONSUMER_GROUP="everscore"
COSMOS_DATABASE="everscore"
COSMOS_CONTAINER="events"
RETRY_QUEUE="events-retry"
DEADLETTER_CONTAINER="dead-letters"
CLAIMCHECK_CONTAINER="claim-checks"
"""


@pytest.fixture
def cli(tmp_path):
    """The command in an app beside which azd keeps an environment."""
    with cli_in(tmp_path) as cli:
        (cli.app / ".azure" / "my-dev").mkdir(parents=True)
        (cli.app / ".azure" / "config.json").write_text(json.dumps({"defaultEnvironment": "my-dev"}))
        (cli.app / ".azure" / "my-dev" / ".env").write_text(ENV)
        yield cli


@pytest.mark.parametrize("env", ["azd", "azd:my-dev"])
def test_settings_are_those_of_the_deployment(cli, monkeypatch, env) -> None:
    """No key of the laptop is used, whether from local.settings.json or the environment."""
    monkeypatch.chdir(cli.app)
    monkeypatch.setenv(environments.VARIABLE, env)
    monkeypatch.setenv("STORAGE", "UseDevelopmentStorage=true")
    monkeypatch.setenv("COSMOS__clientId", "the app's own")
    target = project.target()
    assert target.stack is None
    for connection in (
        target.settings.eventhub_connection(),
        target.settings.cosmos_connection(),
        target.settings.storage_connection(),
    ):
        assert connection.connection_string == ""
        assert connection.client_id is None
    assert target.settings.storage_connection().endpoints["queue"] == "https://stx.queue.core.windows.net/"
    assert not (cli.app / "local.settings.json").exists()


def test_hole_49_the_function_app_is_restarted_by_its_names(cli, monkeypatch) -> None:
    """Hole 49: what azd knows of the deployment makes the command that `partition skip` prints."""
    with (cli.app / ".azure" / "my-dev" / ".env").open("a") as env:
        env.write('AZURE_RESOURCE_GROUP="rg-my-dev"\nEVERSCORE_FUNCTION_APP="func-x"\n')
        env.write('AZURE_SUBSCRIPTION_ID="00112233-4455-6677-8899-aabbccddeeff"\n')
    monkeypatch.chdir(cli.app)
    monkeypatch.setenv(environments.VARIABLE, "azd")
    assert restart_command(project.target().variables) == (
        "az functionapp restart --name func-x --resource-group rg-my-dev "
        "--subscription 00112233-4455-6677-8899-aabbccddeeff"
    )


def test_mistakes_are_one_sentence(cli) -> None:
    """An unknown environment, one without a deployment, and commands of the local stack say so."""
    cli.run("status", "--env", "prod", code=1)
    assert "--env prod is no environment" in cli.said
    cli.run("--env=azd:gone", "status", code=1)
    assert "azd has no environment gone" in cli.said
    (cli.app / ".azure" / "my-dev" / ".env").write_text('AZURE_ENV_NAME="my-dev"\n')
    cli.run("deadletters", "list", "--env", "azd", code=1)
    assert "Nothing was deployed from the azd environment my-dev yet" in cli.said
    cli.run("up", "--env", "azd", code=1)
    assert "`everscore up` is about the local stack" in cli.said
    (cli.app / ".azure" / "config.json").unlink()
    cli.run("query", "--env", "azd", code=1)
    assert "azd has no default environment" in cli.said


@pytest.mark.parametrize("command", ["query", "deadletters list"])
def test_whoever_is_not_signed_in_is_told_how(cli, tmp_path, command) -> None:
    """Without a token no service is asked: one sentence, whichever client would have asked."""
    cli.environment |= {"PATH": str(tmp_path), "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential"}
    cli.run(*command.split(), "--env", "azd", code=1)
    assert cli.said == (
        "error Azure gives no token to whoever is not signed in: type `az login` or `azd auth login`, and try again.\n"
    )


@pytest.mark.parametrize("command", ["deadletters --help", "deadletters list --no-such-option", "logs"])
def test_a_command_that_needs_nothing_of_azure_asks_for_nothing(cli, tmp_path, command) -> None:
    """Help, wrong usage and commands of the laptop look for no environment, and no login."""
    (cli.app / ".azure" / "config.json").unlink()
    cli.environment |= {"PATH": str(tmp_path), "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential"}
    cli.run(*command.split(), "--env", "azd", code={"--help": 0, "logs": 1}.get(command.split()[-1], 2))
    assert "azd has no" not in cli.said
    assert "az login" not in cli.said


LISTING = """<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults ServiceEndpoint="https://localhost/" ContainerName="dead-letters"><Blobs><Blob>
<Name>2013/09/01/05/events-0-7-0.json</Name><Properties><Last-Modified>Sun, 01 Sep 2013 05:00:00 GMT</Last-Modified>
<Etag>0x1</Etag><Content-Length>2</Content-Length><BlobType>BlockBlob</BlobType></Properties><Metadata>
<stage>decode</stage><reason>empty body</reason><failedat>2013-09-01T05:00:00.000Z</failedat></Metadata>
</Blob></Blobs><NextMarker /></EnumerationResults>"""


class Blobs(http.server.BaseHTTPRequestHandler):
    """Blobs as Azure serves them, by HTTPS and to whoever has the right token."""

    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self):
        """Answer a listing, or refuse."""
        self.seen.append((self.path, self.headers["Authorization"]))
        right = self.headers["Authorization"] == "Bearer token-of-the-operator"
        body = LISTING.encode() if right else b""
        self.send_response(200 if right else 403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def blobs(tmp_path):
    """Such a server: its address, and the file of the certificate that it shows."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now, day = datetime.now(UTC), timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "certificate.pem"
    file.write_bytes(certificate.public_bytes(encoding) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    Blobs.seen.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Blobs) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"https://localhost:{server.server_port}/", file
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("token", "code"), [("token-of-the-operator", 0), ("token-of-a-stranger", 1)])
def test_the_operators_token_opens_the_services(cli, tmp_path, blobs, token, code) -> None:
    """From azd's environment by az's token over TLS to a dead letter; another's token is refused, and it says why."""
    address, certificate = blobs
    environment = cli.app / ".azure" / "my-dev" / ".env"
    environment.write_text(ENV.replace("https://stx.blob.core.windows.net/", address))
    az = tmp_path / "az"
    answer = {"accessToken": token, "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4_070_908_800}
    az.write_text(
        f"#!{sys.executable}\nimport sys\nprint({json.dumps(answer)!r})\nprint(sys.argv, file=sys.stderr)\n"
    )
    az.chmod(0o755)
    # A process of its own, since the certificates that are trusted are read when the libraries are loaded.
    done = subprocess.run(
        [sys.executable, "-m", "everscore_cli.main", "deadletters", "list", "--json", "--env", "azd"],
        cwd=cli.app,
        env={
            **cli.environment,
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential",
            "SSL_CERT_FILE": str(certificate),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert {token for _, token in Blobs.seen} == {f"Bearer {token}"}
    if code:
        assert len(done.stderr.splitlines()) == 1
        assert "the identity needs the data role of that service" in done.stderr
    else:
        (letter,) = json.loads(done.stdout)["letters"]
        assert letter["reason"] == "empty body"
        assert {"failedAt", "enqueuedAt"} < letter.keys()
