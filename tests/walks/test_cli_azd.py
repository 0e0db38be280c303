"""--env azd: the command works on what azd deployed."""

from __future__ import annotations

import json

import pytest

from everscore_cli import environments, project
from tests.support.cli import cli_in

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
def test_settings_are_those_of_the_deployment(cli, monkeypatch, env):
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


def test_mistakes_are_one_sentence(cli):
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
