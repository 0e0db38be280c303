"""The command line: one sentence for each mistake, and an orderly end."""

import signal
import socket
import subprocess
import sys

import pytest
from azure.cosmos.aio import CosmosClient

from everscore_local.cosmos.__main__ import parse_arguments, serve
from everscore_local.cosmos.errors import UserError

from .conftest import KEY

PORTS = ("--port", "0", "--control-port", "0")


async def refusal(*options):
    """Return the sentence with which the command refuses to start."""
    with pytest.raises(UserError) as caught:
        await serve(parse_arguments([str(option) for option in options]))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_occupied_port_is_one_sentence_and_exit_code_2(tmp_path):
    """The command as people start it: nothing on stdout, one line on stderr, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "everscore_local.cosmos", "--port", port, "--control-port", "0"]
        result = subprocess.run([*command, "--data", tmp_path], check=False, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"Port {port} is in use; stop what uses it, or choose another port.\n"


async def test_an_occupied_control_port_is_named(tmp_path):
    """The control port in use gives its number too."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in await refusal("--port", 0, "--control-port", port, "--data", tmp_path)


async def test_missing_node_and_packages_are_said(tmp_path):
    """Without Node, or without the npm server, the sentence says what to install."""
    assert "no 'no-such-node' beside" in await refusal(*PORTS, "--data", tmp_path, "--node", "no-such-node")
    assert "npm ci" in await refusal(*PORTS, "--data", tmp_path, "--node-modules", tmp_path)


async def test_a_node_that_does_not_start_is_said(tmp_path):
    """A Node executable that ends at once is a sentence, not a hang."""
    assert "does not start" in await refusal(*PORTS, "--data", tmp_path, "--node", "false")


async def test_wrong_folders_keys_and_names_are_said(tmp_path):
    """A data folder that is a file, a key that is no base64 and a database name that is not allowed."""
    file = tmp_path / "file"
    file.write_text("")
    assert str(file) in await refusal(*PORTS, "--data", file)
    assert "--key" in await refusal(*PORTS, "--data", tmp_path / "a", "--key", "no base64!")
    assert "a/b" in await refusal(*PORTS, "--data", tmp_path / "b", "--database", "a/b")


@pytest.mark.parametrize(
    "options",
    [
        ("--container", "c"),
        ("--rus", "0"),
        ("--rus", "many"),
        ("--endpoint", "127.0.0.1:8081"),
        ("--index", "/time"),
        ("--index", "time/?"),
        ("--default-ttl", "0"),
    ],
)
def test_options_that_do_not_go_together(options, capsys):
    """A container without a database, a rate, a URL, a path and a time that are none end with the usage and exit code 2."""
    with pytest.raises(SystemExit) as caught:
        parse_arguments([*PORTS, "--data", "x", *options])
    assert caught.value.code == 2
    assert options[0] in capsys.readouterr().err


async def test_a_data_folder_serves_one_stand_in_and_its_container_one_key(start, alive):
    """Refused: a second stand-in on a folder in use, another key path for a container that is there, damage.

    SIGTERM ends both processes with exit code 0.
    """
    stand_in = start()
    node = stand_in.control("GET", "/state")["engine"]["pid"]
    options = (*PORTS, "--data", stand_in.data)
    assert "in use" in await refusal(*options)
    assert stand_in.stop(signal.SIGTERM) == 0
    assert not alive(node)
    other = ("--database", "everscore", "--container", "events", "--partition-key", "/other")
    assert "/other" in await refusal(*options, *other)
    with (stand_in.data / "journal.jsonl").open("ab") as journal:
        journal.write(b"nonsense\n")
    assert "damaged" in await refusal(*options)


async def test_index_and_time_to_live_are_those_of_the_last_start(start):
    """A container made by an earlier version or with other options gets the present ones; its items stay."""
    first = start()
    async with CosmosClient(first.url, KEY) as client:
        events = client.get_database_client("everscore").get_container_client("events")
        await events.create_item({"id": "a", "pk": "p", "ttl": 1})
        await events.create_item({"id": "b", "pk": "p"})
        assert "defaultTtl" not in await events.read()
    assert first.stop() == 0
    second = start("--index", "/time/?", "--default-ttl", "-1", data=first.data)
    async with CosmosClient(second.url, KEY) as client:
        events = client.get_database_client("everscore").get_container_client("events")
        definition = await events.read()
        assert definition["defaultTtl"] == -1
        assert definition["indexingPolicy"]["includedPaths"] == [{"path": "/time/?"}]
        assert definition["indexingPolicy"]["excludedPaths"] == [{"path": "/*"}]
        while [row async for row in events.query_items("SELECT VALUE c.id FROM c")] != ["b"]:
            pass
